"""Actor and critic against an actor-critic in plain numpy, and their evaluation."""

import pickle

import gymnasium
import nengo
import numpy as np
import pytest
from nengo.exceptions import BuildError, ValidationError
from numpy.testing import assert_allclose, assert_array_equal
from textbook import (
    GaussianDecision,
    Intended,
    NormalizedSphere,
    Plain,
    ScaledReward,
    SoftmaxDecision,
    actor_critic,
)

from nengo_epes.arithmetic.distributions import BoundedGaussian, Softmax
from nengo_epes.arithmetic.step_sizes import Intentional
from nengo_epes.networks import (
    ActorCritic,
    place_cells,
    random_features,
    sphere_features,
    to_sphere,
)
from nengo_epes.networks.actor_critic import ActorCriticProcess
from nengo_epes.rl import Environment, build_network, connect

SEED, N_DECISIONS, GAMMA = 3, 500, 0.99
LAKE = {"desc": ["SFF", "FHF", "FFG"], "is_slippery": True}
TASKS = {
    "CartPole-v1": {"max_episode_steps": 12},
    "Pendulum-v1": {"max_episode_steps": 60},
    "FrozenLake-v1": {"max_episode_steps": 8, **LAKE},
}


def noise_for(task):
    """Return uniform or normal noise for all decisions."""
    rng = np.random.RandomState(0)
    if task == "Pendulum-v1":
        return rng.randn(2 * N_DECISIONS, 2)
    return rng.rand(2 * N_DECISIONS, 1)


def learned_in_nengo(network, env, noise):
    """Return the weights after each transition, and the built ensemble."""
    agent = network.actor_critic
    old = agent.node.output
    agent.node.output = ActorCriticProcess(
        old.distribution, old.discount, old.entropy_bonus, old.made_for, noise
    )
    with network:
        probes = {
            "critic": nengo.Probe(agent.critic, "weights"),
            "actor": nengo.Probe(agent.actor, "weights"),
            "learn": nengo.Probe(network.env_node[env.learn]),
        }
    with nengo.Simulator(network) as sim:
        # the first slot of an episode has no transition
        sim.run_steps(2 * N_DECISIONS * env.steps_per_action)
    pulses = np.flatnonzero(sim.data[probes["learn"]][:, 0])[:N_DECISIONS]
    assert len(pulses) == N_DECISIONS
    built = sim.data[network.state]
    # a weight change takes effect in the next simulator step
    course = {name: sim.data[probes[name]][pulses + 1] for name in ("critic", "actor")}
    return course, built


def agent_in_nengo(task, every):
    """Let the network of an agent with 40 neurons learn a task."""
    env = Environment(task, TASKS[task], every, seed=SEED)
    # the reach is so short that the means exceed it within 500 decisions
    settings = {"reach": 0.01} if task == "Pendulum-v1" else {}
    if task != "FrozenLake-v1":
        settings |= {"n_neurons": 40, "shrink": 300.0, "entropy_bonus": 0.1}
    network = build_network(env, seed=SEED, **settings)
    return learned_in_nengo(network, env, noise_for(task))


def agent_in_numpy(task, built, n_decisions=N_DECISIONS, **changes):
    """Return the weights that the agent of `agent_in_nengo` must learn."""
    lambdas, options = (0.95, 0.9), {"scale": ScaledReward(GAMMA), "bonus": 0.1}
    step = {"eta": 0.04, "normalize": True, "floor": 0.2, "shrink": 300.0}
    if task == "FrozenLake-v1":
        lambdas, options["bonus"] = (0.0, 0.0), 0.003
        step |= {"eta": 0.02, "shrink": None}

        def features(state):
            return 100.0 * np.eye(9)[state]
    else:
        features = NormalizedSphere(built.scaled_encoders, built.bias)
    decide = SoftmaxDecision()
    if task == "Pendulum-v1":
        decide = GaussianDecision(2.0, std=0.8, reach=0.01)
    step |= changes.pop("step", {})
    lambdas = changes.pop("lambdas", lambdas)
    if not changes.pop("scaled", True):
        options["scale"] = None
    eta_critic = changes.pop("eta_critic", 0.4)
    critic = Intended(eta_critic, GAMMA * lambdas[0])
    actor = Intended(decay=GAMMA * lambdas[1], **step)
    return actor_critic(
        gymnasium.make(task, **TASKS[task]),
        SEED,
        noise_for(task),
        n_decisions,
        features,
        decide,
        (critic, actor),
        lambdas,
        **{**options, **changes},
    )


def assert_same(got, expected, tolerance=1e-10):
    """Assert that all weights are equal, relative to the largest."""
    for name in ("critic", "actor"):
        scale = np.abs(expected[name]).max()
        assert scale > 0
        assert_allclose(got[name] / scale, expected[name] / scale, 0, tolerance)


@pytest.mark.parametrize(
    ("task", "every"), [*((task, 2) for task in TASKS), ("CartPole-v1", 5)]
)
def test_agent_is_the_textbooks(task, every):
    """After each of 500 decisions all weights of critic and actor equal the weights of
    an actor-critic in plain numpy, over episodes that terminate and episodes that are
    truncated."""
    got, built = agent_in_nengo(task, every)
    expected = agent_in_numpy(task, built)
    assert_same(got, expected)
    ends = expected["ends"]
    assert ends.count("truncated") >= 3
    assert ends.count("terminated") >= 3 or task == "Pendulum-v1"


@pytest.mark.parametrize(
    "changes",
    [
        {"truncation_terminates": True},
        {"bonus": 0.0},
        {"scaled": False},
        {"lambdas": (0.95, 0.8)},
        {"lambdas": (0.9, 0.9)},
        {"eta_critic": 0.41},
        {"step": {"normalize": False}},
        {"step": {"floor": None}},
        {"step": {"shrink": None}},
    ],
    ids=str,
)
def test_the_comparison_would_fail(changes):
    """Each part of the agent matters: a numpy agent without it learns other weights on
    CartPole, by more than a million times the tolerance."""
    with nengo.Network(seed=SEED), nengo.Network() as net:
        state = sphere_features(40, 4, seed=SEED)
    with nengo.Simulator(net) as sim:
        built = sim.data[state]
    whole = agent_in_numpy("CartPole-v1", built, 150)
    part = agent_in_numpy("CartPole-v1", built, 150, **changes)
    differences = [
        np.abs(part[name][-1] - whole[name][-1]).max() / np.abs(whole[name][-1]).max()
        for name in ("critic", "actor")
    ]
    assert max(differences) > 1e-4


@pytest.mark.parametrize(("every", "lambdas"), [(2, (0.95, 0.8)), (5, (0.0, 0.0))])
def test_plain_steps(every, lambdas):
    """With plain step sizes the rule is TD(lambda): the weights equal the textbook's
    weights."""
    ranges, alphas = np.array([2.4, 3.0, 0.21, 3.0]), (1e-7, 1e-7)
    env = Environment(
        "CartPole-v1", TASKS["CartPole-v1"], every, observation_range=ranges, seed=SEED
    )
    with nengo.Network(seed=SEED) as network:
        network.env_node = nengo.Node(env)
        network.state = random_features(40, 4, seed=1)
        seen = network.env_node[env.observation]
        nengo.Connection(seen, network.state, synapse=None)
        network.actor_critic = ActorCritic(
            network.state,
            Softmax(2),
            critic_step=alphas[0],
            actor_step=alphas[1],
            lambda_critic=lambdas[0],
            lambda_actor=lambdas[1],
            discount=GAMMA,
            entropy_bonus=0.1,
        )
        connect(network.env_node, network.actor_critic)
    noise = noise_for("CartPole-v1")
    got, built = learned_in_nengo(network, env, noise)

    def features(observation):
        x = np.clip(np.array(observation, dtype=float) / ranges, -1, 1)
        return np.maximum(built.scaled_encoders @ x + built.bias, 0.0)

    expected = actor_critic(
        gymnasium.make("CartPole-v1", **TASKS["CartPole-v1"]),
        SEED,
        noise,
        N_DECISIONS,
        features,
        SoftmaxDecision(),
        [Plain(alpha) for alpha in alphas],
        lambdas,
        discount=GAMMA,
        bonus=0.1,
    )
    assert_same(got, expected)
    # the policy has changed by now
    chosen = np.array(expected["scores"]).max(axis=1)
    assert np.ptp(chosen) > 0.2


def actions_with(rates, n_decisions=300):
    """Return all actions of an agent whose features have the given largest rates."""
    env = Environment("CartPole-v1", seed=SEED)
    with nengo.Network(seed=SEED) as net:
        env_node = nengo.Node(env)
        state = sphere_features(40, 4, max_rates=rates, seed=1)
        point = nengo.Node(lambda t, x: to_sphere(x), size_in=4)
        nengo.Connection(env_node[env.observation], point, synapse=None)
        nengo.Connection(point, state, synapse=None)
        agent = ActorCritic(state, Softmax(2), entropy_bonus=0.01)
        connect(env_node, agent)
        probes = nengo.Probe(env_node), nengo.Probe(agent.value)
    with nengo.Simulator(net) as sim:
        sim.run_steps(2 * n_decisions)
        return [sim.data[probe] for probe in probes]


def test_unit_of_activities_does_not_matter():
    """Features whose rates are 100 times larger give the same episodes and values."""
    slow, fast = actions_with((2.0, 5.0)), actions_with((200.0, 500.0))
    assert np.abs(slow[1]).max() > 0.1
    for one, other in zip(slow, fast, strict=True):
        assert_allclose(other, one, rtol=0, atol=1e-9 * np.abs(one).max())


def small(distribution=None, every=2, switch=None, **options):
    """Return a network of CartPole and a small agent, and probes."""
    env = Environment(
        "CartPole-v1", {"max_episode_steps": 50}, every, [2.4, 3, 0.21, 3], SEED
    )
    with nengo.Network(seed=SEED) as net:
        env_node, state = nengo.Node(env), random_features(40, 4)
        nengo.Connection(env_node[env.observation], state, synapse=None)
        agent = ActorCritic(state, distribution or Softmax(2), **options)
        connect(env_node, agent)
        if switch is not None:
            nengo.Connection(nengo.Node(switch), agent.evaluate, synapse=None)
    return net, env_node, agent


@pytest.mark.parametrize("distribution", [Softmax(2), BoundedGaussian(2)])
@pytest.mark.parametrize("every", [2, 3])
def test_reset_and_pickle(distribution, every):
    """A reset simulation learns the same weights again, with the same actions and
    episodes; a pickled simulation resumes in mid-episode as if it had not been
    pickled."""
    net, env_node, agent = small(distribution, every, entropy_bonus=0.01)
    with net:
        probes = [
            nengo.Probe(agent.critic, "weights"),
            nengo.Probe(agent.actor, "weights"),
            nengo.Probe(agent.node),
            nengo.Probe(env_node),
        ]
    with nengo.Simulator(net) as sim:
        sim.run_steps(101)
        pickled = pickle.dumps((sim, probes))
        sim.run_steps(200)
        straight = [sim.data[probe].copy() for probe in probes]
        assert all(np.abs(data[-1]).max() > 0 for data in straight)
        sim.reset()
        sim.run_steps(301)
        for probe, data in zip(probes, straight, strict=True):
            assert_array_equal(sim.data[probe], data)
    resumed, probes = pickle.loads(pickled)
    with resumed:
        resumed.run_steps(200)
        for probe, data in zip(probes, straight, strict=True):
            assert_array_equal(resumed.data[probe], data)


def test_seeds():
    """The noise follows from the seed of the network: the same seed makes the same
    decisions, another seed makes others; two agents in one network differ."""
    found = []
    for seed in (1, 1, 2):
        with nengo.Network(seed=seed) as net:
            state = nengo.Ensemble(5, 1, neuron_type=nengo.RectifiedLinear())
            agents = [ActorCritic(state, BoundedGaussian(1)) for _ in range(2)]
            for agent in agents:
                # learn and decide
                nengo.Connection(nengo.Node([0, 1]), agent.node[[5, 6]], synapse=None)
            probes = [nengo.Probe(agent.action) for agent in agents]
        with nengo.Simulator(net) as sim:
            sim.run_steps(10)
        found.append([sim.data[probe] for probe in probes])
    assert_array_equal(found[0], found[1])
    assert not np.any(found[0][0] == found[0][1])
    assert not np.any(found[0][0] == found[2][0])


class Evaluating:
    """Output 1 between two simulator steps, else 0."""

    __name__ = "evaluating"

    def __init__(self, start, stop):
        self.start, self.stop = start, stop

    def __call__(self, t):
        return self.start <= round(t / 0.001) - 1 < self.stop


@pytest.mark.parametrize("distribution", [Softmax(2), BoundedGaussian(2)])
def test_evaluation(distribution):
    """During an evaluation the agent takes its best actions, its weights and noise
    counter do not change, and traces are held until an episode starts."""
    start, stop = 600, 800
    net, env_node, agent = small(distribution, switch=Evaluating(start, stop))
    env = env_node.output
    with net:
        weights = nengo.Probe(agent.actor, "weights")
        trace = nengo.Probe(agent.actor.learning_rule, "eligibility_trace")
        action, td_error = nengo.Probe(agent.action), nengo.Probe(agent.td_error)
        decides = nengo.Probe(env_node[env.decide])
        resets = nengo.Probe(env_node[env.reset])
        rates = nengo.Probe(agent.state.neurons)
    with nengo.Simulator(net) as sim:
        count = sim.signals[sim.model.sig[agent.node.output]["_state_decisions"]]
        sim.run_steps(start)
        before = count.item()
        sim.run_steps(stop - start)
        assert count.item() == before
        sim.run_steps(100)
        assert count.item() > before
    # the weight change of the last step before the evaluation takes effect in the first
    during = sim.data[weights][start:stop]
    assert_array_equal(during, np.broadcast_to(during[0], during.shape))
    assert np.abs(during[0]).max() > 0
    assert np.any(sim.data[weights][-1] != during[-1])
    assert not sim.data[td_error][start:stop].any()
    held = sim.data[trace][start:stop]
    first_reset = np.flatnonzero(sim.data[resets][start:stop, 0])[0]
    assert_array_equal(held[:first_reset], [held[0]] * first_reset)
    assert np.abs(held[0]).max() > 0
    where = start + np.flatnonzero(sim.data[decides][start:stop, 0])
    decoded = np.einsum("kij,kj->ki", sim.data[weights][where], sim.data[rates][where])
    expected = decoded
    if isinstance(distribution, Softmax):
        expected = np.eye(2)[decoded.argmax(axis=1)]
    assert_allclose(sim.data[action][where], expected, rtol=1e-12)
    assert len(where) > 50


def test_after_an_evaluation():
    """The first TD error after an evaluation belongs to a sampled action: the evaluated
    transitions do not affect the weights."""
    # the last evaluated simulator step makes a decision, in mid-episode
    start, stop = 601, 608
    net, env_node, agent = small(switch=Evaluating(start, stop))
    env = env_node.output
    with net:
        value, td_error = nengo.Probe(agent.value), nengo.Probe(agent.td_error)
        learn, decides = (nengo.Probe(env_node[x]) for x in (env.learn, env.decide))
        over = nengo.Probe(env_node[env.terminated])
    with nengo.Simulator(net) as sim:
        sim.run_steps(640)
    data = {
        name: sim.data[probe][:, 0]
        for name, probe in (
            ("value", value),
            ("error", td_error),
            ("learn", learn),
            ("decide", decides),
            ("over", over),
        )
    }
    assert data["decide"][start] == 1
    last, drawn = None, False
    for k in range(640):
        evaluates = start <= k < stop
        expected = 0.0
        if data["learn"][k] and drawn and not evaluates:
            expected = 1.0 + 0.99 * data["value"][k] * (not data["over"][k]) - last
        assert_allclose(data["error"][k] * 0.001, expected, rtol=0, atol=1e-9)
        if data["decide"][k]:
            drawn, last = not evaluates, data["value"][k]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"state": "node"}, ValidationError, "must be an Ensemble.*sphere_features"),
        ({"neuron_type": nengo.LIF()}, ValidationError, r"nengo.Alpha\(0.005\)"),
        ({"lambda_actor": 1.2}, ValidationError, r"below 1 .got 1\.188"),
        ({"discount": 1.1, "lambda_critic": 0.5}, ValidationError, "discount"),
        ({"entropy_bonus": -1.0}, ValidationError, "entropy_bonus"),
        ({"dt": 0.002}, BuildError, "dt=0.002 s.*0.001 s.*dt=0.001"),
        ({"noise": [[0.0, 0.0]]}, ValidationError, r"noise.*\(decisions, 1\)"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(options, error, message):
    """Invalid settings are refused as early as possible, with a remedy."""
    neuron_type = options.pop("neuron_type", nengo.RectifiedLinear())
    with nengo.Network() as net:
        state = nengo.Ensemble(20, 1, neuron_type=neuron_type)
        if options.pop("state", None):
            state = nengo.Node(size_in=1)
        with pytest.raises(error, match=message):
            agent = ActorCritic(state, Softmax(2), **options)
            nengo.Connection(nengo.Node([0, 0]), agent.node[6:8], synapse=None)
            with nengo.Simulator(net):
                pass


def test_too_little_noise():
    """If the given noise is used up, the simulation stops with a remedy."""
    net, *_ = small(noise=np.full((3, 1), 0.5))
    message = r"decision 3 has no noise \(got 3 rows\).*noise=None"
    with nengo.Simulator(net) as sim, pytest.raises(Exception, match=message):
        sim.run_steps(20)


def test_place_cells_and_several_actions():
    """Other populations and groups of actions learn too: all weights become finite and
    differ from 0."""
    with nengo.Network(seed=0) as net:
        state = place_cells([[-1.0], [0.0], [1.0]], 0.5)
        wave = nengo.Node(lambda t: np.sin(100 * t))
        nengo.Connection(wave, state, synapse=None)
        agent = ActorCritic(state, Softmax((2, 3)), actor_step=Intentional(0.1))
        nengo.Connection(wave, agent.reward, synapse=None)
        learns = nengo.Node(lambda t: round(t / 0.001) % 2 == 0)
        decides = nengo.Node(lambda t: round(t / 0.001) % 2 == 1)
        nengo.Connection(learns, agent.learn, synapse=None)
        nengo.Connection(decides, agent.decide, synapse=None)
        probes = [nengo.Probe(x, "weights") for x in (agent.critic, agent.actor)]
        action = nengo.Probe(agent.action)
    with nengo.Simulator(net) as sim:
        sim.run_steps(100)
    for probe in probes:
        assert np.isfinite(sim.data[probe]).all()
        assert sim.data[probe][-1].all()
    groups = sim.data[action][:, :2].sum(axis=1), sim.data[action][:, 2:].sum(axis=1)
    assert_array_equal(groups, np.ones((2, 100)))
