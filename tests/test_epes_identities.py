"""EPES against nengo.PES, on whole trajectories of the weights."""

import nengo
import numpy as np
import pytest
from harness import DECODED, WEIGHTS, connect, drive, run, stimulus
from numpy.testing import assert_allclose

from nengo_epes import EPES

# weights of order 1e-3 to 1; rounding of a few hundred additions
TOLERANCE = {"rtol": 0, "atol": 1e-12}
NEURON_TYPES = [
    nengo.LIF(),
    nengo.LIFRate(),
    nengo.RectifiedLinear(),
    nengo.AdaptiveLIF(),
    nengo.Sigmoid(),
]


def errors(t):
    return np.array([np.sin(31 * t), 0.3 + np.cos(17 * t)])


def trajectory(kind, rule, seed, neuron_type, optimize=True, sizes=None, **inputs):
    """Return the weights in every step."""
    with nengo.Network(seed=seed) as net:
        conn = connect(kind, rule, seed, neuron_type, **(sizes or {}))
        if isinstance(rule, EPES):
            drive(conn, **inputs)
        else:
            node = nengo.Node(inputs["error"])
            nengo.Connection(node, conn.learning_rule, synapse=None)
        nengo.Probe(conn, "weights", label="weights")
    return run(net, 300, optimize=optimize)["weights"]


def assert_same_learning(pes, epes):
    assert np.abs(pes[-1] - pes[0]).max() > 1e-6, "nothing was learned"
    assert_allclose(epes, pes, **TOLERANCE)


@pytest.mark.parametrize(
    ("kind", "neuron_type"),
    [(kind, nengo.LIF()) for kind in DECODED + WEIGHTS]
    + [(kind, type_) for kind in ("node", "neurons") for type_ in NEURON_TYPES[1:]],
    ids=str,
)
def test_without_memory_it_is_pes(kind, neuron_type, seed):
    """With TD error -1, the error of PES as eligibility and no trace, EPES equals
    PES."""
    dimensions = 1 if kind == "ensemble slice" else 2

    def error(t):
        return errors(t)[:dimensions]

    options = {"learning_rate": 1e-3, "pre_synapse": 0.01}
    pes = trajectory(kind, nengo.PES(**options), seed, neuron_type, error=error)
    epes = EPES(trace_synapse=None, size_eligibility=dimensions, **options)
    inputs = {"td_error": -1.0, "eligibility": error}
    assert_same_learning(pes, trajectory(kind, epes, seed, neuron_type, **inputs))


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("n_pre", [1, 200])
@pytest.mark.parametrize("kind", ["node", "neurons", "weight solver"])
def test_without_memory_it_is_pes_at_any_size(kind, n_pre, optimize, seed):
    """The same holds for one neuron and for many, with and without the optimizer."""
    options = {"learning_rate": 1e-3, "pre_synapse": None}
    common = {"optimize": optimize, "sizes": {"n_pre": n_pre}}
    lif = nengo.LIFRate()
    pes = trajectory(kind, nengo.PES(**options), seed, lif, error=errors, **common)
    epes = EPES(trace_synapse=None, size_eligibility=2, **options)
    inputs = {"td_error": -1.0, "eligibility": errors}
    assert_same_learning(pes, trajectory(kind, epes, seed, lif, **inputs, **common))


@pytest.mark.parametrize(
    ("tau", "neuron_type"),
    [(0.001, nengo.LIF()), (0.02, nengo.LIFRate()), (0.5, nengo.RectifiedLinear())],
    ids=str,
)
def test_with_a_trace_it_is_pes_with_filtered_activities(tau, neuron_type, seed):
    """With eligibility 1 and TD error -e, EPES equals
    PES(pre_synapse=Lowpass(tau_e))."""

    def error(t):
        return np.sin(31 * t) + 0.1

    sizes = {"dimensions": 1}
    pes = nengo.PES(1e-3, pre_synapse=nengo.Lowpass(tau))
    epes = EPES(1e-3, pre_synapse=None, trace_synapse=tau)
    pes = trajectory("node", pes, seed, neuron_type, sizes=sizes, error=error)
    inputs = {"td_error": lambda t: -error(t), "eligibility": 1.0}
    epes = trajectory("node", epes, seed, neuron_type, sizes=sizes, **inputs)
    assert_same_learning(pes, epes)


@pytest.mark.parametrize("trace_synapse", [nengo.Lowpass(0.05), nengo.Alpha(0.05)])
def test_learning_does_not_depend_on_the_step(trace_synapse, seed):
    """Steps of 0.5, 1 and 2 ms give the same change of the weights, within 1 %."""
    change = {}
    for dt in (0.0005, 0.001, 0.002):
        with nengo.Network(seed=seed) as net:
            # rate neurons: spike times would depend on dt
            pre = nengo.Ensemble(30, 1, neuron_type=nengo.LIFRate(), seed=seed)
            post = nengo.Node(size_in=1)
            nengo.Connection(stimulus(1, seed), pre, synapse=None)
            rule = EPES(1e-3, trace_synapse=trace_synapse)
            conn = nengo.Connection(pre, post, learning_rule_type=rule)
            drive(
                conn,
                td_error=lambda t: np.sin(7 * t) + 0.5,
                eligibility=lambda t: np.cos(5 * t) + 0.2,
            )
            nengo.Probe(conn, "weights", label="weights")
        weights = run(net, round(0.4 / dt), dt=dt)["weights"]
        change[dt] = weights[-1] - weights[0]
    scale = np.abs(change[0.001]).max()
    assert scale > 0
    for dt in (0.0005, 0.002):
        assert_allclose(change[dt], change[0.001], rtol=0, atol=0.01 * scale)
