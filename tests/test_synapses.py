"""Delays and linear systems, compared with nengolib's recordings and with shifted
arrays."""

import copy
import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import control
import nengo
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nengo.exceptions import NengoWarning, ValidationError
from numpy.testing import assert_allclose, assert_array_equal
from scipy import signal

from nengo_epes.synapses import LTI, Delay, TappedDelay, from_lti, z

RECORDED = np.load(Path(__file__).parent / "data" / "nengolib_filters.npz")
CASES = json.loads(str(RECORDED["index"]))
# simulator step of every case; nengolib's default
DT = 0.001


def shifted(u, steps):
    """Shift along time, zeros first."""
    return np.concatenate([np.zeros((steps, *u.shape[1:])), u[: len(u) - steps]])


def system_of(case):
    i = case["i"]
    return RECORDED[f"sys{i}_num"], RECORDED[f"sys{i}_den"], case["analog"]


def makes(num, den, analog):
    """Return the same system in each supported representation."""
    lti, dt = (signal.lti, ()) if analog else (signal.dlti, (True,))
    if not analog and len(den) > 100:  # state space and zeros need the roots
        return {"nengolib": SimpleNamespace(num=np.poly1d(num), den=den, analog=False)}
    space = signal.tf2ss(num, den)
    return {
        "nengolib": SimpleNamespace(
            num=np.poly1d(num), den=np.poly1d(den), analog=analog
        ),
        "nengo": nengo.LinearFilter(num, den, analog=analog),
        "scipy transfer function": signal.TransferFunction(num, den)
        if analog
        else signal.TransferFunction(num, den, dt=True),
        "scipy state space": signal.StateSpace(*space)
        if analog
        else signal.StateSpace(*space, dt=True),
        "scipy zeros and poles": lti(num, den).to_zpk()
        if analog
        else signal.dlti(num, den).to_zpk(),
        "control transfer function": control.tf(num, den, *dt),
        "control state space": control.ss(*space, *dt),
    }


@pytest.mark.filterwarnings(
    # scipy trims the leading zeros of state spaces, with a warning
    "ignore::scipy.signal.BadCoefficients"
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["expression"])
def test_recorded_filters(case):
    """Every representation of every recorded system gives nengolib's output, to
    1e-9."""
    expected = RECORDED[f"sys{case['i']}_y"]
    for make, system in makes(*system_of(case)).items():
        actual = from_lti(system).filt(RECORDED["u"], dt=DT)
        assert_allclose(
            actual, expected, rtol=0, atol=1e-9 * np.abs(expected).max(), err_msg=make
        )


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if "z" in case["expression"]],
    ids=lambda case: case["expression"],
)
def test_recorded_notation(case):
    """The recorded expression, evaluated with our z, gives nengolib's output."""
    synapse = eval(case["expression"], {"z": z})
    expected = RECORDED[f"sys{case['i']}_y"]
    actual = synapse.filt(RECORDED["u"], dt=DT)
    # three terms are added in another order
    assert_allclose(actual, expected, rtol=0, atol=1e-14 * np.abs(expected).max())
    assert_allclose(synapse.filt(RECORDED["u"][:, 0], dt=DT), actual[:, 0], rtol=1e-14)


@given(st.integers(1, 40), st.integers(1, 3))
def test_filt_leaves_out_one_step(steps, dimensions):
    """(z**-k).filt(u)[t] == u[t - (k - 1)], bit for bit."""
    u = np.random.RandomState(steps).randn(60, dimensions)
    assert_array_equal((z**-steps).filt(u), shifted(u, steps - 1))


taps = st.dictionaries(
    st.integers(0, 12), st.floats(-2, 2, allow_subnormal=False), min_size=1, max_size=4
)


@given(taps, taps)
def test_algebra(one, other):
    """Sums and products of delays follow the algebra of polynomials in 1/z."""

    def polynomial(coefficients):
        p = np.zeros(30)
        p[list(coefficients)] = list(coefficients.values())
        return p

    def response(synapse):
        p = np.zeros(30)
        for lag, weight in synapse.taps:
            p[lag] = weight
        return p

    def synapse_of(coefficients):
        return sum(weight * z**-lag for lag, weight in coefficients.items())

    a, b = polynomial(one), polynomial(other)
    # at most 12 products of numbers below 2, added in another order
    tolerance = {"rtol": 0, "atol": 1e-13}
    assert_allclose(response(synapse_of(one) + synapse_of(other)), a + b, **tolerance)
    assert_allclose(response(synapse_of(one) - synapse_of(other)), a - b, **tolerance)
    product = np.convolve(a, b)[:30]
    assert_allclose(response(synapse_of(one) * synapse_of(other)), product, **tolerance)
    assert_allclose(response(np.float64(3) * synapse_of(one)), 3 * a, **tolerance)
    assert_allclose(response(synapse_of(one) / 4), a / 4, **tolerance)
    assert_allclose(response(1 - synapse_of(one)), polynomial({0: 1}) - a, **tolerance)


def test_equal_delays_are_equal():
    """Equality, hash and the simplest class depend on the value, not on the
    expression."""
    assert z**-3 == Delay(3) == 1.0 * z**-1 * z**-2 == (z**-1) ** 3
    assert 1 / z == z**-1
    assert (z**-3) ** 0 == (0.5 * z**-1 + 0.5 * z**-2) ** 0 == z**0
    assert (z**-3) ** 1 == z**-3
    assert hash(z**-3) == hash(Delay(3))
    assert z**-3 != z**-4
    assert isinstance(0.5 * z**-3 + 0.5 * z**-3, Delay)
    assert 0.5 * z**-1 + 0.5 * z**-2 == TappedDelay((1, 2), (0.5, 0.5))
    assert repr(z) == "z"


@pytest.mark.parametrize(
    "synapse", [z**-7, 0.2 * z**-2 + 0.8 * z**-5, 0.1 / (1 - 0.9 * z**-1)], ids=repr
)
def test_copies(synapse):
    """Copies and pickles are equal, and the repr evaluates."""
    assert copy.copy(synapse) == synapse
    names = {"Delay": Delay, "TappedDelay": TappedDelay, "LTI": LTI, "array": np.array}
    assert eval(repr(synapse), names) == synapse
    assert pickle.loads(pickle.dumps(synapse)) == synapse
    assert pickle.loads(pickle.dumps(z)) is z


def simulate(synapse, u, n_steps=40, optimize=True):
    """Send u over a connection with the given synapse; return its output."""
    with nengo.Network() as net:
        stimulus = nengo.Node(lambda t: u[round(t / DT) - 1])
        target = nengo.Node(size_in=u.shape[1])
        nengo.Connection(stimulus, target, synapse=synapse)
        arrived = nengo.Probe(target)
        probed = nengo.Probe(stimulus, synapse=synapse)
    with nengo.Simulator(net, dt=DT, optimize=optimize) as sim:
        sim.run_steps(n_steps)
        first = sim.data[arrived].copy()
        sim.reset()
        sim.run_steps(n_steps)
        assert_array_equal(sim.data[arrived], first)
    return first, sim.data[probed]


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 17])
def test_connection_delays_from_end_to_end(steps, optimize, rng):
    """On a connection the value of step t arrives at step t + k exactly. A reset
    empties the buffer. A probe's synapse acts as a connection's."""
    u = rng.randn(40, 2)
    arrived, probed = simulate(z**-steps, u, optimize=optimize)
    assert_array_equal(arrived, shifted(u, steps))
    assert_array_equal(probed, shifted(u, steps))


def test_connection_with_taps(rng):
    """A combination of delays arrives as the combination of the delayed values."""
    u = rng.randn(40, 1)
    arrived, _ = simulate(0.5 * z**-3 + 0.25 * z**-9, u)
    expected = 0.5 * shifted(u, 3) + 0.25 * shifted(u, 9)
    assert_allclose(arrived, expected, rtol=1e-15)


def test_passthrough_warns_and_arrives_a_step_late(rng):
    """A lag of 0 on a connection arrives one step later, and gives a warning, as in
    nengolib."""
    u = rng.randn(40, 1)
    with pytest.warns(NengoWarning, match="one step late"):
        arrived, _ = simulate(0.2 + 0.8 * z**-5, u)
    expected = 0.2 * shifted(u, 1) + 0.8 * shifted(u, 6)
    assert_allclose(arrived, expected, rtol=1e-15)
    with pytest.warns(NengoWarning, match="one step late"):
        simulate(from_lti(signal.lti([1.0, 0.0], [1.0, 10.0])), u)


@pytest.mark.parametrize("steps", [1, 8])
def test_pre_synapse_is_a_step_short(steps):
    """PES(pre_synapse=z**-k) uses activities that are k - 1 steps old."""
    with nengo.Network(seed=1) as net:
        ens = nengo.Ensemble(20, 1)
        node = nengo.Node(size_in=1)
        rule = nengo.PES(pre_synapse=z**-steps)
        conn = nengo.Connection(ens, node, learning_rule_type=rule)
        spikes = nengo.Probe(ens.neurons)
        activities = nengo.Probe(conn.learning_rule, "activities")
    with nengo.Simulator(net) as sim:
        sim.run_steps(50)
    assert np.any(sim.data[spikes])
    assert_array_equal(sim.data[activities], shifted(sim.data[spikes], steps - 1))


def test_single_precision():
    """Signals in single precision stay in single precision."""
    nengo.rc["precision"]["bits"] = "32"
    u = np.arange(12.0).reshape(-1, 1)
    y = (0.5 * z**-2 + 0.5 * z**-3).filt(u)
    assert y.dtype == np.float32
    assert_array_equal(y, 0.5 * shifted(u, 1) + 0.5 * shifted(u, 2))


def test_start_from_steady_state():
    """y0 is the output before the first step, for any weights."""
    synapse = 0.5 * z**-2 + 1.5 * z**-4
    assert_allclose(synapse.filt(np.ones((5, 1)), y0=2.0), 2.0)
    with pytest.raises(ValidationError, match="sum to 0"):
        (z**-2 - z**-4).filt(np.ones((5, 1)), y0=2.0)


def test_from_lti_makes_ring_buffers_of_delays():
    """A discrete system without poles becomes a tapped delay, not a dense filter."""
    den = np.zeros(1001)
    den[0] = 1.0
    assert from_lti(signal.dlti([1.0], den)) == z**-1000
    assert from_lti(signal.dlti([0.5, 0, 0.25], [1, 0, 0, 0])) == (
        0.5 * z**-1 + 0.25 * z**-3
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: z**3, r"z\*\*-3 delays"),
        (lambda: z**1, "future"),
        (lambda: z**-1.5, "integer"),
        (lambda: z**-2.0, "round"),
        (lambda: z ** "a", "integer"),
        (lambda: (z**-2) ** -1, "non-negative integer"),
        (lambda: Delay(0), "synapse=None"),
        (lambda: Delay(-1), "non-negative"),
        (lambda: Delay(1.5), "non-negative integer"),
        (lambda: TappedDelay((1, 2), (1.0,)), "one weight for each lag"),
        (lambda: TappedDelay((), ()), "at least one"),
        (lambda: TappedDelay((1,), (np.nan,)), "finite"),
        (lambda: TappedDelay((1,), (1j,)), "real"),
        (lambda: float("inf") * z**-1, "finite"),
        (lambda: 1 / z**-3, "improper"),
        (lambda: from_lti(SimpleNamespace(num=[1, 0, 0], den=[1, 1])), "improper"),
        (lambda: from_lti(SimpleNamespace(num=[1 + 1j], den=[1, 1])), "conjugate"),
        (lambda: from_lti(signal.lti([1], [1, 0])), "not stable"),
        (lambda: from_lti(signal.lti([1], [1, -1])), "not stable"),
        (lambda: 1 / (1 - z**-1), "not stable"),
        (lambda: 1 / (1 - 1.1 * z**-1), "unit circle"),
        (lambda: from_lti(SimpleNamespace(num=[1], den=[0])), "vanish"),
        (lambda: from_lti("lowpass"), "no linear system"),
        (lambda: from_lti(control.tf([[[1], [1]]], [[[1, 1], [1, 2]]])), "2 and 1"),
        (
            lambda: from_lti(
                signal.StateSpace([[-1.0]], [[1.0]], np.ones((2, 1)), np.zeros((2, 1)))
            ),
            "1 and 2",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::scipy.signal.BadCoefficients")
def test_bad_systems(make, message):
    """Every invalid delay or system is refused with a remedy."""
    with pytest.raises(ValidationError, match=message):
        make()


def test_zero_delay_on_a_connection_is_refused():
    """z**0 is the identity if the simulator adds no step, and refused otherwise."""
    assert_array_equal((z**0).filt(np.arange(4.0)), np.arange(4.0))
    with pytest.raises(ValidationError, match="synapse=None"):
        simulate(z**0, np.ones((40, 1)))


@pytest.mark.parametrize("gain", [1e-9, 1.0, 1e9])
def test_state_space_of_any_gain(gain):
    """The gain of a state space does not reduce the precision."""
    num, den, _ = system_of(CASES[12])
    A, B, C, D = signal.tf2ss(num, den)
    expected = gain * RECORDED["sys12_y"]
    actual = from_lti(SimpleNamespace(A=A, B=B, C=gain * C, D=D)).filt(
        RECORDED["u"], dt=DT
    )
    assert_allclose(actual, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_wrong_sample_time():
    """A system discretised with another step is refused when it is built."""
    system = signal.dlti([0.1], [1.0, -0.9], dt=0.01)
    with pytest.raises(ValidationError, match=r"dt=0\.01"):
        from_lti(system).filt(np.ones((5, 1)), dt=0.001)
    assert from_lti(system).filt(np.ones((5, 1)), dt=0.01)[0] == 0.1
    delay = signal.dlti([1.0], [1.0, 0.0, 0.0], dt=0.01)
    for again in (
        from_lti(delay),
        from_lti(from_lti(delay)),
        from_lti(from_lti(system)),
    ):
        with pytest.raises(ValidationError, match=r"dt=0\.01"):
            again.filt(np.ones((5, 1)), dt=0.001)
    assert_array_equal(from_lti(delay).filt(np.arange(4.0), dt=0.01), [0, 0, 1, 2])


def test_nothing_and_what_is_a_synapse_already():
    """The zero system outputs zeros; a delay is returned unchanged."""
    for analog in (True, False):
        system = SimpleNamespace(num=[0.0], den=[1.0, 0.5], analog=analog)
        assert not np.any(from_lti(system).filt(np.ones((5, 1))))
    assert from_lti(z**-3) == z**-3
