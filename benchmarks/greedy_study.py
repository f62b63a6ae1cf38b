"""What `pendulum.py`, `mountain_car.py` and `acrobot.py` share: seeds, table, figure.

Every seed learns with and without traces, and is then measured without noise on 100
fixed beginnings. Each finished seed has a file in ``study-NAME/``; run the same command
again to resume.
"""

import functools
import json
from pathlib import Path

import gymnasium
import nengo
import numpy as np
import tasks
from many import run_many
from matplotlib.figure import Figure

from nengo_epes.files import write_atomically
from nengo_epes.plots import STYLES, learning_curves
from nengo_epes.rl.presets import PRESETS

SEEDS = range(10)
RESULTS = Path(__file__).parent / "results"


def summary(runs, bounds):
    """Reduce the runs of a case to the numbers that are reported; failures count."""
    greedy = np.array([run["greedy mean"] for run in runs])

    def median(name):
        values = [np.inf if run[name] is None else run[name] for run in runs]
        # None where most seeds have not learned
        return float(np.median(values)) if np.isfinite(np.median(values)) else None

    return {
        "seeds": len(runs),
        "learned": sum(run["steps"] is not None for run in runs),
        "median episodes": median("episodes"),
        "median steps": median("steps"),
        "greedy, mean over seeds": float(greedy.mean()),
        "greedy, worst seed": float(greedy.min()),
        **{f"greedy at least {x:g}": int(np.sum(greedy >= x)) for x in bounds},
    }


def save(preset, name, cases, bounds):
    """Write what every seed has reached, by case, and the summary."""
    table = {
        "command": f"python benchmarks/{name}.py",
        "versions": {
            "nengo": nengo.__version__,
            "numpy": np.__version__,
            "gymnasium": gymnasium.__version__,
        },
        "learned": f"mean return of {preset.window} episodes of training at least "
        f"{preset.criterion:g}",
        "steps": preset.n_steps,
        "cases": {case: summary(runs, bounds) for case, runs in cases.items()},
        "runs": {
            case: [
                {key: x for key, x in run.items() if not isinstance(x, list)}
                for run in runs
            ]
            for case, runs in cases.items()
        },
    }
    text = json.dumps(table, indent=1) + "\n"
    write_atomically(RESULTS / f"{name}.json", lambda path: path.write_text(text))
    print(json.dumps(table["cases"], indent=1))


def plot(preset, cases, bounds, axes):
    """Draw the returns of training over steps, and the greedy means of all seeds."""
    curves = {
        case: [{**run, "steps": np.cumsum(run["lengths"])} for run in runs]
        for case, runs in cases.items()
    }
    learning_curves(curves, preset.window, ax=axes[0])
    # as the curves
    for (case, runs), style, marker in zip(cases.items(), STYLES, "os", strict=False):
        seeds, greedy = ([run[key] for run in runs] for key in ("seed", "greedy mean"))
        axes[1].plot(seeds, greedy, marker, color=style["color"], label=case)
    for bound in bounds:
        axes[1].axhline(bound, color="0.3", lw=0.8, ls=":")
    axes[1].set(xlabel="seed", ylabel="mean greedy return, 100 fixed beginnings")
    axes[1].set_xticks(list(SEEDS))
    axes[1].legend(fontsize="small")


def main(environment, name, bounds, draw_more=None):
    """Run what is not done yet, and write table and figure.

    Parameters
    ----------
    environment : str
        Id of the environment, a key of `tasks.CASES`.
    name : str
        Name of the table and of the figure.
    bounds : sequence of float
        Greedy means, of which it is told how many seeds have reached them.
    draw_more : callable, optional
        Gets the (2, 2) array of axes, of which the first row is drawn.
    """
    preset, trial = PRESETS[environment], functools.partial(tasks.trial, environment)
    found = run_many(trial, tasks.CASES[environment], SEEDS, f"study-{name}")
    cases = {
        case: [{"seed": k, **run} for k, run in zip(SEEDS, runs, strict=True)]
        for case, runs in found.items()
    }
    save(preset, name, cases, bounds)
    rows = 1 if draw_more is None else 2
    figure = Figure(figsize=(11, 4 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False)
    plot(preset, cases, bounds, axes[0])
    if draw_more is not None:
        draw_more(axes)
    write_atomically(
        RESULTS / f"{name}.png", lambda path: figure.savefig(path, dpi=120)
    )
