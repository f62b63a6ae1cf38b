"""Learning rates ten times too large: python benchmarks/bounded_steps.py.

The networks come from `random_networks`, seeds 0 to 19, and run 100,000 steps each. The
study counts the networks whose weights all stay finite: with the plain step (which must
fail, or the study would test nothing), with ObGD, with Intentional, and with ten times
Intentional's eta, its counterpart of the learning rate. It also counts the networks
whose error at the end exceeds ten times the error without learning.
"""

import json
from pathlib import Path

import matplotlib as mpl
import nengo
import numpy as np
import random_networks
from nengo.exceptions import SimulationError

from nengo_epes import EPES
from nengo_epes.arithmetic import step_sizes
from nengo_epes.files import write_atomically

SEEDS = range(20)  # the kinds of networks were chosen on 1000 to 1011
N_STEPS, CHUNK = 100_000, 1000
RESULTS = Path(__file__).parent / "results"
STYLES = {  # colours of Okabe and Ito
    "plain, a tenth of the rate": ("#000000", "-"),
    "plain": ("#D55E00", ":"),
    "ObGD": ("#0072B2", "--"),
    "Intentional": ("#009E73", "-."),
    "Intentional, eta x 10": ("#E69F00", (0, (5, 1, 1, 1, 1, 1))),
}


# learning rate relative to the largest stable rate, and the bounded step
LINES = {
    "plain, a tenth of the rate": (0.1, None),
    "plain": (10.0, None),
    "ObGD": (10.0, step_sizes.ObGD()),
    "Intentional": (10.0, step_sizes.Intentional()),
    "Intentional, eta x 10": (10.0, step_sizes.Intentional(eta=5.0)),
}


def rule_of(seed, line):
    """Return the rule of a line for a random network."""
    drawn = random_networks.draw(seed)
    factor, step = LINES[line]
    return EPES(
        factor * random_networks.measured_stable_rate(seed),
        trace_synapse=drawn["tau_e"],
        size_eligibility=drawn["dimensions"],
        step=step,
        controls=drawn["controls"],
    )


def run(seed=0, line="ObGD", n_steps=100_000, chunk=1000):
    """Let a random network learn, and check after every chunk that it is finite.

    Returns a dict. ``finite``: whether all steps were simulated and all weights are
    finite. ``n_steps``: number of steps before the first chunk that is not finite.
    ``largest_weight``: largest absolute weight by chunk. ``error``: root mean square
    error by chunk, relative to the error without learning.
    """
    rule = rule_of(seed, line)
    network, learned, probe = random_networks.build(seed, rule)
    largest, squares, finite = [], [], True
    # overflow is a result of the study
    with (
        np.errstate(over="ignore"),
        nengo.Simulator(
            network, dt=random_networks.DT, progress_bar=False
        ) as simulator,
    ):
        weights = simulator.signals[simulator.model.sig[learned]["weights"]]
        while finite and simulator.n_steps < n_steps:
            before = simulator.n_steps
            try:
                simulator.run_steps(min(chunk, n_steps - before))
                finite = bool(np.isfinite(weights).all())
            except (SimulationError, FloatingPointError):
                finite = False
            if finite:
                largest.append(np.abs(weights).max())
                squares.append((simulator.data[probe][before:] ** 2).mean(axis=0))
        n_simulated = simulator.n_steps if finite else before
    error, target = np.reshape(squares, (-1, 2)).T
    return {
        "finite": finite,
        "n_steps": n_simulated,
        "largest_weight": np.array(largest),
        "error": np.sqrt(error / target.mean()) if squares else error,
    }


def last_error(result):
    """Return the root mean square error of the last tenth, if the run got that far."""
    tenth = result["error"][-N_STEPS // CHUNK // 10 :]
    error = float(np.sqrt(np.mean(tenth**2))) if result["finite"] else np.inf
    return error if np.isfinite(error) else None


def summary(results):
    """Reduce the runs of one line to the reported numbers."""
    finite = [result for result in results if result["finite"]]
    errors = [last_error(result) for result in results]
    return {
        "finite": len(finite),
        "of": len(results),
        "error above 10": sum(error is None or error > 10 for error in errors),
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
    """Draw the largest weight of all networks, and the median of their errors."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    seconds = np.arange(1, N_STEPS // CHUNK + 1) * CHUNK * random_networks.DT
    for line, (colour, dashes) in STYLES.items():
        style = {"color": colour, "ls": dashes, "lw": 1.8, "label": line}
        # NaN and infinity are drawn far above the axes
        weights, errors = np.full((2, len(results[line]), len(seconds)), 1e300)
        for i, result in enumerate(results[line]):
            n_looks = len(result["largest_weight"])
            weights[i, :n_looks] = result["largest_weight"]
            errors[i, :n_looks] = np.minimum(result["error"], 1e300)
        axes[0].plot(seconds, weights.max(axis=0), **style)
        axes[1].plot(seconds, np.median(errors, axis=0), **style)
    axes[0].set(ylabel="largest size of a weight", ylim=(1e-4, 1e15))
    axes[1].set(ylabel="error, relative to that without learning", ylim=(1e-2, 1e2))
    axes[0].set_title("largest of 20 networks")
    axes[1].set_title("median of 20 networks")
    axes[0].legend(title='"plain" is above both axes')
    for ax in axes:
        ax.set(xlabel="time (s)", xscale="log", yscale="log")
    return figure


def main():
    """Run the seeds, count the finite runs, and write table and figure."""
    results, rows = {line: [] for line in LINES}, []
    for seed in SEEDS:
        for line, collected in results.items():
            collected.append(run(seed, line, N_STEPS, CHUNK))
            rows.append(row(seed, line, collected[-1]))
            print(rows[-1], flush=True)
    table = {
        "command": "python benchmarks/bounded_steps.py",
        "versions": {"nengo": nengo.__version__, "numpy": np.__version__},
        "steps": N_STEPS,
        "learning rate, relative to the largest stable one": {
            line: factor for line, (factor, _) in LINES.items()
        },
        "lines": {line: summary(runs) for line, runs in results.items()},
        "networks": {str(seed): random_networks.draw(seed) for seed in SEEDS},
        "runs": rows,
    }
    print(json.dumps(table["lines"], indent=2))
    # JSON has no infinity
    text = json.dumps(table, indent=2).replace("Infinity", "null") + "\n"
    write_atomically(RESULTS / "bounded_steps.json", lambda path: path.write_text(text))
    figure = plot(results)
    write_atomically(
        RESULTS / "bounded_steps.png", lambda path: figure.savefig(path, dpi=120)
    )


if __name__ == "__main__":
    mpl.use("agg")
    main()
