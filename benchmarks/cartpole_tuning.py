"""Learning rates for CartPole-v1, with and without a trace, tuned with equal effort.

``python benchmarks/cartpole_tuning.py``: the same grid of both learning rates for every
lambda, on seeds that no result is reported of. The best pair is that with which most
seeds learn (see `nengo_epes.trials.cartpole.trial`); of those with equal numbers, that
with the largest mean return of the last 50 episodes. Every run's row is written when it
is done, and a study that is broken off goes on where it was.
"""

import argparse
import itertools
import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from nengo_epes.files import write_atomically
from nengo_epes.trials import cartpole
from nengo_epes.trials.training import solved_after, train

LAMBDAS = (0.0, 0.9)
ETA_CRITIC = (0.02, 0.1, 0.4, 1.0)
ETA_ACTOR = (0.001, 0.005, 0.02, 0.1)
SEEDS = range(1000, 1004)
N_STEPS = 70_000
TABLE = Path(__file__).parent / "results" / "cartpole_tuning.json"
SETTING = ("lambda", "eta critic", "eta actor")


def solved(returns):
    """Return after how many episodes an agent had learned, or None."""
    return solved_after(returns, cartpole.CRITERION, cartpole.WINDOW)


def run(job):
    """Return the row of one setting and seed."""
    lambda_, eta_critic, eta_actor, seed = job
    rates = {"eta_critic": eta_critic, "eta_actor": eta_actor}
    result = train(
        cartpole.build,
        seed,
        N_STEPS,
        lambda returns: solved(returns) is not None,
        lambda_=lambda_,
        **rates,
    )
    returns = result["returns"]
    return {
        **dict(zip((*SETTING, "seed"), job, strict=True)),
        "episodes": solved(returns),
        "steps": int(result["steps"][-1]),
        "mean of last 50": float(np.mean(returns[-cartpole.WINDOW :])),
    }


def summary(rows):
    """Return what each setting reached, the best first, by lambda."""
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
    return sorted(
        found, key=lambda x: (x["lambda"], -x["learned"], -x["mean of last 50"])
    )


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
    grid = itertools.product(LAMBDAS, ETA_CRITIC, ETA_ACTOR, SEEDS)
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
