"""Learning rates ten times too large: python benchmarks/bounded_steps.py.

The networks are those of `nengo_epes.trials.random_networks`, seeds 0 to 19, 100,000
steps each. Counted is in how many all weights stay finite: with the plain step (which
has to fail, or nothing would have been tested), with ObGD, with Intentional, and with
ten times Intentional's eta, which takes the place of the learning rate.
"""

import json
from pathlib import Path

import matplotlib as mpl
import nengo
import numpy as np

from nengo_epes.files import write_atomically
from nengo_epes.trials import bounded_steps, random_networks

SEEDS = range(20)  # the kinds of networks were chosen on 1000 to 1011
N_STEPS, CHUNK = 100_000, 1000
RESULTS = Path(__file__).parent / "results"
STYLES = {  # Okabe and Ito's colours
    "plain, a tenth of the rate": ("#000000", "-"),
    "plain": ("#D55E00", ":"),
    "ObGD": ("#0072B2", "--"),
    "Intentional": ("#009E73", "-."),
    "Intentional, eta x 10": ("#E69F00", (0, (5, 1, 1, 1, 1, 1))),
}


def last_error(result):
    """Return the root mean square of the error over the last tenth, if there is one."""
    tenth = result["error"][-N_STEPS // CHUNK // 10 :]
    error = float(np.sqrt(np.mean(tenth**2))) if result["finite"] else np.inf
    return error if np.isfinite(error) else None


def summary(results):
    """Reduce the runs of one line to the numbers that are reported."""
    finite = [result for result in results if result["finite"]]
    errors = [last_error(result) for result in results]
    return {
        "finite": len(finite),
        "of": len(results),
        "largest weight of those": max(
            (float(result["largest_weight"].max()) for result in finite), default=None
        ),
        "error, median of all": float(
            np.median([np.inf if error is None else error for error in errors])
        ),
    }


def row(seed, line, result):
    """Describe one run."""
    return {
        "seed": seed,
        "line": line,
        "finite": result["finite"],
        "steps": result["n_steps"],
        "largest weight": float(result["largest_weight"].max(initial=0.0)),
        "error, last tenth": last_error(result),
    }


def plot(results):
    """Draw the largest weight of every network, and the median of their errors."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    seconds = np.arange(1, N_STEPS // CHUNK + 1) * CHUNK * random_networks.DT
    for line, (colour, dashes) in STYLES.items():
        errors = np.full((len(results[line]), len(seconds)), np.inf)
        for i, result in enumerate(results[line]):
            largest = result["largest_weight"]
            axes[0].plot(
                seconds[: len(largest)], largest, color=colour, ls=dashes, lw=0.8
            )
            errors[i, : len(largest)] = result["error"]
        median = np.median(np.where(np.isfinite(errors), errors, 1e300), axis=0)
        axes[1].plot(seconds, median, color=colour, ls=dashes, lw=1.8, label=line)
    axes[0].set(ylabel="largest size of a weight", ylim=(1e-10, 1e10))
    axes[1].set(ylabel="error, relative to that without learning", ylim=(1e-3, 1e3))
    axes[0].set_title("each of 20 networks")
    axes[1].set_title("median of 20 networks")
    axes[1].legend()
    for ax in axes:
        ax.set(xlabel="time (s)", xscale="log", yscale="log")
    return figure


def main():
    """Run the seeds, count what stayed finite, and write table and figure."""
    results, rows = {line: [] for line in bounded_steps.LINES}, []
    for seed in SEEDS:
        for line, collected in results.items():
            collected.append(bounded_steps.run(seed, line, N_STEPS, CHUNK))
            rows.append(row(seed, line, collected[-1]))
            print(rows[-1], flush=True)
    table = {
        "command": "python benchmarks/bounded_steps.py",
        "versions": {"nengo": nengo.__version__, "numpy": np.__version__},
        "steps": N_STEPS,
        "learning rate, relative to the largest stable one": {
            line: factor for line, (factor, _) in bounded_steps.LINES.items()
        },
        "lines": {line: summary(runs) for line, runs in results.items()},
        "networks": {str(seed): random_networks.draw(seed) for seed in SEEDS},
        "runs": rows,
    }
    print(json.dumps(table["lines"], indent=2))
    # infinity is no JSON
    text = json.dumps(table, indent=2).replace("Infinity", "null") + "\n"
    write_atomically(RESULTS / "bounded_steps.json", lambda path: path.write_text(text))
    figure = plot(results)
    write_atomically(
        RESULTS / "bounded_steps.png", lambda path: figure.savefig(path, dpi=120)
    )


if __name__ == "__main__":
    mpl.use("agg")
    main()
