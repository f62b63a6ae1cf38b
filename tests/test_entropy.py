"""The entropies of policies, and what an agent is given for them."""

import nengo
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nengo_epes.arithmetic import gaussian, softmax
from nengo_epes.networks import (
    ActorCritic,
    GaussianPolicy,
    SoftmaxPolicy,
    random_features,
)


def test_entropies(rng):
    """They are those of scipy."""
    chances = softmax.probabilities(rng.randn(4))
    with nengo.Network():
        policy = SoftmaxPolicy(4, period=0.1)
        other = GaussianPolicy(2, period=0.1)
    decision = np.concatenate([[1.0], np.zeros(8), chances])
    assert_allclose(policy.entropy(decision), stats.entropy(chances), rtol=1e-12)
    decision = np.zeros(20)
    decision[gaussian.decision_layout(4, 2)["standard_deviation"]] = [0.5, 3.0]
    expected = stats.norm(scale=0.5).entropy() + stats.norm(scale=3.0).entropy()
    assert_allclose(other.entropy(decision), expected, rtol=1e-12)
    certain = np.concatenate([[1.0], np.zeros(8), [1.0, 0.0, 0.0, 0.0]])
    assert policy.entropy(certain) == 0.0


@pytest.mark.parametrize("low", [-1.0, 0.25])
def test_bonus_of_a_decision(low):
    """There is none before the first decision, also where the action that is held until
    then is not 0, for which there may be no room; after it, the entropy's share."""
    with nengo.Network(seed=0) as net:
        state = random_features(20, 1)
        policy = GaussianPolicy(trigger=True, fixed_std=0.5, action_low=low)
        agent = ActorCritic(state, policy, entropy_bonus=0.1)
        decide = nengo.Node(lambda t: t > 0.0025)
        nengo.Connection(decide, agent.decide, synapse=None)
        for unused in (agent.discount, agent.learn):
            nengo.Connection(nengo.Node(0.0), unused, synapse=None)
        probes = nengo.Probe(agent.action), nengo.Probe(agent.td.reward)
    with nengo.Simulator(net) as sim:
        sim.run_steps(6)
    action, bonus = (sim.data[probe].ravel() for probe in probes)
    assert_allclose(action[0], max(low, 0.0))
    share = 0.1 * stats.norm(scale=0.5).entropy()
    assert_allclose(bonus, [0, 0, *[share] * 4], rtol=1e-12)
