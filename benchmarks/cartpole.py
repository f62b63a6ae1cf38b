"""CartPole-v1 over seeds: python benchmarks/cartpole.py.

An agent has learned when the mean return of 50 episodes in a row is at least 475. It
goes on for 50 more, whose mean tells whether it stays so. If it has not after so many
steps of the environment as its case has for limit, it has failed. Each finished seed
has a file in ``study-cartpole/``; run the same command again to resume.
"""

import json
import time
from pathlib import Path

import gymnasium
import nengo
import numpy as np
from many import run_many
from matplotlib.figure import Figure
from tasks import cartpole_trial

from nengo_epes.files import write_atomically

# steps, neurons' intercepts, bonus and filters were chosen on seeds 1000 to 1009
SEEDS = range(20)
CASES = {
    "relu": {"limit": 150_000, "options": {}},
    "lif": {"limit": 150_000, "options": {"n_after": 0, "neurons": "lif"}},
    # rates of their own, from cartpole_tuning.py
    "relu, step sizes": {
        "limit": 70_000,
        "options": {"intentional": False, "eta_critic": 1e-8, "eta_actor": 5e-8},
    },
    "relu, lambda 0": {
        "limit": 70_000,
        "options": {"lambda_": 0.0, "eta_critic": 0.4, "eta_actor": 0.0002},
    },
    "relu, lambda 0, step sizes": {
        "limit": 70_000,
        "options": {
            "lambda_": 0.0,
            "intentional": False,
            "eta_critic": 5e-8,
            "eta_actor": 5e-8,
        },
    },
}
STYLES = {  # Okabe and Ito's colours
    "relu": ("#0072B2", "-", "1000 ReLU"),
    "lif": ("#009E73", "-", "1000 spiking LIF"),
    "relu, step sizes": ("#E69F00", "-.", "1000 ReLU, step sizes"),
    "relu, lambda 0": ("#D55E00", "--", "1000 ReLU, no trace"),
    "relu, lambda 0, step sizes": ("#CC79A7", ":", "1000 ReLU, no trace, step sizes"),
}
PUBLISHED = {
    "stream-AC(0.8), deep network": (99, 34_900),
    "TD(0), 4096 neurons in Nengo": (624.5, 111_051),
}
RESULTS = Path(__file__).parent / "results"
TABLE = RESULTS / "cartpole.json"


def run(seed, case):
    """Return the row of one seed."""
    start = time.perf_counter()
    result = cartpole_trial(seed, CASES[case]["limit"], **CASES[case]["options"])
    result["seconds"] = round(time.perf_counter() - start, 1)
    if result["episodes"] is None:
        # in runs that fail there are thousands of short ones
        result["returns"] = result["returns"][-50:]
    return {"case": case, "seed": seed, **result}


def summary(rows):
    """Reduce the rows of a case to the numbers that are reported; failures count."""
    episodes = [np.inf if row["episodes"] is None else row["episodes"] for row in rows]
    steps = [np.inf if row["steps"] is None else row["steps"] for row in rows]
    after = [row["mean after"] for row in rows if row["mean after"] is not None]

    def finite(number):
        return float(number) if np.isfinite(number) else None

    return {
        "learned": int(np.isfinite(episodes).sum()),
        "of": len(rows),
        "median episodes": finite(np.median(episodes)),
        "median steps": finite(np.median(steps)),
        "largest steps": finite(np.max(steps)),
        "50 episodes later, mean": float(np.mean(after)) if after else None,
        "50 episodes later, least": float(np.min(after)) if after else None,
    }


def save(rows):
    """Write the table, and print the numbers of the cases."""
    cases = {name: [row for row in rows if row["case"] == name] for name in CASES}
    table = {
        "command": "python benchmarks/cartpole.py",
        "versions": {
            "nengo": nengo.__version__,
            "numpy": np.__version__,
            "gymnasium": gymnasium.__version__,
        },
        "criterion": "mean return of 50 episodes at least 475",
        "limits, steps": {name: case["limit"] for name, case in CASES.items()},
        "cases": {name: summary(found) for name, found in cases.items()},
        "runs": rows,
    }
    text = json.dumps(table, indent=1) + "\n"
    write_atomically(TABLE, lambda path: path.write_text(text))
    print(json.dumps(table["cases"], indent=1))


def plot(rows):
    """Draw returns where all learn, and the share of seeds that have learned."""
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    returns, *shares = figure.subplots(1, 3)
    handles = []
    for case, (colour, dashes, label) in STYLES.items():
        style = {"color": colour, "ls": dashes}
        found = [row for row in rows if row["case"] == case]
        if all(row["episodes"] for row in found):
            for row in found:
                means = np.convolve(row["returns"], np.ones(50) / 50, "valid")
                steps = np.cumsum(row["returns"])[49:]
                returns.plot(steps / 1000, means, lw=0.8, alpha=0.7, **style)
        limits = CASES[case]["limit"] / 1e3, 1000
        for axes, key, unit, limit in zip(
            shares, ("steps", "episodes"), (1e3, 1), limits, strict=True
        ):
            needed = sorted(row[key] / unit for row in found if row[key])
            share = np.arange(len(needed) + 1) / max(len(found), 1)
            (line,) = axes.step(
                [0, *needed, limit], [*share, share[-1]], where="post", **style
            )
            line.set_label(f"{label} ({len(found)} seeds)")
        handles.append(line)
    for (name, medians), marker in zip(PUBLISHED.items(), ("v", "s"), strict=True):
        for axes, median in zip(shares, (medians[1] / 1e3, medians[0]), strict=True):
            style = {"color": "0.3", "ls": "", "label": f"{name}: median"}
            (point,) = axes.plot(median, 0.5, marker, zorder=3, **style)
        handles.append(point)
    returns.axhline(475, color="0.3", lw=0.8, ls=":")
    returns.set(
        xlabel="steps of the environment (thousands)",
        ylabel="mean return of the last 50 episodes",
        ylim=(0, 510),
    )
    for axes, name, ticks in zip(
        shares,
        ("thousands of steps", "episodes"),
        ([20, 30, 50, 70, 100], [50, 100, 200, 500, 1000]),
        strict=True,
    ):
        axes.set(
            xlabel=f"{name} until the mean of 50 is 475 or more",
            ylabel="share of seeds",
            ylim=(-0.02, 1.02),
            xscale="log",
            xlim=(ticks[0], ticks[-1] * 1.2),
        )
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def main():
    """Run the cases and seeds that have no file yet, and write table and figure."""
    cases = {name: {"case": name} for name in CASES}
    found = run_many(run, cases, SEEDS, "study-cartpole")
    rows = [row for case in CASES for row in found[case]]
    save(rows)
    figure = plot(rows)
    write_atomically(
        RESULTS / "cartpole.png", lambda path: figure.savefig(path, dpi=120)
    )


if __name__ == "__main__":
    main()
