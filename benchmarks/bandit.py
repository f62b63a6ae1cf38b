"""The bandits of `bandit_trial` over seeds: python benchmarks/bandit.py."""

import json
from pathlib import Path

import bandit_trial as bandit
import matplotlib as mpl
import nengo
import numpy as np

from nengo_epes.files import write_atomically

SEEDS = range(10)  # learning rate, period and bounds were chosen on 1000 to 1009
RESULTS = Path(__file__).parent / "results"


def plot(results):
    """Draw mean, standard deviation and reward over the decisions, seed by seed."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    for result in results[False]:
        axes[0].plot(result["mean"], color="#0072B2", lw=0.6, alpha=0.6)
        axes[1].plot(result["standard_deviation"], color="#0072B2", lw=0.6, alpha=0.6)
    axes[0].axhline(0.6, color="0.2", ls="--", lw=1)
    axes[1].axhline(0.1, color="0.2", ls="--", lw=1)
    for contextual, colour in ((False, "#0072B2"), (True, "#E69F00")):
        rewards = np.stack([result["reward"] for result in results[contextual]])
        running = np.stack([np.convolve(r, np.ones(50) / 50, "valid") for r in rewards])
        label = "with contexts" if contextual else "one best action"
        style = {"color": colour, "ls": "--" if contextual else "-"}
        axes[2].plot(-np.median(running, axis=0), label=label, **style)
    axes[2].set(yscale="log", ylabel="minus reward, median of 10 seeds")
    axes[2].legend()
    axes[0].set(ylabel="mean of the policy (best: 0.6)")
    axes[1].set(ylabel="standard deviation", yscale="log")
    for ax in axes:
        ax.set(xlabel="decision")
    return figure


def main():
    """Run the seeds, count what was reached, and write table and figure."""
    results = {False: [], True: []}
    rows = []
    for contextual, collected in results.items():
        for seed in SEEDS:
            collected.append(bandit.run(seed=seed, contextual=contextual))
            rows.append(
                {
                    "contextual": contextual,
                    "seed": seed,
                    **bandit.summary(collected[-1]),
                }
            )
            print(rows[-1], flush=True)
    plain = [row for row in rows if not row["contextual"]]
    learned = [
        abs(row["mean, last 100"] - 0.6) <= 0.03
        and row["largest standard deviation, last 100"] < 0.1
        for row in plain
    ]
    # the best action that does not look at the context earns -0.6^2 / 3 on average
    enough = [row["reward, last 300"] >= 0.1 * -0.12 for row in rows[len(plain) :]]
    table = {
        "command": "python benchmarks/bandit.py",
        "versions": {"nengo": nengo.__version__, "numpy": np.__version__},
        "bandit: mean within 0.03 and standard deviation below 0.1": sum(learned),
        "contextual bandit: 90 % of what there is to gain": sum(enough),
        "of": len(SEEDS),
        "runs": rows,
    }
    print({key: table[key] for key in list(table)[2:5]})
    text = json.dumps(table, indent=2) + "\n"
    write_atomically(RESULTS / "bandit.json", lambda path: path.write_text(text))
    figure = plot(results)
    write_atomically(RESULTS / "bandit.png", lambda path: figure.savefig(path, dpi=120))


if __name__ == "__main__":
    mpl.use("agg")
    main()
