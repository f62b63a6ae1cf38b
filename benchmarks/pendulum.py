"""Pendulum-v1 over seeds, `nengo_epes.trials.pendulum`: python benchmarks/pendulum.py.

Every seed learns for 60,000 steps of the environment, with and without traces, and is
then measured without noise on 100 fixed beginnings. What is done stands in
``study-pendulum/``, where a run that was broken off goes on. For comparison there is
what benchmarks/pendulum_optimum.py has found.
"""

import json
from pathlib import Path

import gymnasium
import matplotlib as mpl
import nengo
import numpy as np

from nengo_epes.files import write_atomically
from nengo_epes.plots import learning_curves, policy_map, value_map
from nengo_epes.sweep import read, sweep
from nengo_epes.trials import pendulum
from nengo_epes.trials.training import train

# settings were chosen on seeds from 1000 on
SEEDS = range(10)
FOLDER = Path("study-pendulum")
RESULTS = Path(__file__).parent / "results"
EPISODE = 200


def summary(runs):
    """Reduce the runs of a case to the numbers that are reported; failures count."""
    greedy = [run["greedy mean"] for run in runs]
    reached = [run["episodes"] for run in runs if run["episodes"] is not None]
    episodes = reached + [np.inf] * (len(runs) - len(reached))
    median = np.median(episodes)
    return {
        "seeds": len(runs),
        "greedy mean": float(np.mean(greedy)),
        "standard deviation over seeds": float(np.std(greedy, ddof=1)),
        "worst seed": min(greedy),
        "best seed": max(greedy),
        "reached -300": len(reached),
        "median episodes": float(median) if np.isfinite(median) else None,
        "most episodes": max(reached) if len(reached) == len(runs) else None,
    }


def save(cases):
    """Write the results of all runs, by case, and their summary."""
    table = {
        "command": "python benchmarks/pendulum.py",
        "versions": {
            "nengo": nengo.__version__,
            "numpy": np.__version__,
            "gymnasium": gymnasium.__version__,
        },
        "criterion": f"mean return of {pendulum.WINDOW} episodes at least -300",
        "steps": pendulum.N_STEPS,
        "cases": {name: summary(runs) for name, runs in cases.items()},
        "runs": cases,
    }
    text = json.dumps(table, indent=1) + "\n"
    write_atomically(RESULTS / "pendulum.json", lambda path: path.write_text(text))
    print(json.dumps(table["cases"], indent=1))


def plot(cases, optimum):
    """Draw returns, greedy means, and what an agent of the first seed has learned."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
    curves = {
        name: [
            {**run, "steps": EPISODE * np.arange(1, len(run["returns"]) + 1)}
            for run in runs
        ]
        for name, runs in cases.items()
    }
    learning_curves(curves, pendulum.WINDOW, ax=axes[0, 0])
    axes[0, 0].axhline(pendulum.CRITERION, color="0.3", lw=0.8, ls=":")
    greedy = [run["greedy mean"] for run in cases["with traces"]]
    axes[0, 1].plot(np.sort(greedy), np.arange(1, len(greedy) + 1), "o")
    axes[0, 1].axvline(optimum, color="0.3", ls="--", label="dynamic programming")
    axes[0, 1].set(
        xlabel="mean greedy return, 100 fixed beginnings", ylabel="seeds, worst first"
    )
    axes[0, 1].legend(fontsize="small")
    _draw_learned(axes[1])
    return figure


def _draw_learned(axes):
    weights = train(pendulum.build, SEEDS[0], pendulum.N_STEPS)["weights"]
    network, _, agent = pendulum.build(SEEDS[0])
    with nengo.Simulator(network, progress_bar=False) as simulator:
        plane = (
            np.linspace(-np.pi, np.pi, 121),
            np.linspace(-8, 8, 121),
            ("angle from upright (rad)", "angular velocity (rad/s)"),
            lambda x, y: np.stack([np.cos(x), np.sin(x), y / 8], axis=1),
        )
        value_map(simulator, agent.critic, weights["critic"], *plane, ax=axes[0])
        policy_map(simulator, agent.actor, weights["actor"], *plane, axes=[axes[1]])
    axes[0].set_title("critic")
    axes[1].set_title("actor, 1 for the largest torque")


def main():
    """Run what is not done yet, and write table and figure."""
    sweep(pendulum.trial, pendulum.STUDY, SEEDS, FOLDER)
    cases = {name: [] for name in pendulum.STUDY}
    for record in read(FOLDER):
        if record["error"] is not None:
            raise RuntimeError(f"seed {record['seed']}: {record['error']}")
        cases[record["case"]].append({"seed": record["seed"], **record["result"]})
    save(cases)
    optimum = json.loads((RESULTS / "pendulum_optimum.json").read_text())
    figure = plot(cases, optimum["fixed beginnings"]["mean"])
    write_atomically(
        RESULTS / "pendulum.png", lambda path: figure.savefig(path, dpi=120)
    )


if __name__ == "__main__":
    mpl.use("agg")
    main()
