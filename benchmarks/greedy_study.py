"""Studies of agents that learn for a number of steps and then are evaluated, greedy.

What `mountain_car.py` and `acrobot.py` share: the trials of all cases and seeds, two at
a time, a table and a figure. Every seed's row is written when it is done, and a run
that is broken off goes on where it was.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import matplotlib as mpl
import nengo
import numpy as np

from nengo_epes.files import write_atomically

RESULTS = Path(__file__).parent / "results"
N_PROCESSES = 2
N_BLOCKS = 50  # of steps, in which the returns of training are averaged
STYLES = [("#0072B2", "o"), ("#D55E00", "s")]  # Okabe and Ito's colours


@dataclass(frozen=True)
class Study:
    """A preset, and what of it is compared.

    Parameters
    ----------
    preset : module
        Of `nengo_epes.trials`, with a ``trial`` as `train_and_evaluate` has it, and a
        ``STUDY``: options of the trial, by the names of the cases.
    bounds : (float, float)
        Greedy means that are counted: required, and aimed at.
    seeds : range
        With which every case is run.
    """

    preset: object
    bounds: tuple
    seeds: range = range(10)

    @property
    def name(self):
        """(str) Of the script, and of what it writes."""
        return self.preset.__name__.rpartition(".")[2]

    @property
    def table(self):
        """(Path) Where the numbers are."""
        return RESULTS / f"{self.name}.json"


def run(trial, n_steps, case, seed, options):
    """Return the row of one seed, with the returns of training in blocks."""
    result = trial(seed, **options)
    returns, lengths = result.pop("returns"), result.pop("lengths")
    block = np.minimum(np.cumsum(lengths) * N_BLOCKS // n_steps, N_BLOCKS - 1)
    result["training"] = [
        round(float(np.mean(np.array(returns)[block == i])), 2) if i in block else None
        for i in range(N_BLOCKS)
    ]
    return {"case": case, "seed": seed, **result}


def summary(rows, bounds):
    """Reduce the rows of a case to the numbers that are reported; failures count."""
    greedy = np.array([row["greedy mean"] for row in rows])
    learned = [row for row in rows if row["steps"] is not None]

    def median(name):
        # None for one that most seeds did not reach
        values = [np.inf if row[name] is None else row[name] for row in rows]
        return float(np.median(values)) if np.isfinite(np.median(values)) else None

    return {
        "of": len(rows),
        "learned": len(learned),
        "median episodes": median("episodes"),
        "median steps": median("steps"),
        "greedy, mean of seeds": float(np.mean(greedy)),
        "greedy, worst seed": float(np.min(greedy)),
        **{f"greedy at least {x:g}": int(np.sum(greedy >= x)) for x in bounds},
    }


def load(study):
    """Return the rows that are done already."""
    return json.loads(study.table.read_text())["runs"] if study.table.exists() else []


def save(study, rows):
    """Write the table, sorted, whatever the order in which it came."""
    names = list(study.preset.STUDY)
    rows = sorted(rows, key=lambda row: (names.index(row["case"]), row["seed"]))
    cases = {name: [row for row in rows if row["case"] == name] for name in names}
    table = {
        "command": f"python benchmarks/{study.name}.py",
        "versions": {
            "nengo": nengo.__version__,
            "numpy": np.__version__,
            "gymnasium": gymnasium.__version__,
        },
        "learned": f"mean return of {study.preset.WINDOW} episodes of training at "
        f"least {study.preset.CRITERION:g}",
        "steps": study.preset.N_STEPS,
        "cases": {
            name: summary(found, study.bounds) for name, found in cases.items() if found
        },
        "runs": rows,
    }
    text = json.dumps(table, indent=1) + "\n"
    write_atomically(study.table, lambda path: path.write_text(text))
    return table


def plot(study, rows):
    """Draw the returns of training over steps, and the greedy means of all seeds."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    steps = (np.arange(N_BLOCKS) + 0.5) * study.preset.N_STEPS / N_BLOCKS / 1000
    for (case, _), (colour, marker) in zip(
        study.preset.STUDY.items(), STYLES, strict=False
    ):
        found = [row for row in rows if row["case"] == case]
        for i, row in enumerate(found):
            style = {"color": colour, "lw": 0.8, "alpha": 0.7}
            means = np.array(row["training"], dtype=float)
            axes[0].plot(steps, means, label=None if i else case, **style)
        axes[1].plot(
            [row["seed"] for row in found],
            [row["greedy mean"] for row in found],
            marker,
            color=colour,
            label=case,
        )
    for bound in study.bounds:
        axes[1].axhline(bound, color="0.3", lw=0.8, ls=":")
    axes[0].set(
        xlabel="steps of the environment (thousands)",
        ylabel=f"mean return of {study.preset.N_STEPS // N_BLOCKS} steps of training",
    )
    axes[1].set(xlabel="seed", ylabel="mean return of 100 greedy episodes")
    axes[1].set_xticks(list(study.seeds))
    axes[1].legend()
    return figure


def main(study):
    """Run what is not done yet, and write table and figure."""
    mpl.use("agg")
    rows = load(study)
    done = {(row["case"], row["seed"]) for row in rows}
    work = functools.partial(run, study.preset.trial, study.preset.N_STEPS)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(N_PROCESSES, mp_context=context) as pool:
        running = [
            pool.submit(work, case, seed, options)
            for case, options in study.preset.STUDY.items()
            for seed in study.seeds
            if (case, seed) not in done
        ]
        for finished in as_completed(running):
            row = finished.result()
            print({key: x for key, x in row.items() if key != "training"}, flush=True)
            rows.append(row)
            save(study, rows)
    print(json.dumps(save(study, rows)["cases"], indent=1))
    figure = plot(study, rows)
    write_atomically(
        RESULTS / f"{study.name}.png", lambda path: figure.savefig(path, dpi=120)
    )
