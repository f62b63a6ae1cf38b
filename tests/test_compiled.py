"""The compiled simulator, compared with `nengo.Simulator` operator by operator."""

import nengo
import numpy as np
import pytest
from harness import connect, drive
from nengo.builder import Model, Signal
from nengo.builder import operator as ops
from nengo.builder.learning_rules import SimPES
from nengo.builder.neurons import SimNeurons
from nengo.builder.processes import SimProcess
from nengo.exceptions import SimulationError, SimulatorClosed
from nengo.synapses import Alpha, LinearFilter, Lowpass, Triangle
from numpy.testing import assert_array_equal

from nengo_epes import EPES, GaussianREINFORCE, z
from nengo_epes.arithmetic import step_sizes, surrogates
from nengo_epes.synapses import LTI

pytest.importorskip("numba", reason="needs the extra compiled")

from nengo_epes import compiled
from nengo_epes.compiled import kernels
from nengo_epes.compiled.translations import TRANSLATIONS

# in single precision, of 24 bits, errors of many steps add up
TOLERANCES = {64: 1e-12, 32: 2e-5}
both_precisions = pytest.mark.parametrize("bits", [64, 32])


def guard(model, allowed):
    """Let the Python functions of all operators fail, except those that are in use."""
    for op in model.operators:

        def make_step(*args, op=op, original=op.make_step):
            function = original(*args)

            def step():
                assert op in allowed, f"{op} declined"
                return function()

            return step

        if hasattr(op, "make_step"):
            op.make_step = make_step


def simulators(make, optimize=False, guarded=True):
    """Make both simulators of a model; rows of the second must not decline."""
    models = make(), make()
    allowed = []
    if guarded:
        guard(models[1], allowed)
    reference = nengo.Simulator(None, model=models[0], optimize=optimize, seed=1)
    fast = compiled.Simulator(None, model=models[1], optimize=optimize, seed=1)
    allowed += fast.untranslated
    return reference, fast


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
        assert one.name == other.name
        if not one.sparse:
            got, expected = fast.signals[other], reference.signals[one]
            assert_close(got, expected, tolerance, one.name)


# ---- single operators


def values(rng, *shape):
    array = np.asarray(rng.randn(*shape), nengo.rc.float_dtype)
    return Signal(array, name="values")


def copies(rng):
    x, y = values(rng, 7), values(rng, 7)
    yield ops.Copy(x, y)
    yield ops.Copy(x, y, inc=True)
    yield ops.Copy(values(rng, 3, 4), values(rng, 3, 4), inc=True)
    yield ops.Copy(values(rng, 3, 4), values(rng, 3, 4))
    yield ops.Copy(values(rng, 1), values(rng, 5))
    yield ops.Copy(x, values(rng, 3), src_slice=slice(1, 7, 2))
    yield ops.Copy(x, values(rng, 7), src_slice=slice(None, None, -1), inc=True)
    yield ops.Copy(values(rng, 2), y, dst_slice=slice(5, 1, -3))
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
    indptr, indices = np.array([0, 2, 2, 3]), np.array([3, 0, 1])
    signals = values(rng, 3, 2, 4), values(rng, 16), values(rng, 6)
    yield ops.BsrDotInc(*signals, indices=indices, indptr=indptr, reshape=False)


def pes(rng):
    for m, n in ((1, 1), (3, 20)):
        yield SimPES(values(rng, n), values(rng, m), values(rng, m, n), 1e-3)
    yield SimPES(values(rng, 20)[::2], values(rng, 6)[::2], values(rng, 3, 10), 1e-3)


NEURONS = [
    nengo.LIF(),
    nengo.LIF(tau_rc=0.05, tau_ref=0, min_voltage=-1, amplitude=0.3),
    nengo.LIF(tau_ref=0.0053, min_voltage=-np.inf),
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
    yield SimProcess(synapse, values(rng, 6)[::2], values(rng, 3), values(rng), "inc", state)


SINGLE = [
    copies, resets, products, matrix_products, block_products, pes, neurons, filters
]  # fmt: skip


@both_precisions
@pytest.mark.parametrize("make", SINGLE, ids=lambda make: make.__name__)
def test_operators(make, bits, seed):
    """Every operator sets what Nengo's sets, for random values of what it reads."""
    nengo.rc["precision"]["bits"] = str(bits)
    n_operators = len(list(make(np.random.RandomState(seed))))
    for number in range(n_operators):

        def build(number=number):
            model = Model()
            model.add_op(list(make(np.random.RandomState(seed)))[number])
            return model

        reference, fast = simulators(build)
        # the model's own clock has no signal of double precision's integers
        left = [type(op) for op in fast.untranslated]
        assert left == ([] if bits == 64 else [ops.TimeUpdate])
        rng = np.random.RandomState(seed)
        with reference, fast:
            for _ in range(40):
                op, same = (sim.model.operators[-1] for sim in (fast, reference))
                for one, other in zip(same.reads, op.reads, strict=True):
                    array = 3 * rng.randn(*one.shape)
                    reference.signals[one], fast.signals[other] = array, array
                reference.step()
                fast.step()
                assert_same_signals(reference, fast, TOLERANCES[bits])
