"""A hidden layer taught by random feedback, over seeds: benchmarks/hidden_layer.py.

Every line of `hidden_network` learns both tasks. The study measures the error of the
output, and the angle between the weight change of the hidden layer and the gradient,
which the rule does not use. A line has learned a task if the RMSE of its test is below
half of the least RMSE without learning in the hidden layer. It has failed if the RMSE
is above 0.75 of the least RMSE.
"""

import json
import math
from pathlib import Path

import matplotlib as mpl
import nengo
import numpy as np
from hidden_network import DT, HOLD, LINES, SAMPLE, WINDOW, additive_rmse, build

from nengo_epes.arithmetic.surrogates import PiecewiseLinear, from_lif_state
from nengo_epes.files import write_atomically

SEEDS = range(10)  # settings were chosen on seeds 1000 to 1008
SETTINGS = {
    "xor": {"seconds": 60.0, "test_seconds": 4.0, "learning_rate": 2e-3},
    "square": {"seconds": 70.0, "test_seconds": 12.0, "learning_rate": 1e-2},
}
# with a delayed error, random changes take longer to average out
LATE_SETTINGS = {
    "xor": SETTINGS["xor"] | {"learning_rate": 1e-3},
    "square": SETTINGS["square"] | {"seconds": 100.0},
}
RESULTS = Path(__file__).parent / "results"
# colours of Okabe and Ito; dashes and markers differ too
STYLES = {
    "decoders only": ("#000000", ":", "x"),
    "encoder feedback": ("#56B4E9", "-", "s"),
    "random feedback": ("#D55E00", "-", "o"),
    "no pseudo-derivative": ("#E69F00", "--", "^"),
    "no pseudo-derivative, rate / 10": ("#CC79A7", "--", "v"),
    "late error, trace": ("#009E73", "-.", "D"),
    "late error, tau_e = 0": ("#0072B2", (0, (1, 1)), "P"),
}


def angle(one, other):
    """Return the angle between two arrays in degrees; NaN if one of them is 0."""
    one, other = np.ravel(one), np.ravel(other)
    size = np.linalg.norm(one) * np.linalg.norm(other)
    if size == 0:
        return math.nan
    return float(np.degrees(np.arccos(np.clip(one @ other / size, -1, 1))))


def gradient(psi, errors, activities, decoders):
    """Return the direction in which the squared error falls, shape (n_hidden, n_pre).

    The sum over times of -psi (D^T error) a^T: the gradient with the derivative of the
    neurons replaced by their pseudo-derivative psi. Shapes: (times, n_hidden), (times,
    size), (times, n_pre) and (size, n_hidden).
    """
    return -(psi * (errors @ decoders)).T @ activities


def run(
    task="xor",
    line="random feedback",
    seed=0,
    seconds=60.0,
    test_seconds=4.0,
    **options,
):
    """Let one line learn a task for a multiple of 2 s, and test it.

    ``options`` are options of `build`. Returns a dict. ``rmse``: RMSE of the test, from
    the last quarter of each presentation, when the output has settled. ``additive``:
    least RMSE without learning in the hidden layer. ``signs``: fraction of outputs with
    the sign of their target. ``error``: RMSE of each window of 2 s. ``angle``: angle
    between the change of the hidden weights in each window and the `gradient`, NaN if
    they did not change. ``rate``: rate of the hidden neurons in hertz. ``time``: ends
    of the windows.
    """
    network, probes = build(task, line, seed, seconds, test_seconds, **options)
    with nengo.Simulator(network, dt=DT, progress_bar=False) as simulator:
        simulator.run(seconds + test_seconds)
        data = {name: simulator.data[probe] for name, probe in probes.items()}
        for name in ("weights", "decoders"):
            first = simulator.data[probes[name].target].weights
            data[name] = np.concatenate([first[None], data[name]])
    output, target = (_settled(data[name]) for name in ("output", "target"))
    squared = np.mean((output - target) ** 2, axis=(1, 2))
    test = slice(round(seconds / HOLD), None)
    return {
        "rmse": float(np.sqrt(squared[test].mean())),
        "additive": additive_rmse(target[test].mean(axis=1)),
        "signs": float(np.mean(np.sign(output[test]) == np.sign(target[test]))),
        "error": np.sqrt(squared.reshape(-1, round(WINDOW / HOLD)).mean(axis=1)),
        "rate": float(np.mean(data["spikes"])),
        "angle": _angles(data, round(seconds / WINDOW)),
        "time": WINDOW * np.arange(1, 1 + round((seconds + test_seconds) / WINDOW)),
    }


def _settled(samples):
    """Return the last quarter of every presentation: (presentations, samples, size)."""
    count = round(HOLD / SAMPLE)
    return samples.reshape(-1, count, samples.shape[1])[:, count - count // 4 :]


def _angles(data, n_windows):
    """Return the angle of each window to the gradient at its initial decoders."""
    psi = from_lif_state(
        PiecewiseLinear(), data["voltage"], data["refractory_time"], data["spikes"], DT
    )
    count, angles = round(WINDOW / SAMPLE), []
    weights, decoders = data["weights"], data["decoders"]
    for k in range(n_windows):
        samples = slice(k * count, (k + 1) * count)
        downhill = gradient(
            psi[samples], data["error"][samples], data["sensors"][samples], decoders[k]
        )
        angles.append(angle(weights[k + 1] - weights[k], downhill))
    return np.array(angles)


def learn(task):
    """Run all lines and seeds of a task; return their results, by line."""
    results = {line: [] for line in LINES}
    for seed in SEEDS:
        for line, collected in results.items():
            settings = (LATE_SETTINGS if LINES[line].delay else SETTINGS)[task]
            result = run(task, line, seed, **settings)
            collected.append(result)
            print(task, seed, line, round(result["rmse"], 4), flush=True)
    return results


def summary(task, results):
    """Reduce the results of a task to the reported numbers."""
    rmse = {line: [r["rmse"] for r in runs] for line, runs in results.items()}
    ratio = np.divide(rmse["random feedback"], rmse["encoder feedback"])
    relative = {
        line: [r["rmse"] / r["additive"] for r in runs]
        for line, runs in results.items()
    }
    runs = {
        line: {
            "mean RMSE": float(np.mean(values)),
            "learned": sum(value < 0.5 for value in relative[line]),
            "failed": sum(value > 0.75 for value in relative[line]),
            "RMSE": _rounded(values),
            "least RMSE without learning in the hidden layer": _rounded(
                [r["additive"] for r in results[line]]
            ),
            "right signs": _rounded([r["signs"] for r in results[line]]),
            "mean rate (Hz)": _rounded([r["rate"] for r in results[line]], 1),
            "median RMSE over time": _median(results[line], "error", 4),
            "median angle over time (degrees)": _median(results[line], "angle", 1),
        }
        for line, values in rmse.items()
    }
    return {
        "settings": SETTINGS[task],
        "settings of the lines with a late error": LATE_SETTINGS[task],
        "random feedback within 20 % of encoder feedback": int(np.sum(ratio <= 1.2)),
        "random relative to encoder feedback": _rounded(ratio),
        "lines": runs,
    }


def _rounded(values, digits=4):
    return [round(float(value), digits) for value in values]


def _median(runs, name, digits):
    """Return the median over seeds; None if the hidden layer did not change."""
    values = np.median([run[name] for run in runs], axis=0)
    return None if np.isnan(values).any() else _rounded(values, digits)


def plot(results):
    """Draw, for each task, the errors of the test, and error and angle over time."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        2, 3, figsize=(13, 7), layout="constrained", width_ratios=(1.1, 1, 1)
    )
    titles = {"xor": "XOR", "square": "the square of a complex number"}
    for row, (task, of_task) in zip(axes, results.items(), strict=True):
        for k, (line, (colour, dashes, marker)) in enumerate(STYLES.items()):
            runs = of_task[line]
            rmse = [run["rmse"] / run["additive"] for run in runs]
            style = {"color": colour, "marker": marker, "ls": "none", "mfc": "none"}
            spread = np.linspace(-0.25, 0.25, len(rmse))
            row[0].plot(rmse, k + spread, ms=5, **style)
            style = {"color": colour, "ls": dashes, "lw": 1.8}
            row[1].plot(runs[0]["time"], _seeds_median(runs, "error"), **style)
            if line in ("encoder feedback", "random feedback", "late error, trace"):
                angles = _seeds_median(runs, "angle")
                time = runs[0]["time"][: len(angles)]
                row[2].plot(time, angles, label=line, **style)
                low, high = np.quantile([r["angle"] for r in runs], (0, 1), axis=0)
                row[2].fill_between(time, low, high, color=colour, alpha=0.15, lw=0)
        row[0].axvline(1, color="0.5", lw=1)
        row[0].set_yticks(range(len(STYLES)), STYLES)
        row[0].invert_yaxis()
        row[0].set(xscale="log", xlim=(0.02, 2), title=titles[task])
        row[0].set(xlabel="RMSE of the test / least without hidden learning")
        for settings in (SETTINGS[task], LATE_SETTINGS[task]):
            row[1].axvline(settings["seconds"], color="0.5", lw=1)
        row[1].set(yscale="log", xlabel="time (s)", ylabel="RMSE over 2 s, median")
        row[1].set_title("learning; right of the lines the tests")
        row[2].axhline(90, color="0.5", lw=1)
        row[2].set(xlabel="time (s)", ylabel="angle (degrees)", ylim=(0, 125))
        row[2].set_title("between update and gradient")
        row[2].legend(fontsize="small", loc="upper right")
    return figure


def _seeds_median(runs, name):
    return np.median([run[name] for run in runs], axis=0)


def main():
    """Run the seeds, count the successes, and write table and figure."""
    results = {task: learn(task) for task in SETTINGS}
    table = {
        "command": "python benchmarks/hidden_layer.py",
        "versions": {"nengo": nengo.__version__, "numpy": np.__version__},
        "seeds": list(SEEDS),
        **{task: summary(task, of_task) for task, of_task in results.items()},
    }
    for task in SETTINGS:
        print(task, *list(table[task].items())[2:4], sep="\n  ")
        for line, row in table[task]["lines"].items():
            print("  ", line, *list(row.items())[:3])
    text = json.dumps(table, indent=2) + "\n"
    write_atomically(RESULTS / "hidden_layer.json", lambda path: path.write_text(text))
    figure = plot(results)
    write_atomically(
        RESULTS / "hidden_layer.png", lambda path: figure.savefig(path, dpi=110)
    )


if __name__ == "__main__":
    mpl.use("agg")
    main()
