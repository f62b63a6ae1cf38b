"""The agent against an actor-critic in plain numpy, and its parts."""

import pickle

import gymnasium
import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from numpy.testing import assert_allclose, assert_array_equal
from textbook import Normalised

from nengo_epes import z
from nengo_epes.arithmetic import gaussian, softmax
from nengo_epes.arithmetic.step_sizes import Intentional
from nengo_epes.networks import (
    Actor,
    ActorCritic,
    GaussianPolicy,
    SoftmaxPolicy,
    grid,
    place_cells,
    random_features,
)
from nengo_epes.rl.environment import Environment

N_NEURONS, SEED, GAMMA, LAMBDA = 40, 3, 0.95, 0.8
RANGES = np.array([2.4, 3.0, 0.21, 3.0])
REWARD_SCALE = 0.05


def build(name, every, policy, state, limit, **options):
    """Return network, population, env_node, agent, and probes of what is learned."""
    env = Environment(
        name,
        {"max_episode_steps": limit},
        every,
        discount_factor=GAMMA,
        reward_scale=REWARD_SCALE,
        observation_range=RANGES if name.startswith("Cart") else None,
        seed=SEED,
    )
    with nengo.Network(seed=SEED) as net:
        env_node = nengo.Node(env)
        population = state()
        agent = ActorCritic(
            population,
            policy(env.n_actions, trigger=True),
            discount=GAMMA,
            lambda_=LAMBDA,
            **options,
        )
        nengo.Connection(env_node[env.observation], population, synapse=None)
        for signal in ("reward", "discount", "learn", "decide", "reset"):
            source = env_node[getattr(env, signal)]
            nengo.Connection(source, getattr(agent, signal), synapse=None)
        nengo.Connection(agent.action, env_node, synapse=z**-1)
        probes = {
            "critic": nengo.Probe(agent.critic.learned, "weights"),
            "actor": nengo.Probe(agent.actor.learned, "weights"),
            "learn": nengo.Probe(env_node[env.learn]),
        }
    return net, population, env_node, agent, probes


def in_numpy(n_transitions, features, noise, bonus, etas, limit):
    """An actor-critic with traces on CartPole, softmax over two actions."""
    env = gymnasium.make("CartPole-v1", max_episode_steps=limit)

    def see(observation):
        return features(np.clip(observation / RANGES, -1, 1))

    x = see(env.reset(seed=SEED)[0])
    v, w = np.zeros(N_NEURONS), np.zeros((2, N_NEURONS))
    zv, zw = np.zeros(N_NEURONS), np.zeros((2, N_NEURONS))
    critic = Normalised(etas[0], GAMMA * LAMBDA)
    actor = Normalised(etas[1], GAMMA * LAMBDA, normalize=True)
    course = {"critic": [], "actor": [], "ends": []}
    decisions = iter(noise)
    for _ in range(n_transitions):
        chances = softmax.probabilities(w @ x)
        action = softmax.choose(chances, next(decisions)[0])
        score = np.eye(2)[action] - chances
        entropy = -(chances * np.log(chances)).sum()
        zv = GAMMA * LAMBDA * zv + x
        zw = GAMMA * LAMBDA * zw + np.outer(score, x)
        sizes = x @ x, (score @ score) * (x @ x)
        observation, reward, terminated, truncated, _ = env.step(action)
        after = see(observation)
        target = REWARD_SCALE * reward + bonus * entropy
        target += 0.0 if terminated else GAMMA * (v @ after)
        delta = target - v @ x
        v = v + critic(delta, zv, sizes[0])
        w = w + actor(delta, zw, sizes[1])
        course["critic"].append(v[None])
        course["actor"].append(w)
        x = after
        if terminated or truncated:
            course["ends"].append("terminated" if terminated else "truncated")
            zv, zw = 0 * zv, 0 * zw
            x = see(env.reset()[0])
    return course


@pytest.mark.parametrize("every", [2, 5])
def test_against_plain_numpy(every):
    """All weights of critic and actor, after every transition of CartPole, are those of
    an actor-critic with traces in plain numpy: with the entropy bonus, the bounded
    steps, episodes that terminate and episodes that are truncated."""
    noise, n_transitions, limit = np.random.RandomState(0).rand(600, 1), 250, 12
    etas = 0.3, 0.05
    net, population, _, _, probes = build(
        "CartPole-v1",
        every,
        lambda n_actions, **timing: SoftmaxPolicy(n_actions, noise=noise, **timing),
        lambda: random_features(N_NEURONS, 4, seed=1),
        limit,
        critic_step=Intentional(etas[0]),
        actor_step=Intentional(etas[1], normalize=True),
        entropy_bonus=0.1,
    )
    with nengo.Simulator(net) as sim:
        sim.run_steps(round(1.3 * n_transitions) * every)
    built = sim.data[population]

    def features(seen):
        return np.maximum(built.scaled_encoders @ seen + built.bias, 0.0)

    pulses = np.flatnonzero(sim.data[probes["learn"]][:, 0])[:n_transitions]
    expected = in_numpy(n_transitions, features, noise, 0.1, etas, limit=limit)
    for name in ("critic", "actor"):
        got = sim.data[probes[name]][pulses + 1]
        scale = np.abs(expected[name]).max()
        assert_allclose(got, expected[name], rtol=0, atol=1e-9 * scale)
    ends = expected["ends"]
    assert min(ends.count("terminated"), ends.count("truncated")) >= 3


def test_gaussian_agent_against_plain_numpy():
    """With continuous actions, plain step sizes and a constant standard deviation: on
    Pendulum, with place cells, all weights are those of plain numpy."""
    centres, width, std, alpha = (
        grid([-1, 0, 1], [-1, 0, 1], [-0.5, 0.5]),
        0.6,
        0.4,
        0.3,
    )
    noise, n_transitions, limit = np.random.RandomState(0).randn(300, 1), 120, 50
    options = {"mean_activation": "tanh", "fixed_std": std}
    net, _, _, _, probes = build(
        "Pendulum-v1",
        2,
        lambda n_actions, **timing: GaussianPolicy(
            n_actions, noise=noise, action_low=-1, action_high=1, **timing, **options
        ),
        lambda: place_cells(centres, width, rate=1.0),
        limit,
        critic_step=alpha,
        actor_step=alpha,
    )
    with nengo.Simulator(net) as sim:
        sim.run_steps(2 * (n_transitions + 5))
    pulses = np.flatnonzero(sim.data[probes["learn"]][:, 0])[:n_transitions]

    env = gymnasium.make("Pendulum-v1", max_episode_steps=limit)

    def see(observation):
        x = observation / env.observation_space.high
        tuning = np.exp(-((x - centres) ** 2).sum(axis=1) / 2 / width**2)
        return tuning / tuning.sum()

    x = see(env.reset(seed=SEED)[0])
    v, w, zv, zw = np.zeros((4, len(centres)))
    bounds = {"action_low": -1, "action_high": 1}
    spec = gaussian.GaussianPolicySpec(1, **options, **bounds, variance_scaled=True)
    expected = {"critic": [], "actor": []}
    for k in range(n_transitions):
        drawn = gaussian.decide(spec, w[None] @ x, noise[k])
        zv = GAMMA * LAMBDA * zv + x
        zw = GAMMA * LAMBDA * zw + drawn.score[0] * x
        seen, reward, _, truncated, _ = env.step(2 * drawn.action.astype(np.float32))
        after = see(seen)
        delta = REWARD_SCALE * reward + GAMMA * (v @ after) - v @ x
        v, w, x = v + alpha * delta * zv, w + alpha * delta * zw, after
        expected["critic"].append(v)
        expected["actor"].append(w)
        if truncated:
            zv, zw, x = 0 * zv, 0 * zw, see(env.reset()[0])
    for name, course in expected.items():
        got = sim.data[probes[name]][pulses + 1, 0]
        # Pendulum itself, in single precision, sees actions that differ by rounding
        assert_allclose(got, course, rtol=0, atol=1e-5 * np.abs(course).max())


@pytest.mark.parametrize("every", [2, 3])
def test_reset_and_pickle(every):
    """A reset simulation learns the same again, with the same actions and episodes; a
    pickled one goes on in mid-episode as it would have."""
    net, _, env_node, _, probes = build(
        "CartPole-v1",
        every,
        SoftmaxPolicy,
        lambda: random_features(N_NEURONS, 4),
        50,
        entropy_bonus=0.01,
    )
    with net:
        probes = [probes["actor"], nengo.Probe(env_node)]
    with nengo.Simulator(net) as sim:
        sim.run_steps(101)
        pickled = pickle.dumps((sim, probes))
        sim.run_steps(200)
        straight = [sim.data[probe].copy() for probe in probes]
        assert np.abs(straight[0]).max() > 0
        sim.reset()
        sim.run_steps(301)
        for probe, data in zip(probes, straight, strict=True):
            assert_array_equal(sim.data[probe], data)
    resumed, probes = pickle.loads(pickled)
    with resumed:
        resumed.run_steps(200)
        for probe, data in zip(probes, straight, strict=True):
            assert_array_equal(resumed.data[probe], data)


def test_evaluation():
    """While it is evaluated, the agent learns nothing, and the most probable action is
    taken; else actions are drawn."""
    net, _, _, agent, probes = build(
        "CartPole-v1", 2, SoftmaxPolicy, lambda: random_features(N_NEURONS, 4), 50
    )
    with net:
        switch = nengo.Node(lambda t: float(t > 0.5))
        nengo.Connection(switch, agent.evaluate, synapse=None)
        decisions = nengo.Probe(agent.policy.decision)
    with nengo.Simulator(net) as sim:
        sim.run_steps(1000)
    weights = sim.data[probes["actor"]]
    assert np.abs(weights[499] - weights[250]).max() > 0
    assert_array_equal(
        weights[501:], np.broadcast_to(weights[501], (499, 2, N_NEURONS))
    )
    told = sim.data[decisions]
    told = told[told[:, 0] == 1]
    actions, chances = told[:, 3:5].argmax(axis=1), told[:, 5:7]
    half = np.flatnonzero(np.diff(sim.trange() > 0.5))[0] // 2
    greedy = actions == chances.argmax(axis=1)
    late = len(told) - 200
    assert greedy[late:].all()
    assert not greedy[: half - 20].all()


def test_greedy_gaussian_is_the_mean():
    """A greedy Gaussian policy does what it means."""
    with nengo.Network() as net:
        policy = GaussianPolicy(1, period=0.001, fixed_std=2.0)
        nengo.Connection(nengo.Node(0.3), policy.input, synapse=None)
        nengo.Connection(nengo.Node(1.0), policy.greedy, synapse=None)
        probe = nengo.Probe(policy.action)
    with nengo.Simulator(net) as sim:
        sim.run_steps(5)
    assert_allclose(sim.data[probe], 0.3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda state: Actor(state, SoftmaxPolicy(2, period=0.02)), "trigger=True"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    """With the way out."""
    with nengo.Network():
        state = nengo.Ensemble(20, 1, neuron_type=nengo.RectifiedLinear())
        with pytest.raises(ValidationError, match=message):
            make(state)
