"""A Gymnasium environment as a process: timing, scales, resets."""

import pickle

import gymnasium
import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError, ValidationError
from numpy.testing import assert_allclose, assert_array_equal
from toy_environments import Counter

from nengo_epes import z
from nengo_epes.rl.environment import SIGNALS, Environment


def simulate(environment, action, steps, seed=0):
    """Run an environment with an action; return its output by name."""
    with nengo.Network(seed=seed) as net:
        env_node = nengo.Node(environment)
        nengo.Connection(nengo.Node(action), env_node, synapse=z**-1)
        probe = nengo.Probe(env_node)
    with nengo.Simulator(net) as sim:
        sim.run_steps(steps)
        return named(environment, sim.data[probe])


def named(environment, data):
    names = ("observation", *SIGNALS)
    return {name: np.squeeze(data[:, getattr(environment, name)]) for name in names}


@pytest.mark.parametrize("every", [2, 3, 5])
@pytest.mark.parametrize("end", ["terminated", "truncated", "terminated truncated"])
def test_timing(every, end):
    """Two episodes of three steps: what is put out in each simulator step. Termination
    takes the discount to 0, truncation does not, and both together do."""
    options = {"length": 3, "end": end}
    env = Environment(Counter, options, every, discount_factor=0.9, reward_scale=0.5)
    got = simulate(env, [0, 0, 1], 8 * every)

    def held(*slots):
        return np.repeat(slots, every)

    terminated, truncated = "terminated" in end, "truncated" in end
    ends = np.array([0, 0, 0, 1] * 2)
    discounts = np.where(ends * terminated, 0.0, 0.9)
    assert_allclose(got["observation"][:, 0], held(*[0, 0.1, 0.2, 0.3] * 2))
    assert_array_equal(got["reward"], held(*[0, 5, 10, 15] * 2))
    assert_array_equal(got["discount"], held(*discounts))
    assert_array_equal(got["terminated"], held(*ends * terminated))
    assert_array_equal(got["truncated"], held(*ends * truncated))
    assert_array_equal(got["step"], held(*[0, 1, 2, 3] * 2))
    assert_array_equal(got["episode"], held(0, 0, 0, 0, 1, 1, 1, 1))
    assert_array_equal(got["episode_return"], held(*[0, 10, 30, 60] * 2))
    phase = np.arange(8 * every) % every
    first, last = held(*[1, 0, 0, 0] * 2), held(*ends)
    settled = phase == every - 2
    assert_array_equal(got["learn"], settled * (1 - first))
    assert_array_equal(got["decide"], (phase == every - 1) * (1 - last))
    assert_array_equal(got["reset"], (phase == 0) * first)


def test_action_of_a_slot_is_that_of_its_beginning():
    """What is put out in the last step of a slot is taken in the first step of the next
    one; one-hot actions begin where the space begins."""
    counter = Counter(length=100)
    env = Environment(counter, steps_per_action=4)
    with nengo.Network() as net:
        env_node = nengo.Node(env)
        # one action a simulator step: 0, 1, 2, 0, 1, 2, ...
        rolling = nengo.Node(lambda t: np.eye(3)[(round(t / 0.001) - 1) % 3])
        nengo.Connection(rolling, env_node, synapse=z**-1)
    with nengo.Simulator(net) as sim:
        sim.run_steps(17)
    actions = [what for kind, what in counter.log if kind == "step"]
    # put out in simulator steps 4, 8, 12, 16, counted from 1
    assert actions == [5 + (step - 1) % 3 for step in (4, 8, 12, 16)]


def test_continuous_actions_are_scaled_and_clipped():
    """[-1, 1] is the range of the space; entries without bounds are as they are."""
    box = gymnasium.spaces.Box(
        np.array([[0.0, -2.0], [-np.inf, 1.0]]),
        np.array([[10.0, 2.0], [np.inf, np.inf]]),
        dtype=np.float64,
    )
    counter = Counter(length=100, actions=box)
    env = Environment(counter, steps_per_action=2)
    assert (env.n_actions, env.is_discrete) == (4, False)
    simulate(env, [0.5, -3.0, -7.0, 0.25], 4)
    # entries of half a bound are limited by it, and not scaled
    assert_allclose(counter.log[-1][1], [[7.5, -2.0], [-7.0, 1.0]])


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        (None, [[0.2, 0.5], [-1.0, np.tanh(4.0)]]),
        ([10, 2, 3, 4], [[0.1, 0.25], [-1.0, 1.0]]),
        ([[0, 2], [0, 1], [-10, 0], [0, 8]], [[0.0, 0.0], [0.2, 0.0]]),
    ],
)
def test_observations_are_scaled(ranges, expected):
    """By the space's bounds, or the ranges given; those without either are squashed."""

    class World(Counter):
        def __init__(self):
            super().__init__()
            bounds = np.array([[5.0, 1.0], [4.0, np.inf]], dtype=np.float32)
            self.observation_space = gymnasium.spaces.Box(-bounds, bounds)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.array([[1.0, 0.5], [-4.0, 4.0]]), {}

    env = Environment(World, observation_range=ranges)
    got = simulate(env, [1, 0, 0], 1)["observation"]
    assert_allclose(got, np.ravel(expected), rtol=1e-6)


def test_seeds():
    """The seed is that of the first reset; without one it follows from the network's;
    two environments of one network draw other numbers."""
    counter = Counter(length=2)
    simulate(Environment(counter, steps_per_action=2, seed=7), [1, 0, 0], 16)
    assert [what for kind, what in counter.log if kind == "reset"] == [7, None, None]
    noise = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        got = simulate(Environment(Counter), [1, 0, 0], 60, seed=seed)
        noise[name] = got["observation"][-1, 1]
    assert noise["a"] == noise["b"] != noise["c"]
    with nengo.Network(seed=0) as net:
        env_nodes = [nengo.Node(Environment(Counter)) for _ in range(2)]
        probes = [nengo.Probe(env_node[1]) for env_node in env_nodes]
    with nengo.Simulator(net) as sim:
        sim.run_steps(60)
    assert sim.data[probes[0]][-1] != sim.data[probes[1]][-1]


def test_reset_and_pickle():
    """`Simulator.reset` begins anew with the same seed; a pickled simulation goes on in
    mid-episode as it would have; two simulators do not disturb each other."""
    env = Environment("CartPole-v1", steps_per_action=3)
    with nengo.Network(seed=5) as net:
        env_node = nengo.Node(env)
        # falls after some ten steps, so that a later reset is among them
        nengo.Connection(nengo.Node([0, 1]), env_node, synapse=z**-1)
        probe = nengo.Probe(env_node)
    with nengo.Simulator(net) as sim, nengo.Simulator(net) as other:
        other.run_steps(7)
        sim.run_steps(50)
        pickled = pickle.dumps((sim, probe))
        other.run_steps(11)
        sim.run_steps(100)
        straight = sim.data[probe].copy()
        assert straight[:, env.episode].max() >= 3
        sim.reset()
        sim.run_steps(150)
        assert_array_equal(sim.data[probe], straight)
    resumed, probe = pickle.loads(pickled)
    with resumed:
        resumed.run_steps(100)
        assert_array_equal(resumed.data[probe], straight)


@pytest.mark.parametrize(
    "name",
    (
        "CartPole-v1",
        "Acrobot-v1",
        "MountainCar-v0",
        "MountainCarContinuous-v0",
        "Pendulum-v1",
    ),
)
def test_registered_environments(name):
    """Gymnasium's own environments run against themselves: the same observations,
    scaled, and the same rewards."""
    env = Environment(name, steps_per_action=2, seed=3)
    action = np.full(env.n_actions, 0.3)
    got = simulate(env, action, 60)
    plain = gymnasium.make(name)
    plain.reset(seed=3)
    space = plain.action_space
    given = 0 if env.is_discrete else 0.3 * space.high
    total = 0.0
    for k in range(1, 30):
        seen, reward, terminated, truncated, _ = plain.step(given)
        total += reward
        bounds = plain.observation_space.high
        scaled = np.where(bounds < 1e30, seen / bounds, np.tanh(seen))
        if not name.startswith("MountainCar"):  # whose bounds are not symmetric
            assert_allclose(got["observation"][2 * k], scaled, rtol=1e-5, atol=1e-6)
        assert_allclose(got["reward"][2 * k], reward)
        assert_allclose(got["episode_return"][2 * k], total)
        assert got["terminated"][2 * k] == terminated
        if terminated or truncated:
            break
    assert k >= 8


@pytest.mark.parametrize(
    ("environment", "options", "error", "message"),
    [
        ("FrozenLake-v1", {}, ValidationError, r"space Discrete\(16\).*Box"),
        (
            lambda: Counter(actions=gymnasium.spaces.MultiBinary(2)),
            {},
            ValidationError,
            r"space MultiBinary\(2\)",
        ),
        (
            lambda: Counter(actions=gymnasium.spaces.Box(0, 3, (1,), dtype=int)),
            {},
            ValidationError,
            "space Box.*int64.*real numbers",
        ),
        (
            Counter,
            {"observation_range": [1, 2, 3]},
            ValidationError,
            "the 2 entries",
        ),
        (Counter, {"observation_range": [1, -2]}, ValidationError, "low below high"),
        (
            Counter,
            {"steps_per_action": 1},
            ValidationError,
            "steps_per_action.*at least 2",
        ),
        (Counter, {"discount_factor": 1.1}, ValidationError, "discount_factor"),
        (3, {}, ValidationError, "its constructor"),
        (Counter(), {"arguments": {"length": 2}}, ValidationError, "made already"),
    ],
)
def test_what_cannot_be_is_refused(environment, options, error, message):
    """The message names the space, the value and the way out."""
    with pytest.raises(error, match=message):
        Environment(environment, **options)


def test_bad_actions_stop_the_simulation():
    """An action that is not finite is no action."""
    action = nengo.processes.PresentInput([[np.nan, 0, 0]], 1.0)
    with pytest.raises(SimulationError, match=r"is \[nan  0\.  0\.\] at t=0.003"):
        simulate(Environment(Counter, steps_per_action=2), action, 5)


def test_without_gymnasium(monkeypatch):
    """The message names the extra."""
    monkeypatch.setitem(__import__("sys").modules, "gymnasium", None)
    with pytest.raises(ImportError, match=r"nengo-epes\[environments\]"):
        Environment("CartPole-v1")
