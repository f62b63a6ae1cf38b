"""Training and evaluation of the presets over seeds, shared by several benchmarks."""

import numpy as np
from nengo import Simulator

from nengo_epes.rl.evaluation import evaluate, learned_weights, run_episode
from nengo_epes.rl.presets import PRESETS, build

# changes of the presets that a study compares; the learning rate without traces is the
# best of cartpole_tuning.py
CASES = {
    "CartPole-v1": {
        "with traces": {},
        "without traces": {"lambda_": 0.0, "eta_actor": 0.0002},
    },
    **{
        name: {"with traces": {}, "without traces": {"lambda_": 0.0}}
        for name in ("Pendulum-v1", "MountainCarContinuous-v0", "Acrobot-v1")
    },
}


def train(environment, seed=0, n_steps=np.inf, stop=None, **changes):
    """Train an agent of `build`, until ``n_steps`` or until ``stop(returns)`` is true.

    Returns a dict of arrays: ``returns``; ``steps``, environment steps until the end of
    each episode; ``weights``.
    """
    network, env_node, agent = build(environment, seed, **changes)
    returns, steps = [], []
    with Simulator(network, progress_bar=False) as simulator:
        while sum(steps) < n_steps and not (stop and stop(returns)):
            episode_return, length = run_episode(simulator, env_node)
            returns.append(episode_return)
            steps.append(length)
        weights = learned_weights(simulator, agent)
    return {"returns": np.array(returns), "steps": np.cumsum(steps), "weights": weights}


def solved_after(returns, criterion, window):
    """Return the number of episodes until the mean of a window reached the criterion.

    None if it never did.
    """
    sums = np.cumsum([0.0, *returns])
    reached = np.flatnonzero(sums[window:] - sums[:-window] >= criterion * window)
    return int(reached[0]) + window if len(reached) else None


def trial(environment, seed, n_steps=None, n_episodes=100, **changes):
    """Train an agent for the preset's steps, and evaluate it without noise.

    Returns a dict: ``greedy mean`` and ``greedy least`` of ``n_episodes`` returns;
    ``episodes`` and ``steps`` until the criterion was met in training, or None;
    ``returns`` and ``lengths`` of all episodes of training.
    """
    preset = PRESETS[environment]
    trained = train(environment, seed, n_steps or preset.n_steps, **changes)
    greedy = evaluate(environment, trained["weights"], seed, n_episodes, **changes)
    solved = solved_after(trained["returns"], preset.criterion, preset.window)
    return {
        "greedy mean": float(greedy.mean()),
        "greedy least": float(greedy.min()),
        "episodes": solved,
        "steps": None if solved is None else int(trained["steps"][solved - 1]),
        "returns": [round(x, 2) for x in trained["returns"].tolist()],
        "lengths": np.diff(trained["steps"], prepend=0).tolist(),
    }


def cartpole_trial(seed, n_steps=150_000, n_after=50, **changes):
    """Train an agent until CartPole-v1 is learned, and ``n_after`` more episodes.

    Returns a dict: ``episodes`` and ``steps`` until the criterion was met, or None;
    ``mean after``, mean return of the episodes that followed, or None; ``mean of last
    50``; all ``returns``.
    """
    environment, window = "CartPole-v1", PRESETS["CartPole-v1"].window

    def solved(returns):
        return solved_after(returns, PRESETS[environment].criterion, window)

    def stop(returns):
        return (solved(returns) or np.inf) + n_after <= len(returns)

    result = train(environment, seed, n_steps, stop, **changes)
    returns, episodes = result["returns"], solved(result["returns"])
    after = [] if episodes is None else returns[episodes:]
    return {
        "episodes": episodes,
        "steps": None if episodes is None else int(result["steps"][episodes - 1]),
        "mean after": float(np.mean(after)) if len(after) else None,
        "mean of last 50": float(np.mean(returns[-window:])),
        "returns": [int(x) for x in returns],
    }
