"""The eligibility trace: its course, hold and reset."""

import nengo
import numpy as np
import pytest
from harness import DT, learn
from hypothesis import given, settings
from hypothesis import strategies as st
from nengo.exceptions import BuildError
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import lfilter

from nengo_epes import EPES, z

WAVE = {"td_error": lambda t: np.sin(40 * t), "eligibility": lambda t: np.cos(30 * t)}


def between(start, stop):
    """Return a function that is 1 from step start to before step stop, else 0."""
    return lambda t: float(start <= round(t / DT) - 1 < stop)


def response(synapse, length):
    """Return numerator and denominator of the written-out trace."""
    if synapse is None:
        return [1.0], [1.0]
    if isinstance(synapse, nengo.Lowpass):
        rho = np.exp(-DT / synapse.tau)
        return [1 - rho], [1.0, -rho]
    if isinstance(synapse, nengo.Alpha):
        # zero-order hold of (t / tau^2) exp(-t / tau), advanced by one step
        x = DT / synapse.tau
        rho = np.exp(-x)
        return (
            [1 - rho - x * rho, rho * (rho - 1 + x)],
            [1.0, -2 * rho, rho**2],
        )
    b = np.zeros(length)
    for lag, weight in synapse.taps:
        b[lag - 1] += weight
    return b, [1.0]


SYNAPSES = [
    None,
    nengo.Lowpass(0.001),
    nengo.Lowpass(0.05),
    nengo.Alpha(0.02),
    z**-1,
    z**-40,
    0.25 * z**-10 + 0.75 * z**-30,
]


@pytest.mark.parametrize("kind", ["node", "neurons", "neuron slices"])
@pytest.mark.parametrize("synapse", SYNAPSES, ids=repr)
def test_written_out(synapse, kind):
    """The trace is the synapse applied to eligibility times activity. The change is
    learning rate dt / n times TD error times trace, and takes effect one step later."""
    rule = EPES(1e-3, trace_synapse=synapse, feedback="broadcast")
    got = learn(rule, kind, probes=rule.probeable, **WAVE)
    c, a = got["characteristic_eligibility"], got["activities"]
    outer = c[:, :, None] * a[:, None, :]
    trace = lfilter(*response(synapse, len(a)), outer, axis=0)
    assert np.abs(trace).max() > 1e-3
    scale = np.abs(trace).max()
    # rounding of a few hundred steps; the two filters differ in form
    tolerance = {"rtol": 0, "atol": 1e-12 * scale}
    assert_allclose(got["eligibility_trace"], trace, **tolerance)
    delta = 1e-3 * DT / a.shape[1] * got["td_error"][:, :, None] * trace
    assert_allclose(got["delta"], delta, rtol=0, atol=1e-12 * np.abs(delta).max())
    # the probe reads the weights of step t before the change of step t is applied
    scale = np.abs(got["weights"]).max()
    assert_allclose(
        np.diff(got["weights"], axis=0), got["delta"][:-1], rtol=0, atol=1e-15 * scale
    )


@pytest.mark.parametrize("tau", [0.001, 0.02, 3.0])
def test_impulse_decays_by_the_same_factor(tau):
    """After an impulse the trace decays by exp(-dt / tau_e) in every step."""
    rule = EPES(trace_synapse=tau)
    inputs = {"td_error": 1.0, "eligibility": between(99, 100)}
    trace = learn(rule, probes=["eligibility_trace"], **inputs)["eligibility_trace"]
    assert not np.any(trace[:99])
    assert np.any(trace[99])
    for k in (1, 2, 50):
        expected = trace[99] * np.exp(-k * DT / tau)
        assert_allclose(trace[99 + k], expected, rtol=1e-12)


@pytest.mark.parametrize("synapse", SYNAPSES, ids=repr)
def test_hold_freezes_bit_for_bit(synapse):
    """A held trace does not change; afterwards it continues as if the held steps had
    not taken place."""
    rule = EPES(trace_synapse=synapse, controls="hold")
    hold = between(100, 150)
    got = learn(rule, probes=rule.probeable, hold=hold, **WAVE)
    trace = got["eligibility_trace"]
    assert np.any(trace[99])
    for step in range(100, 150):
        assert_array_equal(trace[step], trace[99])
    outer = got["characteristic_eligibility"][:, :, None] * got["activities"][:, None]
    awake = np.delete(outer, np.s_[100:150], axis=0)
    expected = lfilter(*response(synapse, len(awake)), awake, axis=0)
    atol = 1e-12 * np.abs(expected).max()
    assert_allclose(np.delete(trace, np.s_[100:150], axis=0), expected, atol=atol)


@pytest.mark.parametrize("synapse", SYNAPSES, ids=repr)
def test_reset_empties(synapse):
    """Reset empties the trace and the state of its synapse, with and without hold."""
    rule = EPES(trace_synapse=synapse, controls=("reset", "hold"))
    inputs = {"reset": between(100, 103), "hold": between(95, 102), **WAVE}
    got = learn(rule, probes=rule.probeable, **inputs)
    trace = got["eligibility_trace"]
    assert np.any(trace[99])
    assert not np.any(trace[100:103])
    outer = got["characteristic_eligibility"][:, :, None] * got["activities"][:, None]
    expected = lfilter(*response(synapse, 300), outer[103:], axis=0)
    atol = 1e-12 * np.abs(expected).max()
    assert_allclose(trace[103:], expected, atol=atol)


def test_gain_is_one():
    """A trace of constant eligibility and activity converges to their product."""
    got = learn(
        EPES(trace_synapse=0.01, pre_synapse=None),
        probes=["eligibility_trace", "activities"],
        neuron_type=nengo.RectifiedLinear(initial_state={}),
        steps=1,
        td_error=1.0,
        eligibility=1.0,
    )
    # after one step the trace is 1 - exp(-dt / tau) of its limit
    expected = got["activities"][0] * -np.expm1(-DT / 0.01)
    assert_allclose(got["eligibility_trace"][0, 0], expected, rtol=1e-12)


finite = st.floats(-10, 10, allow_subnormal=False)


def change(td_error, eligibility):
    rule = EPES(1e-2, trace_synapse=0.02)
    inputs = {"td_error": td_error, "eligibility": eligibility}
    weights = learn(rule, steps=60, neuron_type=nengo.LIFRate(), **inputs)["weights"]
    return weights[-1] - weights[0]


@given(td_error=finite, eligibility=finite)
@settings(max_examples=15, deadline=None)
def test_linear_in_both_factors(td_error, eligibility):
    """The weight change is proportional to the TD error and to the eligibility."""
    expected = td_error * eligibility * change(1.0, 1.0)
    atol = 1e-12 * max(1e-3, np.abs(expected).max())
    assert_allclose(change(td_error, eligibility), expected, rtol=0, atol=atol)


@given(
    st.lists(finite, min_size=2, max_size=2), st.lists(finite, min_size=60, max_size=60)
)
@settings(max_examples=10, deadline=None)
def test_additive_in_time_courses(weights, course):
    """The weight change for a sum of TD errors is the sum of the changes, and the same
    holds for eligibilities, for any time courses."""

    def wave(t):
        return np.sin(50 * t)

    def drawn(t):
        return course[round(t / DT) - 1]

    def both(t):
        return weights[0] * wave(t) + weights[1] * drawn(t)

    for swap in (False, True):
        order = slice(None, None, -1 if swap else 1)
        parts = [change(*(f, np.cos)[order]) for f in (wave, drawn)]
        expected = weights[0] * parts[0] + weights[1] * parts[1]
        atol = 1e-11 * max(1e-4, *(np.abs(part).max() for part in parts))
        assert_allclose(change(*(both, np.cos)[order]), expected, rtol=0, atol=atol)


@given(eligibility=finite)
@settings(max_examples=10, deadline=None)
def test_no_td_error_no_change(eligibility):
    """While the TD error is 0 the weights do not change, bit for bit."""
    assert not np.any(change(0.0, eligibility))


class Counting(nengo.synapses.Synapse):
    """Third-party synapse with its own name of the state."""

    def make_state(self, shape_in, shape_out, dt, dtype=None, y0=0):
        """Make two arrays, one of which has the name of a signal of the rule."""
        return {"step": np.zeros(1), "eligibility_trace": np.zeros(1)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Output the input times the number of steps."""

        def step(t, signal):
            state["step"] += 1
            return state["step"] * signal

        return step


def test_names_of_a_foreign_state():
    """A synapse may use any name for its state."""
    rule = EPES(trace_synapse=Counting(), feedback="broadcast")
    got = learn(rule, probes=rule.probeable, **WAVE)
    outer = got["characteristic_eligibility"][:, :, None] * got["activities"][:, None]
    expected = outer * np.arange(1, 301)[:, None, None]
    assert_allclose(got["eligibility_trace"], expected, rtol=1e-12)


@pytest.mark.parametrize("tau", [3e-4, 1e-9])
def test_held_trace_may_be_short(tau):
    """The time constant of a trace with hold may be shorter than a step: the trace
    decays by exp(-dt / tau) in each step that is not held."""
    rule = EPES(1e-3, trace_synapse=tau, controls="hold")
    got = learn(
        rule,
        td_error=1.0,
        eligibility=1.0,
        hold=lambda t: float(round(t / DT) % 5 != 0),
        probes=("eligibility_trace", "activities"),
        steps=60,
    )
    decay = np.exp(-DT / tau)
    expected = np.zeros_like(got["activities"][0])
    for step, activities in enumerate(got["activities"], start=1):
        if step % 5 == 0:
            expected = decay * expected + (1 - decay) * activities
        trace = got["eligibility_trace"][step - 1, 0]
        assert_allclose(trace, expected, rtol=1e-12, atol=1e-12)
    assert np.any(expected)


@pytest.mark.parametrize(
    "options", [{"trace_synapse": 0.0}, {"trace_synapse": nengo.Alpha(1e-4)}]
)
def test_held_trace_of_no_time(options):
    """A time constant of 0 and other filters than a Lowpass may not be shorter than a
    step."""
    rule = EPES(controls="hold", **options)
    with pytest.raises(BuildError, match=r"tau=(0|0.0001) s is shorter.*None"):
        learn(rule, td_error=1.0, eligibility=1.0, hold=0.0, steps=2)
