"""Operators and networks on which other simulators are compared with Nengo's."""

import nengo
import numpy as np
from harness import connect, drive
from nengo.builder import Model, Signal
from nengo.builder import operator as ops
from nengo.builder.learning_rules import SimPES
from nengo.builder.neurons import SimNeurons
from nengo.builder.processes import SimProcess
from nengo.synapses import Alpha, LinearFilter, Lowpass

from nengo_epes import EPES, RewardSTDP, z
from nengo_epes.synapses import LTI

# in single precision, of 24 bits, errors of many steps add up
TOLERANCES = {64: 1e-12, 32: 2e-5}


def assert_close(got, expected, tolerance, name=""):
    assert got.shape == expected.shape and got.dtype == expected.dtype
    largest = np.abs(expected).max(initial=1.0)
    wrong = np.abs(got - expected).max(initial=0.0) / largest
    assert wrong <= tolerance, f"{name}: {wrong}"


def assert_same_signals(reference, fast, tolerance=1e-12):
    """All signals of both simulators are equal."""
    pairs = list(zip(reference.signals, fast.signals, strict=True))
    assert pairs
    for one, other in pairs:
        assert one._name == other._name and one.shape == other.shape
        if not one.sparse:
            got, expected = fast.signals[other], reference.signals[one]
            assert_close(got, expected, tolerance, one.name)


def set_reads(rng, reference, fast):
    """Set what the operators of both simulators read to the same random values."""
    pairs = zip(reference.model.operators, fast.model.operators, strict=True)
    for same, op in pairs:
        for one, other in zip(same.reads, op.reads, strict=True):
            array = 3 * rng.randn(*one.shape)
            reference.signals[one], fast.signals[other] = array, array


# ---- single operators


def values(rng, *shape):
    array = np.asarray(rng.randn(*shape), nengo.rc.float_dtype)
    return Signal(array, name="values")


def copies(rng):
    x = values(rng, 7)
    yield ops.Copy(x, values(rng, 7))
    yield ops.Copy(x, values(rng, 7), inc=True)
    yield ops.Copy(values(rng, 3, 4), values(rng, 3, 4), inc=True)
    yield ops.Copy(values(rng, 3, 4), values(rng, 3, 4))
    yield ops.Copy(values(rng, 1), values(rng, 5))
    yield ops.Copy(x, values(rng, 3), src_slice=slice(1, 7, 2))
    yield ops.Copy(x, values(rng, 7), src_slice=slice(None, None, -1), inc=True)
    yield ops.Copy(values(rng, 2), values(rng, 7), dst_slice=slice(5, 1, -3))
    yield ops.Copy(values(rng, 2), values(rng, 7), dst_slice=slice(5, 1, -3), inc=True)
    yield ops.Copy(x, values(rng, 3), src_slice=[6, 0, -2])
    yield ops.Copy(values(rng, 3), values(rng, 7), dst_slice=[6, 0, -2])
    yield ops.Copy(values(rng, 3), values(rng, 7), dst_slice=[6, 0, 6], inc=True)
    yield ops.Copy(x, values(rng, 3), src_slice=[6, 6, 1], dst_slice=[2, 0, 1])
    rows = (np.array([3, 1]), slice(0, 3))
    yield ops.Copy(values(rng, 4, 5), values(rng, 2, 3), src_slice=rows)


def resets(rng):
    yield ops.Reset(values(rng, 4))
    yield ops.Reset(values(rng, 4, 3), value=2.5)
    yield ops.Reset(values(rng, 9)[2:5], value=-1)


def products(rng):
    yield ops.ElementwiseInc(values(rng), values(rng, 5), values(rng, 5))
    yield ops.ElementwiseInc(values(rng, 5), values(rng, 1), values(rng, 5))
    yield ops.ElementwiseInc(values(rng, 5), values(rng, 5), values(rng, 5))
    yield ops.ElementwiseInc(values(rng), values(rng), values(rng, 1))
    yield ops.ElementwiseInc(*(values(rng, 3, 4) for _ in range(3)))
    strided = values(rng, 10)[::2], values(rng, 5)[::-1], values(rng, 15)[::3]
    yield ops.ElementwiseInc(*strided)


def matrix_products(rng):
    for m, n in ((5, 3), (1, 1), (3, 200), (200, 3)):
        yield ops.DotInc(values(rng, m, n), values(rng, n), values(rng, m))
    part = values(rng, 9, 8)[2:7:2, 1:5]
    yield ops.DotInc(part, values(rng, 8)[::2], values(rng, 6)[::-2])


def block_products(rng):
    indptr, indices = np.arange(4), np.array([3, 0, 1])
    signals = values(rng, 3, 2, 4), values(rng, 16), values(rng, 6)
    yield ops.BsrDotInc(*signals, indices=indices, indptr=indptr, reshape=False)


def pes(rng):
    for m, n in ((1, 1), (3, 20)):
        yield SimPES(values(rng, n), values(rng, m), values(rng, m, n), 1e-3)
    yield SimPES(values(rng, 20)[::2], values(rng, 6)[::2], values(rng, 3, 10), 1e-3)


NEURONS = [
    nengo.LIF(),
    nengo.LIF(tau_rc=0.05, tau_ref=0, min_voltage=-1, amplitude=0.3),
    nengo.LIF(tau_ref=0.0023, min_voltage=-np.inf),
    nengo.LIFRate(),
    nengo.LIFRate(tau_rc=0.05, tau_ref=0.001, amplitude=0.3),
    nengo.AdaptiveLIF(tau_n=0.1, inc_n=0.2),
    nengo.AdaptiveLIFRate(tau_n=0.1, inc_n=0.2, amplitude=2),
    nengo.RectifiedLinear(amplitude=0.3),
    nengo.SpikingRectifiedLinear(amplitude=0.3),
]


def neurons(rng):
    for kind in NEURONS:
        state = kind.make_state(60, rng=rng, dtype=nengo.rc.float_dtype)
        state = {name: Signal(array, name=name) for name, array in state.items()}
        yield SimNeurons(kind, values(rng, 60), values(rng, 60), state)


FILTERS = [
    Lowpass(0.005),
    Lowpass(0),
    Lowpass(0.005, method="euler"),
    Alpha(0.01),
    LinearFilter([1], [0.01, 1]),
    LinearFilter([0.003, 1], [0.0001, 0.02, 1]),
    LinearFilter([0.5], [1]),
    LinearFilter([0.5, 1, 1], [0.0001, 0.02, 0.3, 1]),
    LinearFilter([0.01, 1], [0.02, 1]),
    LinearFilter([1, -0.3], [1, -0.5, 0.2], analog=False),
    LTI([0.1, 0], [1, -0.9], analog=False),
    z**-1,
    z**-5,
    0.5 * z**-1 + 0.25 * z**-7,
    z**0 + 0.25 * z**-2,
]


def filters(rng):
    for synapse in FILTERS:
        # Nengo cannot increment by a filter that has poles and passthrough
        both = synapse in FILTERS[8:11]
        cases = ((1,), "set"), ((6,), "update" if both else "inc"), ((2, 3), "update")
        for shape, mode in cases:
            y = values(rng, *shape)
            state = synapse.make_state(shape, shape, 0.001, dtype=y.dtype)
            state = {name: Signal(array, name=name) for name, array in state.items()}
            time = values(rng)
            yield SimProcess(synapse, values(rng, *shape), y, time, mode, state)
    shape, synapse = (3,), Alpha(0.01)
    state = {"X": Signal(shape=(2, 3), name="X")}
    yield SimProcess(
        synapse, values(rng, 6)[::2], values(rng, 3), values(rng), "inc", state
    )


SINGLE = [
    copies, resets, products, matrix_products, block_products, pes, neurons, filters
]  # fmt: skip


# ---- rules of the package


def third_factor(t):
    return 0.4 + np.sin(11 * t)


def two(t):
    return np.array([0.3 + np.cos(5 * t), np.sin(3 * t)])


def positive(t):
    return 1.5 + np.cos(5 * t)


def many(t):
    return np.sin(t * np.arange(1, 18))


def hold(t):
    return np.sin(40 * t)


def cleared(t):
    return float(0.0502 < t < 0.0602)


RULES = {
    "EPES": EPES(1e-3),
    "no memory": EPES(1e-3, trace_synapse=None, size_eligibility=0),
    "rows": EPES(1e-3, size_eligibility=2, feedback="rows", controls="hold"),
    "matrix": EPES(1e-3, size_eligibility=2, feedback=nengo.dists.Uniform(-1, 1)),
    "bounds": EPES(1e-2, weight_bounds=(-2e-3, 2e-3), weight_decay=0.5),
    "decay": EPES(1e-2, weight_decay=50, controls=["reset", "hold"]),
    "replacing": EPES(1e-3, trace_type="replacing", controls=["hold", "reset"]),
    "delayed": EPES(1e-3, trace_synapse=z**-9),
    "delays": EPES(1e-3, trace_synapse=0.5 * z**-2 + 0.4 * z**-8, size_eligibility=2),
    "alpha": EPES(1e-3, trace_synapse=Alpha(0.03), weight_bounds=(-1e-2, 1e-2)),
    "vector": EPES(1e-3, size_td_error=2, size_eligibility=0, weight_decay=0.3),
    "vector, matrix": EPES(1e-3, size_td_error=2, feedback=nengo.dists.Uniform(-1, 1)),
    "psi": EPES(1e-6, size_eligibility=2, post_derivative="auto", controls="hold"),
    "psi, alpha": EPES(1e-6, post_derivative="auto", trace_synapse=Alpha(0.03)),
}
NEEDS_NEURONS = "psi", "psi, alpha"
DECODED_ONLY = "rows"
AMPLIFIES = nengo.AdaptiveLIF(tau_n=0.05, inc_n=0.05)


def learning_network(rule, kind, neuron_type, seed, **inputs):
    """Make a network with one connection that learns."""
    with nengo.Network(seed=seed) as net:
        conn = connect(kind, rule, seed, neuron_type)
        drive(conn, **inputs)
    net.learned = conn
    return net


def inputs_of(rule):
    """Choose functions of time for the inputs of an EPES rule."""
    inputs = {"td_error": third_factor if rule.size_td_error == 1 else two}
    if rule.size_eligibility:
        inputs["eligibility"] = positive if rule.size_eligibility == 1 else two
    for name, function in (("hold", hold), ("reset", cleared)):
        if name in rule.controls:
            inputs[name] = function
    return inputs


def build_model(net):
    model = Model(dt=0.001)
    model.build(net)
    return model


STDP = {
    "RewardSTDP": RewardSTDP(1e-4),
    "plain STDP": RewardSTDP(1e-4, trace_synapse=None, pre_synapse=0.01),
    "RewardSTDP, bounds, controls": RewardSTDP(
        1e-3,
        trace_synapse=0.05,
        weight_bounds=(-1e-4, 2e-4),
        controls=("reset", "hold"),
    ),
}
