"""One setting for all tasks: python benchmarks/one_setting.py [rate] [lif] [ablations].

`nengo_epes.rl.Agent` with its defaults on every task, seeds 0 to 9 (spiking LIF: 0 to
4, LunarLander 0 to 2 in the compiled simulator; ablations: 0 to 2). The settings were
chosen on other seeds. "Exploring" is the mean return of the last 20 episodes of
training, "greedy" the mean return of episodes after training in which the agent takes
its best actions.
"""

import argparse
import json
from pathlib import Path

import grid_worlds
import gymnasium
import nengo
import numpy as np
from many import run_many

from nengo_epes.files import write_atomically
from nengo_epes.rl import Agent

TASKS = {
    "CartPole-v1": 50_000,
    "Acrobot-v1": 50_000,
    "MountainCar-v0": 100_000,
    "Pendulum-v1": 50_000,
    "MountainCarContinuous-v0": 50_000,
    "LunarLander-v3": 200_000,
    "slippery_grid": 100_000,
    "large_grid": 50_000,
}
SPIKING = (
    "CartPole-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
    "LunarLander-v3",
)
ABLATIONS = {
    "no traces": {"lambda_critic": 0.0, "lambda_actor": 0.0},
    "no observation normalization": {"normalize_observations": False},
    "no reward scaling": {"scale_rewards": False},
    "no local features": {"local_share": 0.0},
    "no global features": {"local_share": 1.0},
    "no floor": {"floor": 1e-9},
    "no slow noise": {"slow": 0.0},
}
# two tasks for each; slow noise exists for continuous actions only
ABLATED = ("MountainCar-v0", "Pendulum-v1")
CONTINUOUS = ("MountainCarContinuous-v0", "Pendulum-v1")
N_SEEDS = {"rate": 10, "lif": 5, "ablations": 3}
FEWER_SEEDS = {"LunarLander-v3, lif": 3}  # ten minutes each
RESULTS = Path(__file__).parent / "results"


def run(seed, task, n_steps, n_greedy=100, neurons="rate", **settings):
    """Let one agent learn, and evaluate it."""
    env = getattr(grid_worlds, task, task)
    with Agent(env, seed, neurons, **settings) as agent:
        agent.learn(n_steps, progress_bar=False)
        greedy = agent.evaluate(n_greedy)
        every = max(1, len(agent.episodes) // 200)
        return {
            "exploring": float(agent.returns[-20:].mean()),
            "greedy": greedy.mean,
            "episodes": len(agent.episodes),
            "seconds": round(agent.episodes[-1].seconds, 1),
            # environment steps and mean return of a number of episodes
            "curve": [
                [chunk[-1].environment_steps, mean_return(chunk)]
                for chunk in np.split(
                    np.array(agent.episodes, dtype=object),
                    range(every, len(agent.episodes), every),
                )
            ],
        }


def mean_return(episodes):
    """Return the mean return, rounded to five digits."""
    return float(f"{np.mean([one.episode_return for one in episodes]):.5g}")


def plan(kinds):
    """Return the arguments of `run` by case."""
    cases = {}
    if "rate" in kinds:
        for task, n_steps in TASKS.items():
            cases[task] = {"task": task, "n_steps": n_steps}
    if "lif" in kinds:
        for task in SPIKING:
            case = {"task": task, "n_steps": TASKS[task]}
            cases[f"{task}, lif"] = {**case, "neurons": "lif", "n_greedy": 20}
        # equal to rounding, and ten times faster
        cases["LunarLander-v3, lif"]["simulator"] = "compiled"
    if "ablations" in kinds:
        for name, settings in ABLATIONS.items():
            for task in CONTINUOUS if name == "no slow noise" else ABLATED:
                case = {"task": task, "n_steps": TASKS[task], "n_greedy": 20}
                cases[f"{task}, {name}"] = {**case, **settings}
    return cases


def summarize(runs, seeds, case):
    """Return a row of the table."""
    row = {"environment steps": case["n_steps"], "seeds": list(seeds)}
    for name in ("exploring", "greedy"):
        values = np.array([one[name] for one in runs])
        bad = values.min()
        row[name] = {
            "median": round(float(np.median(values)), 2),
            "worst": round(float(bad), 2),
            "seeds": [round(value, 2) for value in values.tolist()],
        }
    if hasattr(grid_worlds, case["task"]):
        env = getattr(grid_worlds, case["task"])().unwrapped
        row["best possible"] = round(env.best_return(grid_worlds.N_STEPS), 3)
    row["curves"] = [one["curve"] for one in runs]
    return row


def main():
    """Run the missing cases, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=["rate", "lif", "ablations"])
    for kind in parser.parse_args().kinds:
        table = {}
        for name, case in plan([kind]).items():
            seeds = range(FEWER_SEEDS.get(name, N_SEEDS[kind]))
            runs = run_many(run, {name: case}, seeds, Path("study-one-setting"))[name]
            table[name] = summarize(runs, seeds, case)
            numbers = {k: table[name][k]["median"] for k in ("exploring", "greedy")}
            print(name, numbers, "worst", table[name]["exploring"]["worst"], flush=True)
        result = {
            "command": f"python benchmarks/one_setting.py {kind}",
            "versions": {
                "nengo": nengo.__version__,
                "numpy": np.__version__,
                "gymnasium": gymnasium.__version__,
            },
            "tasks": table,
        }
        path = RESULTS / f"one_setting_{kind}.json"
        text = json.dumps(result) + "\n"
        write_atomically(path, lambda temporary, text=text: temporary.write_text(text))


if __name__ == "__main__":
    main()
