"""The learning rules on another backend: python benchmarks/nengo_torch_run.py.

It runs each kind of rule on nengo-torch, which has no support for this package, and on
`nengo.Simulator`, in double precision. It writes the largest difference of the weights
to ``results/nengo_torch.json``. Install torch and nengo-torch first.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import nengo
import nengo_torch
import numpy as np
import torch

from nengo_epes import EPES, GaussianREINFORCE
from nengo_epes.arithmetic import step_sizes
from nengo_epes.files import write_atomically
from nengo_epes.networks import GaussianPolicy

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from harness import connect, drive

RESULT = Path(__file__).parent / "results" / "nengo_torch.json"
N_STEPS = 300
INPUTS = {
    "td_error": lambda t: np.sin(11 * t),
    "eligibility": lambda t: [0.3 + np.cos(5 * t), np.sin(3 * t)],
}
VECTOR = {"td_error": INPUTS["eligibility"]}
RULES = {
    "decoders, an eligibility for each dimension": (
        "node",
        EPES(1e-3, size_eligibility=2),
        INPUTS,
    ),
    "decoders, vector third factor": (
        "node",
        EPES(1e-3, size_td_error=2, size_eligibility=0),
        VECTOR,
    ),
    "decoders, decay and bounds": (
        "node",
        EPES(1e-3, size_eligibility=2, weight_decay=1.0, weight_bounds=(-2e-3, 2e-3)),
        INPUTS,
    ),
    "neurons, pseudo-derivative, bounded step": (
        "neurons",
        EPES(1e-3, size_eligibility=2, post_derivative="auto", step=step_sizes.ObGD()),
        INPUTS,
    ),
    "neurons, vector third factor, Alpha": (
        "neurons",
        EPES(
            1e-3, size_td_error=2, size_eligibility=0, trace_synapse=nengo.Alpha(0.03)
        ),
        VECTOR,
    ),
}


def epes(kind, rule, inputs):
    """Make a network in which one connection learns by EPES."""
    with nengo.Network(seed=3) as net:
        conn = connect(kind, rule, 3, nengo.LIFRate())
        drive(conn, **inputs)
        net.weights = nengo.Probe(conn, "weights")
    return net


def bandit():
    """Make a network in which a Gaussian policy learns."""
    rule = GaussianREINFORCE(1e-3)
    with nengo.Network(seed=3) as net:
        state = nengo.Ensemble(50, 1, neuron_type=nengo.LIFRate())
        policy = GaussianPolicy(period=0.01, seed=3)
        conn = nengo.Connection(
            state, policy.input, function=lambda x: [0, 0], learning_rule_type=rule
        )
        for name, source in (
            ("reward", policy.action),
            ("gate", nengo.Node(1.0)),
            ("decision", policy.decision),
        ):
            port = conn.learning_rule[getattr(rule, name)]
            nengo.Connection(source, port, synapse=None)
        net.weights = nengo.Probe(conn, "weights")
    return net


def difference(net):
    """Return the largest difference relative to the largest weight."""
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(N_STEPS)
        expected = sim.data[net.weights]
    with nengo_torch.Simulator(
        net, dtype=torch.float64, progress_bar=False, optimize=False
    ) as sim:
        sim.run_steps(N_STEPS)
        weights = np.asarray(sim.data[net.weights]).reshape(expected.shape)
    if not np.any(expected[-1] != expected[0]):
        raise RuntimeError("nothing was learned")
    return float(np.abs(weights - expected).max() / np.abs(expected).max())


def main():
    """Run all rules and write the table."""
    networks = {name: epes(*case) for name, case in RULES.items()}
    networks["GaussianREINFORCE"] = bandit()
    table = {name: difference(net) for name, net in networks.items()}
    for name, value in table.items():
        print(f"{value:.1e}  {name}")
    result = {
        "command": "python benchmarks/nengo_torch_run.py",
        "versions": {
            name: version(name) for name in ("nengo", "nengo-torch", "torch", "numpy")
        },
        "largest relative difference of the weights": table,
    }
    text = json.dumps(result, indent=1) + "\n"
    write_atomically(RESULT, lambda path: path.write_text(text))


if __name__ == "__main__":
    main()
