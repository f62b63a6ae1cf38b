"""Cost of learning: python benchmarks/speed.py.

Microseconds per simulator step for the same network without learning, with `nengo.PES`,
with the rule of the forum's draft, and with EPES. All simulators of a size alternate in
one process, in a new order every round; medians and quartiles are over rounds. Every
number of BLAS threads has its own process.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import tracemalloc
from functools import partial
from pathlib import Path

import matplotlib as mpl
import nengo
import numpy as np
from draft_rule import Draft

from nengo_epes import EPES
from nengo_epes.files import write_atomically

RESULTS = Path(__file__).parent / "results"
ROUNDS = 11
SECONDS = 0.06  # of a turn
DECODERS = [(100, 1), (1000, 2), (5000, 10)]
NEURONS = [(300, 300), (1000, 1000), (2000, 2000), (4000, 4000)]
NEURON_TYPES = {"LIF": nengo.LIF, "ReLU": nengo.RectifiedLinear}


def rules(kind, rows):
    """Return the compared rules by name; None is no learning."""
    if kind == "decoders":
        return {
            "none": None,
            "PES": nengo.PES(1e-9),
            "draft": Draft(1e-9, 1),
            "EPES": EPES(1e-9),
            "EPES, eligibility for each row": EPES(1e-9, size_eligibility=rows),
            "EPES, third factor for each row": EPES(1e-9, size_td_error=rows),
        }
    return {
        "none": None,
        "PES": nengo.PES(1e-9),
        "draft": Draft(1e-9, 2, post_derivative="auto"),
        "EPES": EPES(1e-9, size_eligibility=2, post_derivative="auto"),
        "EPES, no postsynaptic factor": EPES(1e-9, size_eligibility=2),
    }


def simulator(kind, shape, neuron_type, rule):
    """Build a network with one connection that learns by the rule, if any."""
    n_pre, rows = shape
    with nengo.Network(seed=1) as net:
        stimulus = nengo.Node(lambda t: [np.sin(7 * t), np.cos(5 * t)])
        pre = nengo.Ensemble(n_pre, 2, neuron_type=neuron_type())
        nengo.Connection(stimulus, pre, synapse=None)
        if kind == "decoders":
            post = nengo.Node(size_in=rows)
            solver = nengo.solvers.NoSolver(np.zeros((n_pre, rows)))
            options = {"function": lambda x: np.zeros(rows), "solver": solver}
            conn = nengo.Connection(pre, post, learning_rule_type=rule, **options)
        else:
            post = nengo.Ensemble(rows, 2, neuron_type=neuron_type())
            weights = np.random.RandomState(2).randn(rows, n_pre) * 1e-5
            conn = nengo.Connection(
                pre.neurons, post.neurons, transform=weights, learning_rule_type=rule
            )
        if rule is not None:
            port = conn.learning_rule
            n_errors = port.size_in
            if not isinstance(rule, nengo.PES):
                n_errors = getattr(rule, "size_td_error", 1)
            late = nengo.Node(lambda t: np.full(n_errors, np.sin(11 * t)))
            nengo.Connection(late, port[:n_errors], synapse=None)
            if not isinstance(rule, nengo.PES):
                one = nengo.Node(np.ones(port.size_in - n_errors))
                nengo.Connection(one, port[n_errors:], synapse=None)
    return nengo.Simulator(net, progress_bar=False)


def microseconds(sim, n_steps):
    """Time a turn; return microseconds per step."""
    start = time.perf_counter()
    sim.run_steps(n_steps, progress_bar=False)
    return (time.perf_counter() - start) / n_steps * 1e6


def peak_memory(build):
    """Return the peak of the memory allocated to build and run, in bytes."""
    tracemalloc.start()
    with build() as sim:
        sim.run_steps(3, progress_bar=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def compare(kind, shape, neuron_type, rounds):
    """Time all rules alternately for one size; return a row for each."""
    candidates = rules(kind, shape[1])
    if shape[0] >= 4000 and kind == "neurons":
        candidates.pop("draft")  # minutes
    sims, steps, times = {}, {}, {name: [] for name in candidates}
    for name, rule in candidates.items():
        sims[name] = simulator(kind, shape, NEURON_TYPES[neuron_type], rule)
        sims[name].run_steps(100, progress_bar=False)
        steps[name] = max(10, int(SECONDS * 1e6 / microseconds(sims[name], 70)))
    rng = np.random.RandomState(3)
    for _ in range(rounds):
        for name in rng.permutation(list(candidates)):
            times[name].append(microseconds(sims[name], steps[name]))
    for sim in sims.values():
        sim.close()
    rows = []
    for name, values in times.items():
        low, median, high = np.percentile(values, [25, 50, 75])
        build = partial(
            simulator, kind, shape, NEURON_TYPES[neuron_type], candidates[name]
        )
        rows.append(
            {
                "kind": kind,
                "n_pre": shape[0],
                "rows": shape[1],
                "neurons": neuron_type,
                "rule": name,
                "us": round(float(median), 1),
                "quartiles": [round(float(low), 1), round(float(high), 1)],
                "added": round(float(median - np.median(times["none"])), 1),
                "peak_mb": round(peak_memory(build) / 1e6, 1),
            }
        )
    return rows


def memory_limit(shape):
    """Time one read and one write of the weights, in microseconds."""
    weights = np.ones(shape)
    times = []
    for _ in range(30):
        start = time.perf_counter()
        np.negative(weights, out=weights)
        times.append(time.perf_counter() - start)
    return round(float(np.median(times)) * 1e6, 1)


def measure(rounds, sizes):
    """Measure everything in this process; print each result."""
    table, limits = [], {}
    for kind, shapes in sizes.items():
        for shape in shapes:
            limits[f"{shape[1]} x {shape[0]}"] = memory_limit(shape[::-1])
            for neuron_type in NEURON_TYPES:
                rows = compare(kind, shape, neuron_type, rounds)
                table += rows
                for row in rows:
                    print(*(row[k] for k in row), file=sys.stderr, flush=True)
    return {"table": table, "read and write of the weights (us)": limits}


def main():
    """Measure with one and with two BLAS threads, and write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", help="decoders or neurons")
    parser.add_argument("--largest", type=int, default=10**6, help="of n_pre")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        sizes = {
            kind: [s for s in shapes if s[0] <= options.largest]
            for kind, shapes in {"decoders": DECODERS, "neurons": NEURONS}.items()
            if options.only in (None, kind)
        }
        print(json.dumps(measure(options.rounds, sizes)))
        return
    results = {}
    for threads in ("1", "2"):
        done = subprocess.run(
            [sys.executable, __file__, "--here", *sys.argv[1:]],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            stdout=subprocess.PIPE,
            check=True,
        )
        results[f"{threads} BLAS threads"] = json.loads(done.stdout)
    results = {
        "command": "python benchmarks/speed.py",
        "versions": {"nengo": nengo.__version__, "numpy": np.__version__},
        "rounds": options.rounds,
        **results,
    }
    text = json.dumps(results, indent=1) + "\n"
    write_atomically(RESULTS / "speed.json", lambda path: path.write_text(text))
    write_atomically(
        RESULTS / "speed.md", lambda path: path.write_text(as_markdown(results))
    )
    figure = plot(results["1 BLAS threads"]["table"])
    write_atomically(RESULTS / "speed.png", lambda path: figure.savefig(path, dpi=150))


def as_markdown(results):
    """Return the table of LIF neurons, with one and with two BLAS threads."""
    lines = [
        "| connection | rule | µs a step | quartiles | added | of PES's "
        "| of the draft's | µs, 2 threads | peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    one, two = (results[f"{n} BLAS threads"]["table"] for n in (1, 2))
    for row, other in zip(one, two, strict=True):
        if row["neurons"] != "LIF":
            continue
        where = {key: row[key] for key in ("kind", "n_pre", "rows", "neurons")}
        added = {
            r["rule"]: r["added"] for r in one if all(r[k] == where[k] for k in where)
        }
        ratios = [
            f"{row['added'] / added[rule]:.2f}" if rule in added else ""
            for rule in ("PES", "draft")
        ]
        low, high = row["quartiles"]
        cells = [
            f"{row['kind']}, {row['n_pre']} x {row['rows']}",
            row["rule"],
            f"{row['us']:.0f}",
            f"{low:.0f} to {high:.0f}",
            f"{row['added']:.0f}",
            *ratios,
            f"{other['us']:.0f}",
            f"{row['peak_mb']:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    limits = results["1 BLAS threads"]["read and write of the weights (us)"]
    lines += [
        "",
        "One read and one write of the weights takes on the same machine:",
        "",
    ]
    lines += [f"* {size}: {us:.0f} µs" for size, us in limits.items()]
    return "\n".join(lines) + "\n"


def plot(table):
    """Plot the cost against the number of weights, for LIF, on log-log axes."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    styles = {
        "none": ("0.4", ":", "o"),
        "PES": ("#0072B2", "--", "s"),
        "draft": ("#D55E00", "-.", "^"),
        "EPES": ("#009E73", "-", "D"),
    }
    for ax, kind in zip(axes, ("decoders", "neurons"), strict=True):
        for name, (colour, dashes, marker) in styles.items():
            rows = [
                row
                for row in table
                if (row["kind"], row["neurons"], row["rule"]) == (kind, "LIF", name)
            ]
            ax.loglog(
                [row["n_pre"] * row["rows"] for row in rows],
                [row["us"] for row in rows],
                color=colour,
                ls=dashes,
                marker=marker,
                label="no learning" if name == "none" else name,
            )
        ax.set(xlabel="weights", ylabel="time of a simulator step (µs)", title=kind)
        ax.legend()
        ax.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    mpl.use("agg")
    main()
