"""Trials until MiniGrid-Empty-8x8 is solved: python benchmarks/minigrid_empty.py.

The criterion of Bartlett et al. (2022): the first trial at which the mean reward of the
last 100 trials exceeds 0.95; 0.961 is the reward of a shortest path. Their best mean of
five runs in Nengo is 105.4 (grid cells, TD(lambda)), and a look-up table needs 142.8.
Observation: position and direction, as one state of a table or as four numbers. Seeds 0
to 9. Install minigrid first.
"""

import json
from pathlib import Path

import gymnasium
import minigrid
import numpy as np
from many import run_many

from nengo_epes.files import write_atomically
from nengo_epes.rl import Agent

WINDOW, THRESHOLD, N_TRIALS = 100, 0.95, 1000
RESULTS = Path(__file__).parent / "results"


class Position(gymnasium.ObservationWrapper):
    """Wrapper with position and direction as one state, or as four numbers."""

    def __init__(self, env, is_state):
        super().__init__(env)
        self.is_state = is_state
        if is_state:
            self.observation_space = gymnasium.spaces.Discrete(8 * 8 * 4)
        else:
            self.observation_space = gymnasium.spaces.Box(-8.0, 8.0, (4,), np.float64)
        # left, right, forward: the other actions have no effect here
        self.action_space = gymnasium.spaces.Discrete(3)

    def observation(self, _):
        """Return the state, or x, y and the direction as a vector."""
        inner = self.unwrapped
        x, y = inner.agent_pos
        if self.is_state:
            return int(32 * x + 4 * y + inner.agent_dir)
        return np.array([x, y, *inner.dir_vec], dtype=float)


def make(is_state):
    """Make the environment."""
    minigrid.register_minigrid_envs()
    return Position(gymnasium.make("MiniGrid-Empty-8x8-v0"), is_state)


def run(seed, is_state):
    """Return the number of trials, None if the limit is exceeded."""
    found = []

    def solved(agent):
        returns = agent.returns
        if len(returns) >= WINDOW and returns[-WINDOW:].mean() > THRESHOLD:
            found.append(len(returns))
        return not found and len(returns) < N_TRIALS

    kwargs = {"is_state": is_state}
    # equal to `nengo.Simulator` to rounding, and faster
    with Agent(make, seed, env_kwargs=kwargs, simulator="compiled") as agent:
        agent.learn(1_000_000, callback=solved, progress_bar=False)
    return found[0] if found else None


def main():
    """Run the missing cases, and write the table."""
    cases = {"one state a position": {"is_state": True}}
    cases["four numbers"] = {"is_state": False}
    found = run_many(run, cases, range(10), Path("study-minigrid"))
    table = {}
    for case, trials in found.items():
        numbers = [trial or np.inf for trial in trials]
        table[case] = {
            "trials of each seed": trials,
            "mean": round(float(np.mean(numbers)), 1),
            "median": float(np.median(numbers)),
        }
        print(case, table[case])
    result = {
        "command": "python benchmarks/minigrid_empty.py",
        "criterion": f"mean of {WINDOW} rewards above {THRESHOLD}",
        "versions": {"minigrid": minigrid.__version__},
        "published": {"grid cells, TD(lambda)": 105.4, "table, TD(lambda)": 142.8},
        "trials": table,
    }
    text = json.dumps(result, indent=1) + "\n"
    path = RESULTS / "minigrid_empty.json"
    write_atomically(path, lambda temporary: temporary.write_text(text))


if __name__ == "__main__":
    main()
