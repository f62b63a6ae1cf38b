"""The rules require only make_step(signals, dt, rng) and a plain dict of arrays."""

import nengo
import numpy as np
import pytest
from harness import connect, drive
from numpy.testing import assert_allclose
from runner import Runner
from test_epes_random import N_CASES, build, draw

from nengo_epes import EPES, GaussianREINFORCE
from nengo_epes.arithmetic import step_sizes

N_STEPS = 120


def wave(t):
    return np.array([np.sin(31 * t), 0.3 + np.cos(17 * t)])


def scalar(t):
    return np.sin(40 * t)


def positive(t):
    return 1.5 + np.cos(30 * t)


def decision(t):
    decides = float(round(t / 0.001) % 10 == 0)
    return [decides, np.cos(5 * t), np.sin(3 * t), 0.1, 0.2, 1.0, -0.9]


MEMBERS = {
    "full trace": (
        "neurons",
        EPES(1e-6, size_eligibility=2, post_derivative="auto"),
        {"td_error": scalar, "eligibility": wave},
    ),
    "encoders, no psi": (
        "neurons",
        EPES(1e-5, size_eligibility=2),
        {"td_error": scalar, "eligibility": wave},
    ),
    "broadcast, decoders": (
        "neurons to node",
        EPES(1e-3, feedback="broadcast"),
        {"td_error": scalar, "eligibility": positive},
    ),
    "bounded step and weights": (
        "node",
        EPES(
            1e-2, step=step_sizes.ObGD(), weight_bounds=(-1e-3, 1e-3), weight_decay=0.5
        ),
        {"td_error": scalar, "eligibility": positive},
    ),
    "dutch": (
        "node",
        EPES(1e-6, trace_type="dutch", controls="hold"),
        {
            "td_error": lambda t: 100 * scalar(t),
            "eligibility": positive,
            "hold": lambda t: float(round(t / 0.001) % 3 > 0),
        },
    ),
    "replacing": (
        "node",
        EPES(1e-3, trace_type="replacing", controls="reset"),
        {
            "td_error": scalar,
            "eligibility": positive,
            "reset": lambda t: float(round(t / 0.001) % 50 == 0),
        },
    ),
    "vector third factor": (
        "neurons",
        EPES(1e-6, size_td_error=2, size_eligibility=0, post_derivative="auto"),
        {"td_error": wave},
    ),
    "vector third factor, decoders": (
        "node",
        EPES(
            1e-4, size_td_error=2, size_eligibility=0, trace_synapse=nengo.Alpha(0.05)
        ),
        {"td_error": wave},
    ),
    "GaussianREINFORCE": (
        "node",
        GaussianREINFORCE(1e-3),
        {"reward": positive, "gate": 1.0, "decision": decision},
    ),
    "GaussianREINFORCE, episodic": (
        "node",
        GaussianREINFORCE(1e-3, regime="episodic", weight_bounds=(-1.0, 1.0)),
        {
            "reward": positive,
            "gate": lambda t: float(round(t / 0.001) % 30 == 0),
            "decision": decision,
        },
    ),
}


def weights_of_runner(net, conn, n_steps, dt=0.001, seed=0):
    """Return the weights before every step and after the last."""
    runner = Runner(net, dt=dt, seed=seed)
    weights = runner.arrays[runner.model.sig[conn]["weights"]]
    trajectory = [weights.copy()]
    for _ in range(n_steps):
        runner.run_steps(1)
        trajectory.append(weights.copy())
    return np.array(trajectory)


def weights_of_nengo(net, conn, n_steps, dt=0.001, seed=0):
    """Return the same weights from Nengo's simulator, read between the steps."""
    with nengo.Simulator(net, dt=dt, seed=seed) as sim:
        weights = sim.signals[sim.model.sig[conn]["weights"]]
        trajectory = [weights.copy()]
        for _ in range(n_steps):
            sim.step()
            trajectory.append(weights.copy())
    return np.array(trajectory)


@pytest.mark.parametrize("name", MEMBERS)
def test_learns_the_same(name, seed):
    """In every step the weights of the runner equal the weights of nengo.Simulator."""
    kind, rule, inputs = MEMBERS[name]
    with nengo.Network(seed=seed) as net:
        conn = connect(kind, rule, seed, nengo.LIF())
        drive(conn, **inputs)
    found = weights_of_runner(net, conn, N_STEPS)
    expected = weights_of_nengo(net, conn, N_STEPS)
    assert np.abs(expected[-1] - expected[0]).max() > 1e-8
    assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


# Nengo's Sigmoid computes exp(-J), and infinity gives the right rate
@pytest.mark.filterwarnings("ignore:overflow encountered in exp")
# the kind of connection repeats every ten cases
@pytest.mark.parametrize("seed", range(0, N_CASES, 7))
def test_learns_the_same_on_random_connections(seed):
    """Random connections learn the same weights in the runner."""
    case = draw(seed)
    results = [
        weights(net := build(case), net.conn, case.n_steps, case.dt, case.seed)
        for weights in (weights_of_runner, weights_of_nengo)
    ]
    atol = 1e-10 * np.abs(results[1]).max()
    assert_allclose(*results, rtol=0, atol=atol)
