"""A few seeds of committed studies again: python benchmarks/repeat.py.

After a change of the learning rules it shows which numbers moved: seeds 0 to 4 of
CartPole-v1, 0 to 2 of Pendulum-v1 and of the hidden layer. It writes
``results/repeat.json``, the committed number next to the number of today.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import hidden_layer
import nengo
import numpy as np
from hidden_network import LINES
from tasks import cartpole_trial, trial

from nengo_epes.files import write_atomically

RESULTS = Path(__file__).parent / "results"


def committed(study):
    """Return the committed results of a study."""
    return json.loads((RESULTS / f"{study}.json").read_text())


def cartpole_row(seed):
    """Compare the episodes until CartPole-v1 is learned."""
    before = next(
        run
        for run in committed("cartpole")["runs"]
        if run["case"] == "relu" and run["seed"] == seed
    )
    now = cartpole_trial(seed)
    names = ("episodes", "steps", "mean after")
    return {name: [before[name], now[name]] for name in names}


def pendulum_row(seed):
    """Compare the greedy return of Pendulum-v1."""
    before = committed("pendulum")["runs"]["with traces"][seed]
    now = trial("Pendulum-v1", seed)
    return {name: [before[name], now[name]] for name in ("greedy mean", "episodes")}


def hidden_layer_row(task, line, seed):
    """Compare the test error of one line of the hidden layer."""
    before = committed("hidden_layer")[task]["lines"][line]["RMSE"][seed]
    settings = (
        hidden_layer.LATE_SETTINGS if LINES[line].delay else hidden_layer.SETTINGS
    )
    now = hidden_layer.run(task, line, seed, **settings[task])["rmse"]
    return [before, round(float(now), 4)]


def main():
    """Run everything on two processes and write the table."""
    with ProcessPoolExecutor(2) as pool:
        jobs = {("pendulum", s): pool.submit(pendulum_row, s) for s in range(3)}
        jobs |= {("cartpole", s): pool.submit(cartpole_row, s) for s in range(5)}
        jobs |= {
            (f"hidden layer, {task}, {line}", s): pool.submit(
                hidden_layer_row, task, line, s
            )
            for task in hidden_layer.SETTINGS
            for line in ("encoder feedback", "random feedback", "late error, trace")
            for s in range(3)
        }
        rows = {}
        for (study, seed), job in jobs.items():
            rows.setdefault(study, {})[seed] = job.result()
            print(study, seed, rows[study][seed], flush=True)
    table = {
        "command": "python benchmarks/repeat.py",
        "versions": {"nengo": nengo.__version__, "numpy": np.__version__},
        "committed and now": rows,
    }
    text = json.dumps(table, indent=1) + "\n"
    write_atomically(RESULTS / "repeat.json", lambda path: path.write_text(text))


if __name__ == "__main__":
    main()
