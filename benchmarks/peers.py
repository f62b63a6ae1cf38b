"""Other algorithms on the tasks of one_setting.py: python benchmarks/peers.py.

* PPO, A2C, DQN (discrete actions) and SAC (continuous actions) of Stable-Baselines3 run
  with their default settings.
* Stream AC runs with its published settings, as `stream_ac` implements it.

All get the same number of environment steps, seeds 0 to 2. "Exploring" is the mean
return of the last 20 episodes of training. "Greedy" is the mean return of 20 episodes
afterwards with the most probable or the mean action. PPO and A2C learn from whole
rollouts: their last one may exceed the number of steps, by 2.4 % at most. Episodes that
end after the number of steps do not count.

Every run writes a file to the folder study-peers, and a run with a file is not
repeated. ``--only "PPO" "A2C"`` restricts the algorithms; ``--report`` runs nothing.
The tables contain all runs with a file.

Install stable-baselines3 and gymnasium[box2d] in a separate environment. They are not
dependencies of the package.
"""

import argparse
import json
import os
import re
from importlib.metadata import version
from pathlib import Path

import gymnasium
import numpy as np
import stream_ac
from aggregate import aggregate

SEEDS = range(3)
DISCRETE = {
    "CartPole-v1": 50_000,
    "Acrobot-v1": 50_000,
    "MountainCar-v0": 100_000,
    "LunarLander-v3": 200_000,
}
CONTINUOUS = {"Pendulum-v1": 50_000, "MountainCarContinuous-v0": 50_000}
TASKS = DISCRETE | CONTINUOUS
STREAM_AC = "stream AC(0.8)"
ALGORITHMS = {
    "PPO": TASKS,
    STREAM_AC: TASKS,
    "A2C": TASKS,
    "DQN": DISCRETE,
    "SAC": CONTINUOUS,
}
# DQN and SAC have no version for the other kind of action: together they have six tasks
COLUMNS = {
    "PPO": ["PPO"],
    "A2C": ["A2C"],
    "DQN or SAC": ["DQN", "SAC"],
    STREAM_AC: [STREAM_AC],
}
MEASURES = ("exploring", "greedy")
EPISODES, POINTS = 20, 400
# a choice: Pendulum-v1 has no registered threshold
PENDULUM_THRESHOLD = -150.0
ZOO = {
    "CartPole-v1": {"PPO": (500.0, 100), "A2C": (500.0, 500), "DQN": (500.0, 50)},
    "Acrobot-v1": {"PPO": (-73.5, 1000), "A2C": (-83.4, 500), "DQN": (-76.6, 100)},
    "MountainCar-v0": {
        "PPO": (-110.4, 1000),
        "A2C": (-111.3, 1000),
        "DQN": (-100.8, 120),
    },
    "LunarLander-v3": {"PPO": (242.1, 1000), "A2C": (155.8, 200), "DQN": (154.4, 100)},
    "Pendulum-v1": {"PPO": (-172.2, 100), "A2C": (-163.0, 1000), "SAC": (-157.0, 20)},
    "MountainCarContinuous-v0": {
        "PPO": (88.3, 20),
        "A2C": (91.2, 100),
        "SAC": (94.7, 50),
    },
}
ZOO_SOURCE = (
    "RL Baselines3 Zoo, https://github.com/DLR-RM/rl-baselines3-zoo, benchmark.md at "
    "commit 0088472: one run each, hyperparameters tuned for each task, mean of about "
    "150,000 steps with the deterministic policy. LunarLander is version 2."
)
FOLDER, RESULTS = Path("study-peers"), Path(__file__).parent / "results"


def train_baseline(algorithm, task, n_steps, seed):
    """Train an algorithm of Stable-Baselines3; return the same as `stream_ac.train`.

    The imports are local, so that ``--report`` runs without Stable-Baselines3.
    """
    import stable_baselines3
    import torch
    from stable_baselines3.common.monitor import Monitor

    torch.set_num_threads(1)
    env = Monitor(gymnasium.make(task))
    learner = getattr(stable_baselines3, algorithm)
    model = learner("MlpPolicy", env, seed=seed, device="cpu")
    model.learn(n_steps)

    def act(observation):
        return model.predict(observation, deterministic=True)[0]

    return env.get_episode_rewards(), env.get_episode_lengths(), act


def run(algorithm, task, seed):
    """Let one agent learn, and evaluate it."""
    n_steps = TASKS[task]
    if algorithm == STREAM_AC:
        returns, lengths, act = stream_ac.train(task, n_steps, seed)
    else:
        returns, lengths, act = train_baseline(algorithm, task, n_steps, seed)
    ends = np.cumsum(lengths)
    returns = np.array(returns)[ends <= n_steps]
    ends = ends[ends <= n_steps]
    env = gymnasium.make(task)
    env.reset(seed=1000 + seed)
    greedy = [play(env, act) for _ in range(EPISODES)]
    return {
        "exploring": float(np.mean(returns[-20:])),
        "greedy": float(np.mean(greedy)),
        "episodes": len(returns),
        "curve": thinned(ends, returns),
    }


def play(env, act, seed=None):
    """Return the return of one episode."""
    observation, total, over = env.reset(seed=seed)[0], 0.0, False
    while not over:
        observation, reward, terminated, truncated, _ = env.step(act(observation))
        total += float(reward)
        over = terminated or truncated
    return total


def thinned(ends, returns):
    """Return at most `POINTS` points of a learning curve, means of several episodes.

    The environment step of a point is the end of its last episode.
    """
    blocks = np.array_split(np.arange(len(ends)), min(POINTS, len(ends)))
    return {
        "steps": [int(ends[block[-1]]) for block in blocks],
        "returns": [round(float(returns[block].mean()), 2) for block in blocks],
    }


def random_policy(task):
    """Return the returns of a policy that draws every action uniformly.

    They are stored in a file, so that a report takes seconds.
    """
    path = FOLDER / f"random, {task}.json"
    if not path.exists():
        env, returns = gymnasium.make(task), []
        for seed in range(EPISODES):
            env.action_space.seed(seed)
            returns.append(play(env, lambda _: env.action_space.sample(), seed=seed))
        write(path, returns)
    return json.loads(path.read_text())


def threshold(task):
    """Return the return at which a task counts as solved."""
    registered = gymnasium.spec(task).reward_threshold
    return PENDULUM_THRESHOLD if registered is None else float(registered)


def one_line(match):
    """Return a list of numbers or strings without line breaks."""
    return f"[{' '.join(match[1].split())}]"


def write(path, value):
    """Write a JSON file atomically.

    Dictionaries are indented, lists are on one line.
    """
    text = json.dumps(value, indent=1)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", one_line, text)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text + "\n")
    os.replace(temporary, path)


def path_of(algorithm, task, seed):
    """Return the file of a run."""
    return FOLDER / f"{algorithm}, {task}, seed {seed}.json"


def done(algorithm, task):
    """Return the runs with a file, by seed."""
    paths = {seed: path_of(algorithm, task, seed) for seed in SEEDS}
    return {x: json.loads(y.read_text()) for x, y in paths.items() if y.exists()}


def summary(runs, name):
    """Return median, worst and all values of one measure."""
    values = np.array([one[name] for one in runs.values()])
    return {
        "median": round(float(np.median(values)), 2),
        "worst": round(float(values.min()), 2),
        "seeds": [round(value, 2) for value in values.tolist()],
    }


def table_of(task):
    """Return the results of all algorithms on one task."""
    table = {"environment steps": TASKS[task]}
    for algorithm, tasks in ALGORITHMS.items():
        if task not in tasks:
            continue
        runs = done(algorithm, task)
        table[algorithm] = {x: summary(runs, x) for x in MEASURES if runs}
        missing = [seed for seed in SEEDS if seed not in runs]
        if missing:
            table[algorithm]["not run"] = f"seeds {missing}"
    return table


def aggregates(tables, random, thresholds):
    """Return the aggregates of all columns that contain all tasks."""
    ours = json.loads((RESULTS / "one_setting_rate.json").read_text())["tasks"]
    found = {}
    for measure in MEASURES:
        found[measure] = {}
        columns = {"Agent": {task: ours[task][measure] for task in TASKS}}
        for column, algorithms in COLUMNS.items():
            columns[column] = {
                task: tables[task][algorithm][measure]
                for algorithm in algorithms
                for task in ALGORITHMS[algorithm]
                if measure in tables[task][algorithm]
            }
        for column, values in columns.items():
            if len(values) < len(TASKS):
                found[measure][column] = "not all tasks were run"
                continue
            n_seeds = min(len(values[task]["seeds"]) for task in TASKS)
            returns = {task: values[task]["seeds"][:n_seeds] for task in TASKS}
            found[measure][column] = rounded(aggregate(returns, random, thresholds))
    return found


def rounded(found):
    """Return an aggregate with three decimals."""
    key = "95 % interval"
    mean = round(found["interquartile mean"], 3)
    limits = [round(x, 3) for x in found[key]]
    return {**found, "interquartile mean": mean, key: limits}


def published():
    """Return the returns of the zoo next to their numbers of environment steps."""
    return {
        task: {
            algorithm: {
                "return": value,
                "environment steps": 1000 * thousands,
                "times the steps here": round(1000 * thousands / TASKS[task], 2),
            }
            for algorithm, (value, thousands) in row.items()
        }
        for task, row in ZOO.items()
    }


def report():
    """Write the tables of all runs with a file."""
    random = {task: random_policy(task) for task in TASKS}
    means = {task: float(np.mean(values)) for task, values in random.items()}
    thresholds = {task: threshold(task) for task in TASKS}
    tables = {task: table_of(task) for task in TASKS}
    packages = ("stable-baselines3", "torch", "gymnasium", "numpy")
    result = {
        "command": "python benchmarks/peers.py",
        "versions": {package: version(package) for package in packages},
        "seeds": list(SEEDS),
        "measures": {
            "exploring": "mean return of the last 20 episodes of training",
            "greedy": f"mean return of {EPISODES} episodes with the most probable or "
            "the mean action, without learning; one_setting_rate.json has 100 episodes",
        },
        "tasks": tables,
        "random policy": {
            task: {"mean": round(means[task], 2), "episodes": np.round(x, 2).tolist()}
            for task, x in random.items()
        },
        "thresholds": {
            "note": "registered in Gymnasium, but for Pendulum-v1, which has none",
            **thresholds,
        },
        "aggregate": {
            "note": "0 is the random policy, 1 the threshold; returns are normalized, "
            "then the interquartile mean is taken over all runs of the six tasks; the "
            "interval is a bootstrap of seeds, stratified by task",
            **aggregates(tables, means, thresholds),
        },
        "published, tuned": {"source": ZOO_SOURCE, **published()},
    }
    write(RESULTS / "peers.json", result)
    curves = {
        task: {
            algorithm: {
                str(x): one["curve"] for x, one in done(algorithm, task).items()
            }
            for algorithm in ALGORITHMS
            if task in ALGORITHMS[algorithm]
        }
        for task in TASKS
    }
    write(RESULTS / "peers_curves.json", curves)


def main():
    """Run the missing cases; write the tables after every algorithm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--report", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for algorithm in () if arguments.report else arguments.only:
        for task in ALGORITHMS[algorithm]:
            for seed in SEEDS:
                path = path_of(algorithm, task, seed)
                if not path.exists():
                    write(path, run(algorithm, task, seed))
                    print(path, flush=True)
        report()
    report()


if __name__ == "__main__":
    main()
