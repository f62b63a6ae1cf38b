"""The agent of Pendulum-v1 against plain numpy, and what it learns."""

import gymnasium
import nengo
import numpy as np
import pytest
from numpy.testing import assert_allclose
from textbook import Normalised

from nengo_epes.rl import pendulum
from nengo_epes.rl.evaluation import FIRST_RESET, evaluate
from nengo_epes.rl.presets import preset
from nengo_epes.rl.training import solved_after

N_ANGLES, N_VELOCITIES, WIDTH = 9, 5, 0.9
SMALL = {"n_angles": N_ANGLES, "n_velocities": N_VELOCITIES, "width": WIDTH}


def rates(observation):
    """Return the share of every place cell, from its distance on the cylinder."""
    cosine, sine, velocity = observation[0], observation[1], observation[2] / 8
    shares = []
    for i in range(N_ANGLES):
        angle = 2 * np.pi * i / N_ANGLES
        # the chord between two neighbours
        spread = WIDTH * np.hypot(
            1 - np.cos(2 * np.pi / N_ANGLES), np.sin(2 * np.pi / N_ANGLES)
        )
        around = (cosine - np.cos(angle)) ** 2 + (sine - np.sin(angle)) ** 2
        for j in range(N_VELOCITIES):
            along = velocity - (-1 + 2 * j / (N_VELOCITIES - 1))
            spread_along = WIDTH * 2 / (N_VELOCITIES - 1)
            shares.append(
                np.exp(-around / (2 * spread**2) - along**2 / (2 * spread_along**2))
            )
    return 200 * np.array(shares) / np.sum(shares)


@pytest.mark.parametrize("lambda_", [0.95, 0.0])
def test_learns_as_the_textbook(lambda_):
    """Over the end of an episode, which is no end of the pendulum's fall, all weights
    are those of an actor-critic in plain numpy, which sees what the network saw."""
    n_transitions, std, gamma = 210, 0.8, 0.98
    etas = {"eta_critic": 0.3, "eta_actor": 0.02}
    network, world, agent = pendulum.build(3, lambda_=lambda_, std=std, **etas, **SMALL)
    env = world.output
    with network:
        told, decisions = nengo.Probe(world), nengo.Probe(agent.policy.decision)
        probes = {
            "critic": nengo.Probe(agent.critic.learned, "weights"),
            "actor": nengo.Probe(agent.actor.learned, "weights"),
        }
    with nengo.Simulator(network) as sim:
        sim.run_steps(2 * (n_transitions + 5))
    # what holds in the last simulator step of every step of the environment
    told = sim.data[told][1::2]
    score, action, mean = sim.data[decisions][1::2, 1:4].T
    seen = told[:, env.observation] * [1, 1, 8]
    rewards, ends = told[:, env.reward], told[:, env.truncated].ravel() > 0

    critic = Normalised(0.3, gamma * lambda_)
    actor = Normalised(0.02, gamma * lambda_, normalize=True)
    v, w, z_v, z_w = np.zeros((4, N_ANGLES * N_VELOCITIES))
    expected = {"critic": [], "actor": []}
    decided = []
    for k in range(n_transitions):
        before, after = rates(seen[k]), rates(seen[k + 1])
        if ends[k]:  # an episode begins
            z_v, z_w = 0 * z_v, 0 * z_w
        else:
            drawn = w @ before + score[k]
            decided.append((mean[k], w @ before))
            decided.append((action[k], np.clip(drawn, -1, 1)))
            z_v = gamma * lambda_ * z_v + before
            z_w = gamma * lambda_ * z_w + score[k] * before
            delta = rewards[k + 1] + gamma * (v @ after) - v @ before
            size = before @ before
            v = v + critic(delta, z_v, size)
            w = w + actor(delta, z_w, score[k] ** 2 * size)
        expected["critic"].append(v)
        expected["actor"].append(w)
    assert ends[:n_transitions].sum() == 1
    assert_allclose(*np.transpose(decided), rtol=0, atol=1e-9)
    for name, course in expected.items():
        got = sim.data[probes[name]][2:, 0][1 : 2 * n_transitions : 2]
        assert_allclose(got, course, rtol=0, atol=1e-9 * np.abs(course).max())


def test_greedy_agent_in_the_environment(rng):
    """Whatever has been learned, a greedy agent exerts the torque that its weights
    decode, within the bounds, from the fixed beginnings."""
    weights = {"critic": np.zeros((1, 45)), "actor": rng.randn(1, 45) / 50}
    returns = evaluate(preset("Pendulum-v1"), weights, n_episodes=3, seed=1, **SMALL)
    env, torques = gymnasium.make("Pendulum-v1"), []
    for k, earned in enumerate(returns):
        seen, _ = env.reset(seed=FIRST_RESET + k)
        total, over = 0.0, False
        while not over:
            torques.append(2 * (weights["actor"] @ rates(seen)))
            torque = np.clip(torques[-1], -2, 2).astype(np.float32)
            seen, reward, _, over, _ = env.step(torque)
            total += reward
        # torques are rounded to single precision, here and there from another digit
        assert_allclose(earned, total, rtol=1e-4)
    assert 0.1 < np.mean(np.abs(torques) < 2) < 0.9


def test_trial_tells():
    """Of a trial of two episodes: their returns, means of them and of greedy ones."""
    told = pendulum.trial(1000, 201, n_episodes=2, **SMALL)
    returns = told["returns"]
    assert len(returns) == 2
    # a step costs at most pi^2 + 0.1 8^2 + 0.001 2^2
    for earned in (*returns, told["greedy mean"]):
        assert -200 * 16.3 < earned < 0
    assert told["lengths"] == [200, 200]
    assert told["episodes"] is told["steps"] is None


@pytest.mark.slow
def test_swings_up():
    """Within 180 episodes an agent swings the pendulum up, and without noise it is
    nearly as good as can be (-142); without traces it is far from it."""
    told = pendulum.trial(1000, 36_000)
    # one that does not swing up earns -900 and less; 48 sketches took 108 at most
    assert solved_after(told["returns"], -300, 20) == told["episodes"] <= 180
    assert told["steps"] == 200 * told["episodes"]
    assert told["greedy mean"] > -200
    told = pendulum.trial(1000, 36_000, lambda_=0.0)
    assert told["episodes"] is None
    assert told["greedy mean"] < -300
