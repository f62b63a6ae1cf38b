"""Bandits with continuous actions, over seeds: python benchmarks/bandit.py.

The decoders of spiking neurons learn. In every decision the agent observes a context x,
draws an action a, and gets the reward r = -(a - target(x))^2. Without contexts the best
action is ``target``. With contexts it is ``target * x``, and each decision has a new x
from [-1, 1].
"""

import json
from pathlib import Path

import matplotlib as mpl
import nengo
import numpy as np

from nengo_epes.files import write_atomically
from nengo_epes.learning_rules import GaussianREINFORCE
from nengo_epes.networks import Baseline, GaussianPolicy

SEEDS = range(10)  # learning rate, period and bounds were chosen on 1000 to 1009
RESULTS = Path(__file__).parent / "results"


def build(
    seed=0,
    contextual=False,
    target=0.6,
    learning_rate=1e-5,
    period=0.03,
    n_neurons=200,
):
    """Build the agent and its bandit; ``target`` is the best action or its ratio to x.

    Returns the network and a dict of probes that sample once per decision.
    """
    contexts = nengo.processes.PresentInput(
        np.random.RandomState(seed).uniform(-1, 1, (10_000, 1)), period
    )
    rule = GaussianREINFORCE(learning_rate, pre_synapse=0.005)
    with nengo.Network(seed=seed) as network:
        context = nengo.Node(contexts if contextual else 0.5, label="context")
        state = nengo.Ensemble(n_neurons, 1, label="state")
        policy = GaussianPolicy(
            period=period, log_std_bounds=(-2.7, 2), seed=seed, label="policy"
        )
        reward = nengo.Node(
            lambda t, x: -((x[0] - target * (x[1] if contextual else 1.0)) ** 2),
            size_in=2,
            label="reward",
        )
        baseline = Baseline(label="baseline")
        nengo.Connection(context, state, synapse=None)
        learned = nengo.Connection(
            state,
            policy.input,
            function=lambda x: [0.0, np.log(0.5)],
            synapse=rule.pre_synapse,
            learning_rule_type=rule,
            label="policy's decoders",
        )
        port = learned.learning_rule
        nengo.Connection(policy.action, reward[0], synapse=None)
        nengo.Connection(context, reward[1], synapse=None)
        nengo.Connection(reward, baseline.reward, synapse=None)
        nengo.Connection(policy.decision[0], baseline.event, synapse=None)
        nengo.Connection(baseline.output, port[rule.reward], synapse=None)
        nengo.Connection(nengo.Node(1.0), port[rule.gate], synapse=None)
        nengo.Connection(policy.decision, port[rule.decision], synapse=None)
        probes = {
            name: nengo.Probe(port, name, sample_every=period)
            for name in ("mean", "standard_deviation", "action")
        }
        probes["reward"] = nengo.Probe(reward, sample_every=period)
        probes["context"] = nengo.Probe(context, sample_every=period)
    return network, probes


def run(seed=0, n_decisions=3000, period=0.03, **options):
    """Simulate the agent; return the samples of every probe of `build`."""
    network, probes = build(seed, period=period, **options)
    with nengo.Simulator(network, progress_bar=False) as simulator:
        simulator.run_steps(n_decisions * round(period / simulator.dt))
        return {name: simulator.data[probe][:, 0] for name, probe in probes.items()}


def summary(result):
    """Reduce a run to the reported numbers."""
    return {
        "mean, last 100": float(result["mean"][-100:].mean()),
        "largest standard deviation, last 100": float(
            result["standard_deviation"][-100:].max()
        ),
        "reward, last 300": float(result["reward"][-300:].mean()),
    }


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
    """Run the seeds, count the successes, and write table and figure."""
    results = {False: [], True: []}
    rows = []
    for contextual, collected in results.items():
        for seed in SEEDS:
            collected.append(run(seed=seed, contextual=contextual))
            rows.append(
                {
                    "contextual": contextual,
                    "seed": seed,
                    **summary(collected[-1]),
                }
            )
            print(rows[-1], flush=True)
    plain = [row for row in rows if not row["contextual"]]
    learned = [
        abs(row["mean, last 100"] - 0.6) <= 0.03
        and row["largest standard deviation, last 100"] < 0.1
        for row in plain
    ]
    # the best action that ignores the context has a mean reward of -0.6^2 / 3
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
