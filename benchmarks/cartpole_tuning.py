"""Learning rates for CartPole-v1, with and without a trace, tuned with equal effort.

``python benchmarks/cartpole_tuning.py``: a grid of both learning rates, as large for
every method, on seeds of which no result is reported. The best pair is that with which
most seeds learn (see `nengo_epes.trials.cartpole.trial`), and then, of equal ones, that
which takes fewer episodes or, where none learns, ends with the larger mean return (0 if
its values grow without end).
Every run's row is written when it is done, and a study that is broken off goes on where
it was.
"""

import argparse
import itertools
import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from nengo.exceptions import SimulationError

from nengo_epes.files import write_atomically
from nengo_epes.trials import cartpole
from nengo_epes.trials.training import solved_after, train

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
}
SEEDS = (1000, 1001)
N_STEPS = 40_000
TABLE = Path(__file__).parent / "results" / "cartpole_tuning.json"
SETTING = ("method", "eta critic", "eta actor")


def solved(returns):
    """Return after how many episodes an agent had learned, or None."""
    return solved_after(returns, cartpole.CRITERION, cartpole.WINDOW)


def run(job):
    """Return the row of one setting and seed."""
    method, eta_critic, eta_actor, seed = job
    row = dict(zip((*SETTING, "seed"), job, strict=True))
    try:
        result = train(
            cartpole.build,
            seed,
            N_STEPS,
            lambda returns: solved(returns) is not None,
            eta_critic=eta_critic,
            eta_actor=eta_actor,
            **METHODS[method][0],
        )
    except SimulationError:  # the values grow without end
        return {**row, "episodes": None, "steps": None, "mean of last 50": 0.0}
    returns = result["returns"]
    return {
        **row,
        "episodes": solved(returns),
        "steps": int(result["steps"][-1]),
        "mean of last 50": float(np.mean(returns[-cartpole.WINDOW :])),
    }


def summary(rows):
    """Return what each setting reached, the best first, by method."""
    found = []
    for setting in sorted({tuple(row[key] for key in SETTING) for row in rows}):
        its = [row for row in rows if tuple(row[key] for key in SETTING) == setting]
        needed = [row["episodes"] or np.inf for row in its]
        median = float(np.median(needed))
        found.append(
            {
                **dict(zip(SETTING, setting, strict=True)),
                "learned": int(np.isfinite(needed).sum()),
                "of": len(its),
                "median episodes": median if np.isfinite(median) else None,
                "mean of last 50": float(np.mean([x["mean of last 50"] for x in its])),
            }
        )

    def rank(x):
        median = x["median episodes"] or np.inf
        return x["method"], -x["learned"], median, -x["mean of last 50"]

    return sorted(found, key=rank)


def load():
    """Return the rows that are done already."""
    return json.loads(TABLE.read_text())["runs"] if TABLE.exists() else []


def save(rows):
    """Write the table, sorted, whatever the order in which it came."""
    rows = sorted(rows, key=lambda row: [row[key] for key in (*SETTING, "seed")])
    table = {
        "command": "python benchmarks/cartpole_tuning.py",
        "limit, steps": N_STEPS,
        "settings": summary(rows),
        "runs": rows,
    }
    text = json.dumps(table, indent=1) + "\n"
    write_atomically(TABLE, lambda path: path.write_text(text))


def main(n_jobs):
    """Run what is not done yet."""
    rows = load()
    done = {tuple(row[key] for key in (*SETTING, "seed")) for row in rows}
    grid = [
        (method, *job)
        for method, (_, *rates) in METHODS.items()
        for job in itertools.product(*rates, SEEDS)
    ]
    with ProcessPoolExecutor(n_jobs) as pool:
        jobs = [pool.submit(run, job) for job in grid if job not in done]
        for job in as_completed(jobs):
            rows.append(job.result())
            save(rows)
            print(rows[-1], flush=True)
    for setting in summary(rows):
        print(setting)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    main(parser.parse_args().jobs)
