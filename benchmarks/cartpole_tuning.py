"""Learning rates for CartPole-v1, with and without a trace, tuned with equal effort.

``python benchmarks/cartpole_tuning.py``: a grid of both learning rates, as large for
every method, on seeds of which no result is reported. The best pair is that with which
most seeds learn (see `tasks.cartpole_trial`), and then, of equal ones, that
which takes fewer episodes or, where none learns, ends with the larger mean return (0 if
its values grow without end). Each finished seed has a file in
``study-cartpole-tuning/``; run the same command again to resume.
"""

import itertools
import json
from pathlib import Path

import numpy as np
from many import run_many
from nengo.exceptions import SimulationError
from tasks import cartpole_trial

from nengo_epes.files import write_atomically

INTENTIONAL = ((0.1, 0.4, 1.0), (0.0002, 0.001, 0.005, 0.02))
# by method: options, rates of the critic, rates of the actor. With Intentional they are
# fractions; else step sizes, where at the centre the squares of all activities sum to
# 2e6 square hertz
METHODS = {
    "lambda 0, step sizes": (
        {"lambda_": 0.0, "intentional": False},
        (2e-8, 5e-8, 1e-7),
        (1e-8, 2e-8, 5e-8, 2e-7),
    ),
    "lambda 0": ({"lambda_": 0.0}, *INTENTIONAL),
    "lambda 0.9": ({"lambda_": 0.9}, *INTENTIONAL),
    # the traces of 10 states in a row sum up
    "lambda 0.9, step sizes": (
        {"lambda_": 0.9, "intentional": False},
        (5e-9, 1e-8, 2e-8),
        (5e-9, 1e-8, 2e-8, 5e-8),
    ),
}
SEEDS = (1000, 1001)
N_STEPS = 40_000
FOLDER = "study-cartpole-tuning"
TABLE = Path(__file__).parent / "results" / "cartpole_tuning.json"


def settings():
    """Return the options of every setting, by method and learning rates."""
    return {
        (method, critic, actor): {
            **options,
            "eta_critic": critic,
            "eta_actor": actor,
        }
        for method, (options, *rates) in METHODS.items()
        for critic, actor in itertools.product(*rates)
    }


def run(seed, **options):
    """Return the numbers of one seed."""
    try:
        result = cartpole_trial(seed, N_STEPS, n_after=0, **options)
    except SimulationError:  # the weights have diverged
        return {"diverged": True, "episodes": None, "mean of last 50": 0.0}
    numbers = {key: result[key] for key in ("episodes", "mean of last 50")}
    return {"diverged": False, **numbers}


def summary(setting, runs):
    """Reduce the runs of a setting to what is compared."""
    needed = [np.inf if run["episodes"] is None else run["episodes"] for run in runs]
    median = float(np.median(needed))
    return {
        **dict(zip(("method", "eta critic", "eta actor"), setting, strict=True)),
        "learned": int(np.isfinite(needed).sum()),
        "of": len(runs),
        "diverged": sum(run["diverged"] for run in runs),
        "median episodes": median if np.isfinite(median) else None,
        "mean of last 50": float(np.mean([run["mean of last 50"] for run in runs])),
    }


def rank(row):
    """Return by what rows are sorted: methods together, the best setting first."""
    median = row["median episodes"] or np.inf
    return row["method"], -row["learned"], median, -row["mean of last 50"]


def main():
    """Run what is not done yet, and write the table."""
    cases = {", ".join(map(str, key)): options for key, options in settings().items()}
    found = run_many(run, cases, SEEDS, FOLDER)
    rows = [
        summary(key, found[case]) for key, case in zip(settings(), cases, strict=True)
    ]
    table = {
        "command": "python benchmarks/cartpole_tuning.py",
        "limit, steps": N_STEPS,
        "seeds": SEEDS,
        "settings": sorted(rows, key=rank),
    }
    text = json.dumps(table, indent=1) + "\n"
    write_atomically(TABLE, lambda path: path.write_text(text))
    for row in table["settings"]:
        print(row)


if __name__ == "__main__":
    main()
