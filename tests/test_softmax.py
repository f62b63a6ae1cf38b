"""The softmax policy, on plain arrays and as a network."""

import nengo
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nengo.exceptions import ValidationError
from numpy.testing import assert_allclose
from scipy.special import log_softmax

from nengo_epes.arithmetic import softmax
from nengo_epes.networks import SoftmaxPolicy

preferences = st.lists(st.floats(-700, 700), min_size=1, max_size=6).map(np.array)


@given(preferences)
def test_probabilities(h):
    """The probabilities are the exponentials over their sum, even if the exponentials
    would overflow."""
    assert_allclose(softmax.probabilities(h), np.exp(log_softmax(h)), atol=1e-15)


@given(preferences.filter(lambda h: np.ptp(h) < 10), st.data())
def test_score_is_the_gradient(h, data):
    """The score is the derivative of the log probability, by central differences."""
    action = data.draw(st.integers(0, len(h) - 1))
    step = 1e-5
    steps = step * np.eye(len(h))
    expected = [
        (log_softmax(h + d)[action] - log_softmax(h - d)[action]) / (2 * step)
        for d in steps
    ]
    got = softmax.score(softmax.probabilities(h), action)
    # rounding of preferences up to 700: 1e-13 / step
    assert_allclose(got, expected, rtol=0, atol=1e-7)


@given(preferences)
def test_score_is_centred(h):
    """The mean of the score under the policy is 0."""
    p = softmax.probabilities(h)
    mean = sum(p[k] * softmax.score(p, k) for k in range(len(h)))
    assert_allclose(mean, 0, atol=1e-15)


@given(preferences, st.floats(0, 1, exclude_max=True))
def test_choice_falls_into_its_share(h, uniform):
    """The uniform number lies in the share of the chosen action."""
    p = softmax.probabilities(h)
    k = softmax.choose(p, uniform)
    assert p[:k].sum() - 1e-15 <= uniform
    assert uniform < p[: k + 1].sum() + 1e-15 or k == len(p) - 1


def test_network_chooses_by_the_probabilities():
    """Over many decisions the frequency of each action is its probability."""
    h = np.array([0.0, 1.0, -1.0])
    with nengo.Network() as net:
        policy = SoftmaxPolicy(3, period=0.001, seed=3)
        nengo.Connection(nengo.Node(h), policy.input, synapse=None)
        action, decision = nengo.Probe(policy.action), nengo.Probe(policy.decision)
        score = nengo.Probe(policy.score)
    n = 4000
    with nengo.Simulator(net) as sim:
        sim.run_steps(n)
    p = np.exp(log_softmax(h))
    chosen = sim.data[action]
    assert set(np.unique(chosen)) == {0.0, 1.0}
    assert_allclose(chosen.sum(axis=1), 1)
    # four standard errors of a share
    assert_allclose(chosen.mean(axis=0), p, atol=4 * np.sqrt(0.25 / n))
    assert_allclose(sim.data[score] * 0.001, chosen - p, atol=1e-12)
    expected = np.concatenate(
        [np.ones((n, 1)), chosen - p, chosen, np.tile(p, (n, 1))], 1
    )
    assert_allclose(sim.data[decision], expected, atol=1e-12)


def test_needs_a_period():
    """A policy without a period or trigger is refused."""
    with nengo.Network(), pytest.raises(ValidationError, match="period=SECONDS"):
        SoftmaxPolicy(2)
