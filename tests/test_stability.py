"""The limits of PES's learning rate, compared with equations and simulations."""

import math

import nengo
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import lambertw

from nengo_epes import z
from nengo_epes.arithmetic.stability import (
    activities_of,
    largest_rate_without_overshoot,
    largest_stable_rate,
    suggest_learning_rate,
)

DT = 0.001
# |a|^2 / n = 1, so that learning rates are loop gains
UNIT = [1.0, -1.0]
LIMITS = [largest_stable_rate, largest_rate_without_overshoot]


def grows(course):
    """Whether the amplitude of the last third exceeds the amplitude of the second."""
    n = len(course) // 3
    return np.abs(course[-n:]).max() > np.abs(course[n : 2 * n]).max()


def overshoots(course):
    """Whether the course crosses 0 by more than the rounding error of its start."""
    return np.min(course * np.sign(course[0])) < -1e-13 * abs(course[0])


IS_ABOVE = dict(zip(LIMITS, [grows, overshoots], strict=True))


def delayed_decay(gain, duration, steps=100):
    """Integrate w'(t) = -gain w(t - 1) from w = 1 by the trapezoidal rule."""
    scale = 0.5 * gain / steps
    w = [1.0] * (steps + 1)
    for k in range(duration * steps):
        w.append(w[-1] - scale * (w[k] + w[k + 1]))
    return np.array(w)


# Close to a limit the two sides differ slowly: 0.5 % above it the amplitude grows by
# exp(0.0036) per delay. The first crossing is after pi / sqrt(0.01) = 31 delays, when
# the course is near the rounding error. The error of the trapezoidal rule is 1e-5.
@pytest.mark.parametrize("limit", LIMITS)
def test_limits_of_the_delay_differential_equation(limit):
    """At the limits the integrated equation starts to grow, or to overshoot."""
    expected = limit(UNIT, delay=1.0)
    low, high = 0.5 * expected, 2 * expected
    while high > 1.005 * low:
        middle = math.sqrt(low * high)
        above = IS_ABOVE[limit](delayed_decay(middle, duration=240))
        low, high = (low, middle) if above else (middle, high)
    assert_allclose(math.sqrt(low * high), expected, rtol=0.02)


def test_limits_are_those_of_the_characteristic_roots():
    """At the limits the rightmost root of s = -g exp(-s theta) crosses 0, or becomes
    complex."""

    def root(gain, delay):
        return lambertw(-gain * delay) / delay

    for delay in (0.02, 3.0):
        gain = largest_stable_rate(UNIT, delay)
        assert_allclose(root(gain, delay).real * delay, 0.0, atol=1e-12)
        gain = largest_rate_without_overshoot(UNIT, delay)
        # near the branch point the root changes by the square root of 1e-9
        assert root(gain * (1 - 1e-9), delay).imag == 0
        assert root(gain * (1 + 1e-9), delay).imag != 0


@pytest.mark.parametrize("lag", [0, 1, 2, 7, 40])
def test_limits_in_steps_are_those_of_the_roots(lag):
    """The largest root of z^(m+1) - z^m + g dt has size 1 at one limit, and stops being
    real and positive at the other."""

    def root(gain):
        coefficients = np.zeros(lag + 2)
        coefficients[:2] = 1.0, -1.0
        coefficients[-1] += gain * DT
        found = np.roots(coefficients)
        return found[np.argmax(np.abs(found))]

    # rounding error of the roots of a polynomial of degree 41
    assert_allclose(abs(root(largest_stable_rate(UNIT, lag * DT, DT))), 1, atol=1e-9)
    gain = largest_rate_without_overshoot(UNIT, lag * DT, DT)
    below, above = root(gain * (1 - 1e-6)), root(gain * (1 + 1e-6))
    assert below.imag == 0 and below.real > 0
    assert above.imag != 0 or above.real < 0


@pytest.mark.parametrize("limit", LIMITS)
def test_many_steps_are_continuous_time(limit):
    """The discrete limit equals the continuous limit of a delay longer by half a
    step."""
    for lag in (10, 100, 10_000):
        expected = limit(UNIT, (lag + 0.5) * DT)
        # the first neglected term of the series in 1 / lag is quadratic
        assert_allclose(limit(UNIT, lag * DT, DT), expected, rtol=0.5 / lag**2)


def at_constant_input(value):
    """Make a network of rate neurons with constant input; return their activities
    too."""
    with nengo.Network(seed=5) as net:
        # fixed seed, which later additions to the network would change
        rates = nengo.Ensemble(
            20, 1, neuron_type=nengo.LIFRate(), eval_points=[[value]], seed=6
        )
        nengo.Connection(nengo.Node(value), rates, synapse=None)
    with nengo.Simulator(net) as sim:
        return net, rates, activities_of(sim, rates)


def errors_in_nengo(limit, ratios, synapse, delay, seconds):
    """Let PES learn a constant with learning rates around a limit; return (ratios,
    steps)."""
    net, rates, activities = at_constant_input(0.4)
    probes = []
    with net:
        for ratio in ratios:
            error = nengo.Node(size_in=1)
            learned = nengo.Connection(
                rates.neurons,
                error,
                transform=np.full((1, 20), 1e-3),
                learning_rule_type=nengo.PES(
                    ratio * limit(activities, delay, DT), pre_synapse=None
                ),
                synapse=None,
            )
            nengo.Connection(error, learned.learning_rule, synapse=synapse)
            probes.append(nengo.Probe(error))
    with nengo.Simulator(net) as sim:
        sim.run(seconds)
    return np.stack([sim.data[probe][:, 0] for probe in probes])


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("synapse, lag", [(None, 0), (0, 1), (z**-2, 2), (z**-20, 20)])
def test_limits_in_nengo(limit, synapse, lag):
    """Nengo's PES grows, or overshoots, above the discrete limits; with a delay of 20
    steps also above the continuous limits for 20.5 steps."""
    ratios = np.arange(0.91, 1.1, 0.02)
    delay = (lag + 0.5) * DT
    courses = errors_in_nengo(limit, ratios, synapse, lag * DT, seconds=150 * delay)
    above = [IS_ABOVE[limit](course) for course in courses]
    # the measured limit lies between the two ratios where `above` changes
    assert above == sorted(above)
    assert_allclose(ratios[above.index(True)] - 0.01, 1.0, atol=0.011)
    if lag == 20:
        measured = (ratios[above.index(True)] - 0.01) * limit(UNIT, lag * DT, DT)
        constant = {grows: np.pi / 2, overshoots: 1 / np.e}[IS_ABOVE[limit]]
        assert_allclose(measured * delay, constant, rtol=0.05)


@pytest.mark.parametrize("limit", LIMITS)
def test_limits_are_those_of_the_worst_sample(limit):
    """The sample with the largest activities determines the limit."""
    weak, strong = [10.0, 20.0, 0.0], [30.0, 40.0, 0.0]
    assert limit([weak, strong], delay=0.2) == limit(strong, delay=0.2)
    # n / |a|^2 is 3 / 2500 in place of 1, and the delay is a fifth
    assert_allclose(limit(strong, delay=0.2), limit(UNIT, 1.0) * 5 * 3 / 2500)


def test_suggestion_has_the_time_constant():
    """PES with a constant input learns with the requested time constant."""
    net, rates, activities = at_constant_input(-0.3)
    with net:
        rate = suggest_learning_rate(activities, time_constant=0.05)
        error = nengo.Node(size_in=1)
        learned = nengo.Connection(
            rates,
            error,
            function=lambda x: 1.0,
            synapse=None,
            learning_rule_type=nengo.PES(rate),
        )
        nengo.Connection(error, learned.learning_rule, synapse=None)
        probe = nengo.Probe(error)
    with nengo.Simulator(net) as sim:
        sim.run(0.3)
    # after 100 ms the rule's filter of 5 ms has settled; a step of 1 / 50 of the time
    # constant has slope log(1 - 1 / 50) instead of -1 / 50, 1 % more
    course = sim.data[probe][100:, 0]
    slope = np.polyfit(np.arange(len(course)) * DT, np.log(course), 1)[0]
    assert_allclose(slope, -1 / 0.05, rtol=0.015)


def test_suggestion_over_samples():
    """The decay rates of the components of an error over the samples sum to one over
    the time constant; with "largest" no sample decays faster than that."""
    activities = np.random.RandomState(1).uniform(0, 200, (400, 12))
    activities *= np.random.RandomState(2).uniform(0, 1, (400, 1))
    n = activities.shape[1]
    mean = suggest_learning_rate(activities, time_constant=0.1)
    falls = np.linalg.eigvalsh(mean / n * activities.T @ activities / len(activities))
    assert_allclose(falls.sum(), 10.0)
    largest = suggest_learning_rate(activities, time_constant=0.1, over="largest")
    assert largest < mean
    assert_allclose(max(largest / n * a @ a for a in activities), 10.0)


def test_activities_are_the_rates():
    """The activities equal the outputs of rate neurons for the evaluation points."""
    points = np.array([[0.1, 0.7], [-0.5, 0.2], [0.0, 0.0]])
    with nengo.Network(seed=3) as net:
        rates = nengo.Ensemble(
            40, 2, neuron_type=nengo.LIFRate(), radius=2.0, eval_points=points
        )
        # evaluation points are scaled by the radius
        stimulus = nengo.Node(lambda t: 2.0 * points[round(t / DT) - 1])
        nengo.Connection(stimulus, rates, synapse=None)
        probe = nengo.Probe(rates.neurons)
    with nengo.Simulator(net) as sim:
        sim.run_steps(3)
        assert_allclose(activities_of(sim, rates), sim.data[probe], rtol=1e-12)


@pytest.mark.parametrize("limit", LIMITS)
def test_limits_refuse(limit):
    """Invalid arguments are refused, with the valid values."""
    for activities in ([], [0.0, 0.0], [1.0, np.nan], np.ones((1, 2, 3))):
        with pytest.raises(ValueError, match="activities_of"):
            limit(activities, 0.1)
    for delay in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"delay: must be above 0 s"):
            limit(UNIT, delay)
    for delay in (-0.001, 0.0015, np.nan, np.inf):
        with pytest.raises(ValueError, match="whole number of steps"):
            limit(UNIT, delay, 0.001)
    with pytest.raises(ValueError, match=r"dt: must be above 0 s .got 0"):
        limit(UNIT, 0.1, 0)


def test_others_refuse():
    """The other functions do the same; an ensemble without neurons has no
    activities."""
    with pytest.raises(ValueError, match=r"time_constant: must be above 0 s .got 0"):
        suggest_learning_rate(UNIT, 0)
    with pytest.raises(ValueError, match="must be 'mean' or 'largest'"):
        suggest_learning_rate(UNIT, 0.1, over="median")
    with nengo.Network() as net:
        direct = nengo.Ensemble(1, dimensions=1, neuron_type=nengo.Direct())
    with nengo.Simulator(net) as sim, pytest.raises(ValueError, match="neuron_type"):
        activities_of(sim, direct)
