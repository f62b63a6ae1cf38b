"""Learning curves of the agent and its peers: python benchmarks/one_setting_figure.py.

Median and quartiles over seeds of the mean return, from the committed results of
one_setting.py and peers.py.
"""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from nengo_epes.files import write_atomically
from nengo_epes.plots import STYLES

RESULTS = Path(__file__).parent / "results"
POINTS = 60


def resampled(steps, returns, grid):
    """Return the mean return of the preceding tenth of the run, at points of a grid."""
    steps, returns = np.array(steps, float), np.array(returns, float)
    window = grid[-1] / 10
    found = np.full(len(grid), np.nan)
    for i, end in enumerate(grid):
        inside = (steps <= end) & (steps > end - window)
        if inside.any():
            found[i] = returns[inside].mean()
    return found


def curves():
    """Return the curves of all seeds for each task and algorithm."""
    rate = json.loads((RESULTS / "one_setting_rate.json").read_text())["tasks"]
    peers = json.loads((RESULTS / "peers_curves.json").read_text())
    found = {}
    for task, algorithms in peers.items():
        row = rate[task]
        ours = [list(zip(*one, strict=True)) for one in row["curves"]]
        found[task] = (row["environment steps"], {"Agent": ours})
        for name, seeds in algorithms.items():
            if seeds:
                runs = [(one["steps"], one["returns"]) for one in seeds.values()]
                found[task][1][name] = runs
    return found


def main():
    """Draw the figure."""
    tasks = curves()
    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    names = list(dict.fromkeys(name for _, runs in tasks.values() for name in runs))
    for ax, (task, (n_steps, algorithms)) in zip(panels, tasks.items(), strict=True):
        grid = np.linspace(0, n_steps, POINTS + 1)[1:]
        for name, runs in algorithms.items():
            values = np.array([resampled(*one, grid) for one in runs])
            known = np.isfinite(values).all(axis=0)
            low, middle, high = np.percentile(values[:, known], [25, 50, 75], axis=0)
            style = STYLES[names.index(name)]
            x = grid[known] / 1000
            ax.plot(x, middle, label=f"{name} ({len(runs)} seeds)", **style)
            ax.fill_between(x, low, high, color=style["color"], alpha=0.15, lw=0)
        ax.set(title=task, xlabel="thousand environment steps")
        ax.margins(x=0)
    for ax in panels[::3]:
        ax.set_ylabel("mean return")
    # below all panels: no panel has an empty corner
    labels = panels[0].get_legend_handles_labels()
    figure.legend(*labels, loc="outside lower center", ncols=len(labels[0]))
    path = RESULTS / "one_setting.png"
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=120))
    print(path)


if __name__ == "__main__":
    main()
