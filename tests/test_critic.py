"""Environment, TDError and Critic together are textbook TD(lambda)."""

import pickle

import gymnasium
import nengo
import numpy as np
import pytest
from nengo.exceptions import BuildError, ValidationError
from numpy.testing import assert_allclose, assert_array_equal
from toy_environments import N_STATES, RandomWalk

from nengo_epes import z
from nengo_epes.arithmetic.step_sizes import Intentional, ObGD
from nengo_epes.networks import Critic, TDError, random_features
from nengo_epes.rl.environment import Environment, episode_seed

ALPHA, DISCOUNT, LAMBDA, SEED = 0.3, 0.95, 0.8, 12


def transitions(n_steps, limit=None):
    """Let Gymnasium walk; return s, r, s' and the two end flags of each step."""
    walk, found, episode = RandomWalk(limit), [], 0
    seen, _ = walk.reset(seed=episode_seed(SEED, 0))
    for _ in range(n_steps):
        after, reward, terminated, truncated, _ = walk.step(0)
        found.append((seen, reward, after, terminated, truncated))
        seen = after
        if terminated or truncated:
            episode += 1
            seen, _ = walk.reset(seed=episode_seed(SEED, episode))
    return found


def textbook(kind, steps, features=lambda seen: seen, lambda_=LAMBDA):
    """Plain TD(lambda), Sutton and Barto (2018), chapter 12: weights after each step.

    A termination ends the return, a truncation only the episode.
    """
    weights, trace, course = np.zeros(N_STATES), np.zeros(N_STATES), []
    decay = DISCOUNT * lambda_
    for seen, reward, after, terminated, truncated in steps:
        x, x_after = features(seen), features(after)
        bootstrap = 0.0 if terminated else DISCOUNT * (weights @ x_after)
        delta = reward + bootstrap - weights @ x
        trace = decay * trace + x
        if kind == "replacing":
            trace = np.maximum(trace - x, x)
        weights = weights + ALPHA * delta * trace
        course.append(weights)
        if terminated or truncated:
            trace = np.zeros(N_STATES)
    return np.array(course)


def build(every, kind="accumulating", limit=None, **options):
    """Return a network that evaluates the walk, and its Environment, Critic and
    TDError."""
    env = Environment(RandomWalk, {"limit": limit}, every, seed=SEED)
    with nengo.Network(seed=0) as net:
        env_node = nengo.Node(env)
        state = nengo.Ensemble(
            N_STATES,
            N_STATES,
            neuron_type=nengo.RectifiedLinear(),
            encoders=np.eye(N_STATES),
            gain=np.ones(N_STATES),
            bias=options.pop("bias", np.zeros(N_STATES)),
        )
        nengo.Connection(env_node[env.observation], state, synapse=None)
        critic = Critic(
            state,
            discount=DISCOUNT,
            lambda_=options.pop("lambda_", LAMBDA),
            step=options.pop("step", ALPHA),
            trace_type=kind,
        )
        td = TDError(DISCOUNT)
        wires = {
            td.reward: env_node[env.reward],
            td.terminated: env_node[env.terminated],
            td.learn: env_node[env.learn],
            td.value: critic.value,
            critic.decide: env_node[env.decide],
            critic.reset: env_node[env.reset],
            critic.td_error: td.output,
        }
        wires[td.decide] = env_node[env.decide]
        for target, source in wires.items():
            nengo.Connection(source, target, synapse=None)
        nengo.Connection(nengo.Node([1, 0]), env_node, synapse=z**-1)
    return net, env, critic, td


def course(n_steps, every, kind="accumulating", limit=None, **options):
    """Return the weights of the network after each transition."""
    net, env, critic, _ = build(every, kind, limit, **options)
    with net:
        env_node = net.nodes[0]
        weights = nengo.Probe(critic.learned, "weights")
        learns = nengo.Probe(env_node[env.learn])
    with nengo.Simulator(net) as sim:
        # the first slot of an episode has no transition
        sim.run_steps((n_steps + n_steps // 10) * every)
        pulses = np.flatnonzero(sim.data[learns][:, 0])[:n_steps]
        assert len(pulses) == n_steps
        return sim.data[weights][pulses + 1, 0]


@pytest.mark.parametrize(
    ("kind", "every"),
    [("accumulating", 2), ("accumulating", 5), ("replacing", 5)],
)
def test_random_walk(every, kind):
    """After each transition all weights equal the textbook's weights, with 2 and 5
    simulator steps per decision, over five walks that terminate."""
    steps = transitions(600)
    expected = textbook(kind, steps)
    assert sum(terminated for *_, terminated, _ in steps) >= 5
    assert np.abs(expected).max() > 0.3
    assert_allclose(course(600, every, kind), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("every", [2, 5])
def test_overlapping_features(every):
    """The same holds if all neurons are always active, so that learning about one state
    changes the value of every other."""
    bias = np.linspace(0.05, 0.2, N_STATES)
    steps = transitions(400)
    expected = textbook("accumulating", steps, lambda seen: seen + bias)
    got = course(400, every, bias=bias)
    assert_allclose(got, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("every", [2, 5])
def test_truncated_is_not_terminated(every):
    """Walks that are truncated after 60 steps bootstrap from the last state. The
    textbook's weights differ if truncation counts as termination, if termination counts
    as truncation, or if the trace is not emptied between episodes."""
    steps = transitions(800, limit=60)
    terminated, truncated = np.sum([step[-2:] for step in steps], axis=0)
    assert terminated >= 5
    assert truncated >= 5
    bias = np.full(N_STATES, 0.1)  # gives the exits a value too

    def features(seen):
        return seen + bias

    got = course(800, every, limit=60, bias=bias)
    assert_allclose(got, textbook("accumulating", steps, features), rtol=0, atol=1e-10)
    mixed_up = [(*step, over or cut, False) for *step, over, cut in steps]
    never_ends = [(*step, False, cut or over) for *step, over, cut in steps]
    no_reset = [(*step, over, False) for *step, over, cut in steps]
    for wrong in (mixed_up, never_ends, no_reset):
        others = textbook("accumulating", wrong, features)
        assert np.abs(others - got).max() > 1e-3


@pytest.mark.parametrize("step", [Intentional(0.3), ObGD(2.0, max_rate=1.0)])
def test_bounded_steps(step):
    """Bounded steps learn the same weights with 2, 3 and 5 simulator steps per
    decision."""
    courses = [course(200, every, step=step) for every in (2, 3, 5)]
    assert np.abs(courses[0]).max() > 0.1
    for other in courses[1:]:
        assert_allclose(other, courses[0], rtol=0, atol=1e-10)


def test_obgd_is_the_published_one():
    """ObGD equals its published formula with step size 1 for features of order 1."""
    weights, trace = np.zeros(N_STATES), np.zeros(N_STATES)
    expected = []
    for seen, reward, after, terminated, _ in transitions(200):
        delta = reward - weights @ seen
        delta += 0.0 if terminated else DISCOUNT * (weights @ after)
        trace = DISCOUNT * LAMBDA * trace + seen
        bound = 2.0 * max(abs(delta), 1.0) * np.abs(trace).sum()
        weights = weights + delta * trace / max(1.0, bound)
        expected.append(weights)
        trace = trace * (1 - terminated)
    got = course(200, 2, step=ObGD(2.0, max_rate=1.0))
    assert_allclose(got, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("lambda_", [0.01, 0.2])
def test_short_memory(lambda_):
    """A trace that decays below 1 / e between two decisions gives the textbook's
    weights."""
    steps = transitions(300)
    expected = textbook("accumulating", steps, lambda_=lambda_)
    got = course(300, 5, lambda_=lambda_)
    assert_allclose(got, expected, rtol=0, atol=1e-10)


def test_no_memory():
    """With lambda = 0 the rule is TD(0)."""
    steps = transitions(300)
    weights, expected = np.zeros(N_STATES), []
    for seen, reward, after, terminated, _ in steps:
        target = reward + (0.0 if terminated else DISCOUNT * (weights @ after))
        weights = weights + ALPHA * (target - weights @ seen) * seen
        expected.append(weights)
    got = course(300, 5, lambda_=0.0)
    assert_allclose(got, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("every", [2, 3])
def test_reset_and_pickle(every):
    """A reset simulation learns the same weights again; a pickled simulation continues
    as if it had not been pickled."""
    net, _, critic, td = build(every)
    with net:
        probes = [nengo.Probe(critic.learned, "weights"), nengo.Probe(td.output)]
    with nengo.Simulator(net) as sim:
        sim.run_steps(301)
        pickled = pickle.dumps((sim, probes))
        sim.run_steps(300)
        straight = [sim.data[probe].copy() for probe in probes]
        sim.reset()
        sim.run_steps(601)
        for probe, data in zip(probes, straight, strict=True):
            assert_array_equal(sim.data[probe], data)
    resumed, probes = pickle.loads(pickled)
    with resumed:
        resumed.run_steps(300)
        for probe, data in zip(probes, straight, strict=True):
            assert_array_equal(resumed.data[probe], data)


def test_values_of_spiking_neurons():
    """Spiking neurons with filtered activities learn the values of a cycle of two
    states, in which every second step has a reward of 1."""

    class Wheel(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            self.state = 1.0
            return np.array([self.state], dtype=np.float32), {}

        def step(self, action):
            self.state = -self.state
            seen = np.array([self.state], dtype=np.float32)
            return seen, float(self.state > 0), False, False, {}

    env = Environment(Wheel, steps_per_action=50)
    with nengo.Network(seed=0) as net:
        env_node = nengo.Node(env)
        state = nengo.Ensemble(100, 1)
        nengo.Connection(env_node[env.observation], state, synapse=None)
        critic = Critic(
            state, discount=0.8, lambda_=0.9, step=Intentional(0.05), pre_synapse=0.01
        )
        td = TDError(discount=0.8)
        for name in ("reward", "terminated", "learn", "decide"):
            where = getattr(env, name)
            nengo.Connection(env_node[where], getattr(td, name), synapse=None)
        nengo.Connection(env_node[env.decide], critic.decide, synapse=None)
        nengo.Connection(critic.value, td.value, synapse=None)
        nengo.Connection(td.output, critic.td_error, synapse=None)
        nengo.Connection(nengo.Node([1, 0]), env_node, synapse=z**-1)
        value = nengo.Probe(critic.value, sample_every=0.05)
    with nengo.Simulator(net) as sim:
        sim.run(20.0)
    # V(+) = 0.8 V(-) and V(-) = 1 + 0.8 V(+); spikes add noise
    low, high = 0.8 / (1 - 0.64), 1 / (1 - 0.64)
    late = sim.data[value][-40:, 0]
    assert_allclose([late[::2].mean(), late[1::2].mean()], [low, high], atol=0.15)


def test_values_in_continuous_time():
    """With the continuous TD error and a trace that is never held, the critic learns
    V(t), the discounted integral of 1 + cos(w t), within a tenth."""
    w, tau, tau_e = 2 * np.pi, 0.5, 0.1
    with nengo.Network(seed=0) as net:
        phase = nengo.Node(lambda t: [np.cos(w * t), np.sin(w * t)])
        state = random_features(100, 2)
        decay = np.exp(-0.001 / tau_e)
        critic = Critic(state, discount=decay, lambda_=1.0, step=Intentional(1.0))
        td = TDError(tau=tau, smoothing=0.01)
        nengo.Connection(phase, state, synapse=None)
        reward = nengo.Node(lambda t: 1 + np.cos(w * t))
        nengo.Connection(reward, td.reward, synapse=None)
        nengo.Connection(critic.value, td.value, synapse=None)
        nengo.Connection(td.output, critic.td_error, synapse=None)
        nengo.Connection(nengo.Node(1.0), critic.decide, synapse=None)
        probe = nengo.Probe(critic.value)
    with nengo.Simulator(net) as sim:
        sim.run(6.0)
    # integral of exp(-s / tau) exp(i w (t + s)) over s >= 0
    wave = np.exp(1j * w * sim.trange()) * tau / (1 - 1j * w * tau)
    expected = tau + wave.real
    errors = sim.data[probe][:, 0] - expected
    size = np.sqrt(np.mean(expected**2))
    assert np.sqrt(np.mean(errors[-1000:] ** 2)) < 0.1 * size


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lambda_": -0.3}, ValidationError, r"from 0, for no trace.*got -0\.285"),
        ({"discount": 1.0, "lambda_": 1.0}, ValidationError, r"below 1 .got 1\)"),
        ({"spiking": True}, ValidationError, r"pre_synapse=nengo.Alpha\(0.005\)"),
        ({"dt": 0.002}, BuildError, "dt=0.002 s.*0.001 s.*dt=0.001"),
        ({"trace_type": "replacing", "lambda_": 0.0}, BuildError, "replacing trace"),
    ],
)
def test_what_cannot_be_is_refused(options, error, message):
    """Invalid settings are refused as early as possible, with a remedy."""
    neurons = nengo.LIF() if options.pop("spiking", False) else nengo.RectifiedLinear()
    with nengo.Network() as net:
        state = nengo.Ensemble(20, 1, neuron_type=neurons)
        one = nengo.Node(1.0)
        with pytest.raises(error, match=message):
            critic = Critic(state, **{"discount": DISCOUNT, **options})
            nengo.Connection(one, critic.td_error)
            with nengo.Simulator(net):
                pass


@pytest.mark.parametrize("make", [lambda: nengo.Node(1.0), lambda: "state"])
def test_state_is_an_ensemble(make):
    """A state that is not an ensemble is refused; the message names functions that make
    one."""
    with (
        nengo.Network(),
        pytest.raises(ValidationError, match=r"state: .*sphere_features"),
    ):
        Critic(make())
