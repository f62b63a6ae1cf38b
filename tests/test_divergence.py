"""Learning that diverges stops with the name of the rule while the weights are
finite."""

import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError

from nengo_epes import EPES, z

RELU = nengo.RectifiedLinear()


def decoders(rule, error_synapse, out_synapse, **options):
    """Decoders whose output is fed back as the error."""
    pre = nengo.Ensemble(300, 2, neuron_type=RELU, seed=1)
    post = nengo.Node(size_in=2)
    nengo.Connection(nengo.Node([-0.4, 0.7]), pre)
    conn = nengo.Connection(
        pre, post, seed=2, learning_rule_type=rule, synapse=out_synapse, **options
    )
    return conn, post, {"synapse": error_synapse}


def neurons(rule, error_synapse, out_synapse, recurrent=False):
    """Weights between rectified linear neurons, whose decoded output is the error."""
    pre = nengo.Ensemble(50, 2, neuron_type=RELU, seed=1)
    post = pre if recurrent else nengo.Ensemble(60, 2, neuron_type=RELU, seed=3)
    nengo.Connection(nengo.Node([-0.4, 0.7]), pre)
    weights = np.zeros((post.n_neurons, pre.n_neurons))
    conn = nengo.Connection(
        pre.neurons,
        post.neurons,
        transform=weights,
        learning_rule_type=rule,
        synapse=out_synapse,
    )
    return conn, post, {"synapse": error_synapse}


DEFAULT = nengo.Lowpass(0.005)
WIRINGS = {
    "vector": (decoders, {"size_td_error": 2, "size_eligibility": 0}, DEFAULT, DEFAULT),
    "no synapses": (decoders, {"size_td_error": 2, "size_eligibility": 0}, None, None),
    "no trace": (
        decoders,
        {"size_td_error": 2, "size_eligibility": 0, "trace_synapse": None},
        DEFAULT,
        DEFAULT,
    ),
    "delayed": (
        decoders,
        {"size_td_error": 2, "size_eligibility": 0, "trace_synapse": z**-20},
        z**-20,
        None,
    ),
    "Alpha": (
        decoders,
        {"size_td_error": 2, "size_eligibility": 0, "trace_synapse": nengo.Alpha(0.01)},
        nengo.Alpha(0.01),
        nengo.Alpha(0.01),
    ),
    "error as eligibility": (
        decoders,
        {"size_eligibility": 2, "trace_synapse": None},
        DEFAULT,
        DEFAULT,
    ),
    "encoders": (
        neurons,
        {"size_td_error": 2, "size_eligibility": 0},
        DEFAULT,
        DEFAULT,
    ),
    "pseudo-derivative": (
        neurons,
        {"size_td_error": 2, "size_eligibility": 0, "post_derivative": "auto"},
        None,
        None,
    ),
    "recurrent": (
        lambda *args: neurons(*args, recurrent=True),
        {"size_td_error": 2, "size_eligibility": 0},
        DEFAULT,
        DEFAULT,
    ),
    "decay and infinite bounds": (
        decoders,
        {
            "size_td_error": 2,
            "size_eligibility": 0,
            "weight_decay": 1.0,
            "weight_bounds": (-np.inf, np.inf),
        },
        DEFAULT,
        DEFAULT,
    ),
}


@pytest.mark.parametrize(("rate", "bits"), [(1e3, 32), (1e9, 64)])
@pytest.mark.parametrize("wiring", WIRINGS)
def test_stops_with_the_learning_rate(wiring, bits, rate):
    """The message names rule and learning rate for every feedback path of the growing
    output."""
    nengo.rc["precision"]["bits"] = str(bits)
    make, options, error_synapse, out_synapse = WIRINGS[wiring]
    with nengo.Network(seed=0) as net:
        rule = EPES(rate, **options)
        conn, post, back = make(rule, error_synapse, out_synapse)
        port = conn.learning_rule
        target = nengo.Node([0.5, 0.5])
        if "error as eligibility" in wiring:
            minus = nengo.Node(-1.0)
            nengo.Connection(minus, port[rule.td_error], synapse=None)
            nengo.Connection(post, port[rule.eligibility], **back)
            nengo.Connection(target, port[rule.eligibility], transform=-1)
        else:
            nengo.Connection(post, port, transform=-1, **back)
            nengo.Connection(target, port)
    with nengo.Simulator(net) as sim:
        with pytest.raises(
            SimulationError,
            match=rf"EPES.*learning rate is {rate:g}".replace("+", r"\+"),
        ):
            sim.run_steps(3000)
        assert np.all(np.isfinite(sim.signals[sim.model.sig[conn]["weights"]]))
        assert sim.n_steps > 1


@pytest.mark.parametrize("value", [1e200, -1e200, 1e90])
def test_td_errors_that_are_too_large(value):
    """A TD error near 1e200 is refused by the rule before the weights change."""
    with nengo.Network(seed=0) as net:
        pre, post = nengo.Ensemble(30, 1), nengo.Node(size_in=1)
        rule = EPES(size_eligibility=0)
        conn = nengo.Connection(pre, post, learning_rule_type=rule)
        source = nengo.Node(lambda t: value if t > 0.0045 else 1.0)
        nengo.Connection(source, conn.learning_rule, synapse=None)
    with nengo.Simulator(net) as sim:
        sim.run_steps(4)
        before = sim.signals[sim.model.sig[conn]["weights"]].copy()
        with pytest.raises(SimulationError, match=r"EPES.*port\[0\] is .*e\+"):
            sim.run_steps(3)
        after = sim.signals[sim.model.sig[conn]["weights"]]
        # the change of the last regular TD error, 1, is applied
        assert np.abs(after - before).max() < 1e-3


def test_half_precision_accepts_rates():
    """In half precision, rates of hundreds of hertz are valid inputs, and the weights
    equal the weights learned in double precision within 5 % of the largest."""
    weights = {}
    for bits in (16, 64):
        nengo.rc["precision"]["bits"] = str(bits)
        with nengo.Network(seed=0) as net:
            pre = nengo.Ensemble(30, 2, neuron_type=nengo.LIFRate(), seed=1)
            post = nengo.Node(size_in=2)
            nengo.Connection(nengo.Node([0.3, -0.2]), pre)
            # large enough for the range of half precision
            rule = EPES(1e-1, size_td_error=2, size_eligibility=0)
            conn = nengo.Connection(
                pre.neurons, post, transform=np.zeros((2, 30)), learning_rule_type=rule
            )
            nengo.Connection(nengo.Node([1.0, 0.5]), conn.learning_rule, synapse=None)
        with nengo.Simulator(net) as sim:
            sim.run_steps(100)
            weights[bits] = sim.signals[sim.model.sig[conn]["weights"]].copy()
    assert weights[16].dtype == np.float16
    # 100 roundings by 2**-11 of the sum of the changes
    scale = np.abs(weights[64]).max()
    np.testing.assert_allclose(weights[16], weights[64], rtol=0, atol=0.05 * scale)
