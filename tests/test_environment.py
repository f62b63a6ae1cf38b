"""A Gymnasium environment as a process: timing, spaces, faults, opening and closing."""

import gc
import os
import pickle
import re
import weakref

import gymnasium
import nengo
import numpy as np
import pytest
from gymnasium import spaces
from nengo.exceptions import SimulationError, SimulatorClosed, ValidationError
from numpy.testing import assert_allclose, assert_array_equal
from toy_environments import Counter, Faulty, Ledger

from nengo_epes import EPES, z
from nengo_epes.rl.environment import (
    SIGNALS,
    Environment,
    episode_seed,
    open_environment_of,
)


def connect(environment, action):
    """Return a network of an environment and a constant action, and its Node."""
    with nengo.Network(seed=0) as net:
        env_node = nengo.Node(environment)
        nengo.Connection(nengo.Node(action), env_node, synapse=z**-1)
        net.probe = nengo.Probe(env_node)
    return net, env_node


def simulate(environment, action, steps, seed=0):
    """Run an environment with an action; return its outputs by name."""
    net, _ = connect(environment, action)
    net.seed = seed
    with nengo.Simulator(net) as sim:
        sim.run_steps(steps)
        return named(environment, sim.data[net.probe])


def named(environment, data):
    names = ("observation", *SIGNALS)
    return {name: np.squeeze(data[:, getattr(environment, name)]) for name in names}


@pytest.mark.parametrize("every", [2, 3, 5])
@pytest.mark.parametrize("end", ["terminated", "truncated", "terminated truncated"])
def test_timing(every, end):
    """The output of each simulator step of two episodes of three steps is as
    documented."""
    options = {"length": 3, "end": end}
    env = Environment(Counter, options, every)
    got = simulate(env, [0, 0, 1], 8 * every)

    def held(*slots):
        return np.repeat(slots, every)

    terminated, truncated = "terminated" in end, "truncated" in end
    ends = np.array([0, 0, 0, 1] * 2)
    assert_array_equal(got["observation"][:, 0], held(*[0, 1, 2, 3] * 2))
    assert_array_equal(got["reward"], held(*[0, 10, 20, 30] * 2))
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


def test_the_environment_takes_the_action_at_the_start_of_a_slot():
    """The first step of a slot uses the action of the last step of the previous slot;
    one-hot actions start at the first action of the space."""
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
    # output in simulator steps 4, 8, 12, 16, counted from 1
    assert actions == [5 + (step - 1) % 3 for step in (4, 8, 12, 16)]


def test_episodes_have_seeds_of_their_own():
    """Episode k is reset with the k-th seed derived from the environment's seed.
    Without a seed, it follows from the network's seed; two environments of a network
    differ."""
    counter = Counter(length=2)
    simulate(Environment(counter, seed=7), [1, 0, 0], 16)
    # words of numpy's SeedSequence, halved
    words = [np.random.SeedSequence([7, k]).generate_state(1)[0] for k in range(3)]
    seeds = [what for kind, what in counter.log if kind == "reset"]
    assert seeds == [word // 2 for word in words]
    assert all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds)
    assert len({episode_seed(s, k) for s in range(30) for k in range(30)}) == 900

    noise = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        got = simulate(Environment(Counter), [1, 0, 0], 6, seed=seed)
        noise[name] = got["observation"][-1, 1]
    assert noise["a"] == noise["b"] != noise["c"]
    with nengo.Network(seed=0) as net:
        env_nodes = [nengo.Node(Environment(Counter)) for _ in range(2)]
        probes = [nengo.Probe(env_node[1]) for env_node in env_nodes]
    with nengo.Simulator(net) as sim:
        sim.run_steps(6)
    assert sim.data[probes[0]][-1] != sim.data[probes[1]][-1]


REGISTERED = (
    "CartPole-v1",
    "Acrobot-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
    "FrozenLake-v1",
    "Taxi-v4" if "Taxi-v4" in gymnasium.registry else "Taxi-v3",
    "Blackjack-v1",
    "CliffWalking-v1" if "CliffWalking-v1" in gymnasium.registry else "CliffWalking-v0",
)


@pytest.mark.parametrize("name", REGISTERED)
def test_registered_environments(name):
    """Observations, rewards and episodes of Gymnasium's environments equal a direct
    loop's."""
    env = Environment(name, seed=3)
    action = np.full(env.n_actions, 0.3)
    got = simulate(env, action, 200)
    plain = gymnasium.make(name)
    space = plain.observation_space
    given = 0 if env.is_discrete else 0.3 * plain.action_space.high
    episode, over, total = -1, True, 0.0
    for k in range(100):
        if over:
            episode, total = episode + 1, 0.0
            seen, _ = plain.reset(seed=episode_seed(3, episode))
            reward, terminated, truncated = 0.0, False, False
        else:
            seen, reward, terminated, truncated, _ = plain.step(given)
        total, over = total + reward, terminated or truncated
        flat = spaces.utils.flatten(space, seen)
        assert_array_equal(got["observation"][2 * k], flat)
        assert_allclose(got["reward"][2 * k], reward, rtol=1e-12)
        assert_allclose(got["episode_return"][2 * k], total, rtol=1e-12)
        assert got["terminated"][2 * k] == terminated
        assert got["truncated"][2 * k] == truncated
        assert got["episode"][2 * k] == episode
    plain.close()


def test_id_with_a_module():
    """An id of the form module:id imports the module."""
    env = Environment("gymnasium.envs.classic_control:CartPole-v1")
    assert env.action_sizes == [2]


def test_observation_range():
    """Observations are scaled to [-1, 1] and clipped only if a range is given."""

    class Matrix(Counter):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Box(-9.0, 9.0, (2, 2))

        def reset(self, *, seed=None, options=None):
            return np.array([[1.0, 0.5], [-4.0, 4.0]]), {}

    raw, symmetric = [1, 0.5, -4, 4], [0.1, 0.25, -1.0, 1.0]
    ranges = [[0, 2], [0, 1], [-10, 0], [0, 8]]
    for given, expected in (
        (None, raw),
        ([10, 2, 3, 4], symmetric),
        (ranges, [0.0, 0.0, 0.2, 0.0]),
    ):
        env = Environment(Matrix, observation_range=given)
        got = simulate(env, [1, 0, 0], 1)["observation"]
        assert_allclose(got, expected, rtol=1e-12)


def test_info():
    """The numbers that a function of the info returns are appended to the output."""

    class Told(Counter):
        def reset(self, *, seed=None, options=None):
            return super().reset(seed=seed)[0], {"lives": 3}

        def step(self, action):
            *answer, _ = super().step(action)
            return *answer, {"lives": 3 - self.steps}

    env = Environment(Told, info=lambda info: [info["lives"], 0.5])
    assert env.info == slice(env.default_size_out - 2, env.default_size_out)
    assert env.episode_return.stop == env.info.start
    net, _ = connect(env, [1, 0, 0])
    with nengo.Simulator(net) as sim:
        sim.run_steps(10)
    got = sim.data[net.probe][::2, env.info]
    assert_array_equal(got, [[3, 0.5], [2, 0.5], [1, 0.5], [0, 0.5], [3, 0.5]])
    with pytest.raises(AttributeError, match="no attribute 'info'"):
        _ = Environment(Told).info
    assert env != Environment(Told)
    for wrong in (lambda info: [[1.0]], lambda info: 1.0, lambda info: [np.nan]):
        with pytest.raises(SimulationError, match=r"Told.*`info`.*1-D"):
            Environment(Told, info=wrong)
    growing = Environment(Told, info=lambda info: np.zeros(4 - info["lives"]))
    with pytest.raises(
        SimulationError, match="Told, episode 0, environment step 1: th"
    ):
        simulate(growing, [1, 0, 0], 4)


def test_attributes_of_the_spaces():
    """The spaces are Gymnasium's, and `repr` shows the settings."""
    env = Environment("Pendulum-v1", {"g": 9.0}, seed=3)
    assert env.action_space == spaces.Box(-2.0, 2.0, (1,))
    assert env.observation_space.shape == (3,)
    assert (env.n_actions, env.is_discrete, env.action_sizes) == (1, False, None)
    shown = (
        "Environment('Pendulum-v1', arguments={'g': 9.0}, steps_per_action=2, seed=3)"
    )
    assert repr(env) == shown
    several = spaces.MultiDiscrete([3, 2])
    env = Environment(lambda: Counter(actions=several))
    assert (env.n_actions, env.is_discrete, env.action_sizes) == (5, True, [3, 2])


# --- faults ------------------------------------------------------------------------

ZEROS = np.zeros(2, dtype=np.float32)


def raises(error):
    def fail():
        raise error

    return fail


# wrong value of one step; pattern of the message
WRONG_STEPS = {
    "observation None": ({0: None}, "array of numbers of shape .2,. .got None"),
    "observation of another shape": ({0: np.zeros(3)}, r"shape \(2,\)"),
    "observation of two dimensions": ({0: np.zeros((2, 1))}, r"shape \(2,\)"),
    "observation scalar": ({0: 0.5}, r"shape \(2,\)"),
    "observation ragged": ({0: [[1.0], 2.0]}, "array of numbers"),
    "observation of strings": ({0: ["a", "b"]}, "array of numbers"),
    "observation of objects": ({0: np.array([None, 1.0])}, "array of numbers"),
    "observation complex": ({0: np.zeros(2) + 1j}, "array of numbers"),
    "observation a dict": ({0: {"x": 1.0}}, "array of numbers"),
    "observation a pair": ({0: (ZEROS, {})}, "array of numbers"),
    "observation NaN": ({0: np.array([0, np.nan])}, "not finite"),
    "observation infinite": ({0: np.array([-np.inf, 0])}, "not finite"),
    "observation of both infinities": ({0: np.array([-np.inf, np.inf])}, "not finite"),
    "reward None": ({1: None}, "reward.*not a finite number .got None.; return"),
    "reward NaN": ({1: np.nan}, "reward.*got nan"),
    "reward NaN of numpy": ({1: np.float64(np.nan)}, "reward.*nan"),
    "reward infinite": ({1: -np.inf}, "reward.*got -inf"),
    "reward of two": ({1: np.ones(2)}, "reward.*got array"),
    "reward empty": ({1: []}, r"reward.*got \[\]"),
    "reward a string": ({1: "1.0"}, "reward.*got '1.0'"),
    "reward complex": ({1: 1j}, "reward.*got 1j"),
    "reward ragged": ({1: [[1.0], 2.0]}, "reward.*got"),
    "terminated None": ({2: None}, "flag `terminated`.*got None.; return True or"),
    "terminated a string": ({2: "False"}, "flag `terminated`.*got 'False'"),
    "terminated 2": ({2: 2}, "flag `terminated`.*got 2"),
    "terminated a float": ({2: 1.0}, "flag `terminated`.*got 1.0"),
    "terminated of two": ({2: [True, False]}, "flag `terminated`.*got"),
    "truncated None": ({3: None}, "flag `truncated`.*got None"),
    "truncated a dict": ({3: {}}, "flag `truncated`.*got {}"),
    "truncated ragged": ({3: [[True], 1]}, "flag `truncated`"),
    "info None": ({4: None}, "info.*not a dict .got None.; return {}"),
    "info a list": ({4: []}, "info.*not a dict"),
}
WRONG_ANSWERS = {
    "four values": ((ZEROS, 1.0, False, {}), "five values.*old Gym"),
    "three values": ((ZEROS, 1.0, False), "five values"),
    "six values": ((ZEROS, 1.0, False, False, {}, 0), "five values"),
    "None": (None, "five values .got None"),
    "observation only": (ZEROS, "five values"),
    "a list": ([ZEROS, 1.0, False, False, {}], "five values"),
    "a generator": (iter([ZEROS, 1.0, False, False, {}]), "five values"),
}
WRONG_STARTS = {
    "old Gym": (ZEROS, r"reset\(\).*observation, info.*old Gym"),
    "None": (None, r"reset\(\).*got None"),
    "three values": ((ZEROS, {}, 0), r"reset\(\)"),
    "info None": ((ZEROS, None), r"reset\(\).*dict"),
    "a list": ([ZEROS, {}], r"reset\(\)"),
    "observation None": ((None, {}), "observation is not an array"),
    "observation NaN": ((ZEROS * np.nan, {}), "not finite"),
    "observation of another shape": ((np.zeros(5), {}), r"shape \(2,\)"),
}
STATES = spaces.Discrete(4, start=1)
WRONG_PARTS = {
    "below Discrete": (STATES, 0, "integer from 1 to 4 .got 0"),
    "above Discrete": (STATES, 5, "integer from 1 to 4"),
    "float for Discrete": (STATES, 2.0, "integer from 1 to 4"),
    "None for Discrete": (STATES, None, "integer from 1 to 4"),
    "beyond MultiDiscrete": (spaces.MultiDiscrete([2, 3]), [1, 3], "from 0 to 2"),
    "below MultiDiscrete": (spaces.MultiDiscrete([2, 3]), [0, -1], "from 0 to 2"),
    "short MultiDiscrete": (spaces.MultiDiscrete([2, 3]), [1], r"shape \(2,\)"),
    "short MultiBinary": (spaces.MultiBinary(3), [1, 0], r"shape \(3,\)"),
    "part of Dict": (spaces.Dict(a=STATES), {"a": 7}, "part 'a' that is not an integ"),
    "key of Dict": (spaces.Dict(a=STATES), {"b": 1}, "lacks the key 'a'"),
    "array for Dict": (spaces.Dict(a=STATES), ZEROS, "not a dict of 1 parts"),
    "extra of Dict": (spaces.Dict(a=STATES), {"a": 1, "b": 1}, "not a dict of 1 parts"),
    "part of Tuple": (spaces.Tuple([STATES, STATES]), (1, 9), "part 1 that is not"),
    "short Tuple": (spaces.Tuple([STATES, STATES]), (1,), "not a tuple of 2 parts"),
    "number for Tuple": (spaces.Tuple([STATES]), 1, "not a tuple of 1 parts"),
}


def assert_stops(make, step, message):
    """Assert that the environment stops the simulation. The message names the place and
    a remedy; the environment has been closed once, although the simulator is open."""
    ledger = Ledger(make)
    env = Environment(ledger.open)
    net, env_node = connect(env, [1, 0])
    with nengo.Simulator(net) as sim:
        with pytest.raises(SimulationError) as caught:
            sim.run_steps(100)
        text = str(caught.value)
        place = f"{type(ledger.make()).__name__}, episode 1, environment step {step}: "
        assert text.startswith(place)
        assert re.search(message, text, re.DOTALL)
        assert re.search(r"; (return|an environment)", text)
        assert len(text) < 500
        assert ledger.opened == ledger.closed == 2
        # later steps raise the same reason
        with pytest.raises(SimulationError, match=r"closed by an error; reset"):
            sim.step()
        with pytest.raises(ValueError, match="error has closed the environment"):
            open_environment_of(sim, env_node)
        sim.reset()
        sim.run_steps(2)
        assert ledger.opened == 3
    assert ledger.closed == 3


@pytest.mark.parametrize("fault", WRONG_STEPS)
def test_wrong_values_of_a_step(fault):
    """Each of the five values that `step` returns is validated."""
    replaced, message = WRONG_STEPS[fault]
    assert_stops(lambda: Faulty(replaced), 2, message)


@pytest.mark.parametrize("fault", WRONG_ANSWERS)
def test_wrong_answers_of_a_step(fault):
    """`step` must return a tuple of five values."""
    answer, message = WRONG_ANSWERS[fault]
    assert_stops(lambda: Faulty(answer=answer), 2, message)


@pytest.mark.parametrize("fault", WRONG_STARTS)
def test_wrong_answers_of_a_reset(fault):
    """`reset` must return an observation and a dictionary."""
    start, message = WRONG_STARTS[fault]
    assert_stops(lambda: Faulty(start=start), 0, message)


@pytest.mark.parametrize("fault", WRONG_PARTS)
def test_observations_outside_their_space(fault):
    """Observations of each kind of space are validated, and the message names the
    part."""
    space, observation, message = WRONG_PARTS[fault]

    class Faulty(gymnasium.Env):
        observation_space, action_space = space, spaces.Discrete(2)
        episode = -1

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.episode += 1
            return observation if self.episode else space.sample(), {}

        def step(self, action):
            return space.sample(), 1.0, True, False, {}

    assert_stops(Faulty, 0, message)


@pytest.mark.parametrize("where", ["answer", "start"])
def test_errors_of_the_environment(where):
    """An error of the environment propagates, with a note of the place."""
    ledger = Ledger(lambda: Faulty(**{where: raises(KeyError("lives"))}))
    with pytest.raises(KeyError, match="lives") as caught:
        simulate(Environment(ledger.open), [1, 0], 100)
    step = 2 if where == "answer" else 0
    (note,) = caught.value.__notes__
    assert note.startswith(f"Faulty, episode 1, environment step {step}: ")
    assert "check_env" in note
    assert ledger.opened == ledger.closed == 2


def test_reset_without_a_seed():
    """An environment whose `reset` takes no seed is refused by name."""

    class Old(Counter):
        def reset(self):
            return ZEROS

    with pytest.raises(TypeError, match="unexpected keyword argument 'seed'") as caught:
        simulate(Environment(Old), [1, 0, 0], 2)
    assert caught.value.__notes__[0].startswith("Old, episode 0, environment step 0")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({1: 2}, (2.0, 0, 0)),
        ({1: np.float32(0.5)}, (0.5, 0, 0)),
        ({1: np.ones((1, 1))}, (1.0, 0, 0)),
        ({1: True}, (1.0, 0, 0)),
        ({2: 1}, (1.0, 1, 0)),
        ({2: np.True_, 3: np.False_}, (1.0, 1, 0)),
        ({2: np.array([True])}, (1.0, 1, 0)),
        ({2: 0, 3: np.int64(1)}, (1.0, 0, 1)),
        ({0: [0, 1]}, (1.0, 0, 0)),
    ],
)
def test_values_that_plain_loops_take(values, expected):
    """Numbers and flags of any numeric type, and arrays of size 1, are accepted."""
    env = Environment(lambda: Faulty(values))
    got = simulate(env, [1, 0], 14)  # 4 slots of episode 0, then 3 of episode 1
    names = ("reward", "terminated", "truncated")
    assert tuple(got[name][-1] for name in names) == expected


def gym_env_of(observations=None, actions=None):
    def make():
        counter = Counter(actions=actions)
        if observations is not None:
            counter.observation_space = observations
        return counter

    return make


IMAGE = spaces.Box(0, 255, (64, 64), dtype=np.uint8)
WAY_OUT = r"ObservationWrapper.*returns a vector"


@pytest.mark.parametrize(
    ("environment", "options", "message"),
    [
        (gym_env_of(IMAGE), {}, f"images.*{WAY_OUT}"),
        (gym_env_of(spaces.Box(0, 1, (2, 2, 2))), {}, f"images.*{WAY_OUT}"),
        (gym_env_of(spaces.Text(5)), {}, f"got Text.*{WAY_OUT}"),
        (gym_env_of(spaces.Sequence(STATES)), {}, f"Sequence.*{WAY_OUT}"),
        (gym_env_of(spaces.Graph(STATES, None)), {}, f"Graph.*{WAY_OUT}"),
        (gym_env_of(spaces.OneOf([STATES])), {}, f"OneOf.*{WAY_OUT}"),
        (gym_env_of(spaces.Dict(a=STATES, b=IMAGE)), {}, f"images.*{WAY_OUT}"),
        (gym_env_of(spaces.Tuple([spaces.Text(3)])), {}, f"Text.*{WAY_OUT}"),
        (gym_env_of(spaces.Dict()), {}, f"no entries.*{WAY_OUT}"),
        (gym_env_of(spaces.Box(0, 1, (0,))), {}, f"no entries.*{WAY_OUT}"),
        (gym_env_of("a space"), {}, f"not vectors .got a space.*{WAY_OUT}"),
        (gym_env_of(None, spaces.Dict(a=STATES)), {}, "got Dict.*ActionWrapper"),
        (gym_env_of(None, spaces.Tuple([STATES])), {}, "got Tuple.*ActionWrapper"),
        (gym_env_of(None, spaces.Text(5)), {}, "got Text.*ActionWrapper"),
        (gym_env_of(None, spaces.Box(0, 1, (0,))), {}, "no entries.*ActionWrapper"),
        (Counter, {"observation_range": [1, 2, 3]}, "the 2 entries"),
        (Counter, {"observation_range": [1, -2]}, "low below high"),
        (Counter, {"observation_range": [1, np.inf]}, "finite"),
        (Counter, {"steps_per_action": 1}, "steps_per_action.*at least 2"),
    ],
)
def test_refused_spaces_and_parameters(environment, options, message):
    """The message names the space or the value, and a remedy; the environment that was
    opened has been closed."""
    ledger = Ledger(environment)
    with pytest.raises(ValidationError, match=message):
        Environment(ledger.open, **options)
    assert ledger.opened == ledger.closed == 1


def vector():
    return gymnasium.make_vec("CartPole-v1", num_envs=2)


def test_refused_environments():
    """An environment must be an id, a constructor or an environment; everything else is
    refused."""
    several = vector()
    for environment, options, message in (
        (3, {}, "id of a registered.*got 3.*; pass one of the three"),
        (None, {}, "got None"),
        (several, {}, "only one: a vector environment"),
        (vector, {}, "constructor does not return.*only one: a vector environment"),
        (lambda: None, {}, "constructor does not return.*got None.*; return an env"),
        (lambda: Counter, {}, "constructor does not return.*Counter"),
        (Counter(), {"arguments": {"length": 2}}, "pass its constructor instead"),
    ):
        with pytest.raises(ValidationError, match=message):
            Environment(environment, **options)
    several.close()


def test_ids_that_are_not_found(tmp_path, monkeypatch):
    """The message names the module to import, the folder, or what a module lacks."""
    remedy = "import the module that registers it, or write 'module:id'"
    with pytest.raises(gymnasium.error.NameNotFound, match=f"^NoSuch-v0: .*{remedy}"):
        Environment("NoSuch-v0")
    with pytest.raises(
        ModuleNotFoundError, match=r"^nowhere:A-v0: .*'nowhere'; run this in the folder"
    ):
        Environment("nowhere:A-v0")
    (tmp_path / "importing.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_dependenc"):
        Environment("importing:A-v0")


def test_actions_that_are_not_finite():
    """An action that is not finite stops the simulation."""
    action = nengo.processes.PresentInput([[np.nan, 0, 0]], 1.0)
    match = r"Counter, episode 0, environment step 1: the action is not finite \(got"
    with pytest.raises(SimulationError, match=match):
        simulate(Environment(Counter), action, 5)


def test_without_gymnasium(monkeypatch):
    """Without Gymnasium the message names the extra."""
    monkeypatch.setitem(__import__("sys").modules, "gymnasium", None)
    with pytest.raises(ImportError, match=r"nengo-epes\[environments\]"):
        Environment("CartPole-v1")


# --- opening and closing -----------------------------------------------------------


def network(ledger):
    return connect(Environment(ledger.open), [1, 0, 0])


def test_closed_with_the_simulator():
    """`with`, `close` and `Simulator.reset` close every environment that was opened; a
    reset closes the old environment before it opens a new one."""
    ledger = Ledger()
    net, env_node = network(ledger)
    assert ledger.opened == ledger.closed == 1  # once, to read the spaces
    with nengo.Simulator(net) as sim:
        gym_env = open_environment_of(sim, env_node)
        assert (ledger.opened, ledger.closed) == (2, 1)
        sim.run_steps(9)
        for k in range(3):
            sim.reset()
            assert (ledger.opened, ledger.closed) == (3 + k, 2 + k)
            assert open_environment_of(sim, env_node) is not gym_env
    assert ledger.opened == ledger.closed == 5
    with pytest.raises(SimulatorClosed, match="inside the `with` block"):
        open_environment_of(sim, env_node)


def test_closed_without_garbage_collection():
    """Reference counting closes the environment, even if the simulator is never
    closed."""
    ledger = Ledger()
    gc.collect()
    gc.disable()
    try:
        with nengo.Simulator(network(ledger)[0]) as sim:
            sim.run_steps(9)
        assert ledger.opened == ledger.closed == 2
        sim = nengo.Simulator(network(ledger)[0])
        sim.run_steps(3)
        assert (ledger.opened, ledger.closed) == (4, 3)
        with pytest.warns(ResourceWarning, match="deallocated while open"):
            del sim
        assert ledger.opened == ledger.closed == 4
    finally:
        gc.enable()


def test_closed_next_to_learning():
    """Operators of learning rules, neurons, functions and filters do not keep a closed
    simulator's environment open."""
    ledger = Ledger()
    for optimize in (False, True):
        net, env_node = network(ledger)
        with net:
            pre = nengo.Ensemble(20, 2, neuron_type=nengo.AdaptiveLIF())
            nengo.Connection(env_node[:2], pre, synapse=nengo.Alpha(0.01))
            post = nengo.Node(lambda t, x: x, size_in=1)
            rules = [nengo.PES(), nengo.RLS(), EPES(size_eligibility=0)]
            conn = nengo.Connection(
                pre, post, function=lambda x: x[0], learning_rule_type=rules
            )
            for rule in conn.learning_rule:
                nengo.Connection(post, rule, synapse=z**-3)
            weights = nengo.Connection(
                pre.neurons, nengo.Ensemble(5, 1).neurons, transform=np.ones((5, 20))
            )
            weights.learning_rule_type = [nengo.BCM(), nengo.Oja()]
            nengo.Connection(pre, nengo.Ensemble(5, 2), learning_rule_type=nengo.Voja())
        with nengo.Simulator(net, optimize=optimize) as sim:
            assert isinstance(open_environment_of(sim, env_node), Counter)
            sim.run_steps(9)
        assert ledger.opened == ledger.closed


def test_closed_after_an_error_in_the_build():
    """If an operator cannot be built, no environment stays open."""

    class Failing(nengo.Process):
        def make_step(self, shape_in, shape_out, dt, rng, state):
            raise RuntimeError("out of luck")

    ledger = Ledger()
    net, _ = network(ledger)
    with net:
        nengo.Node(Failing(), size_out=1)
    # Nengo warns, although this simulator cannot be closed
    with pytest.warns(ResourceWarning, match="deallocated while open"):
        with pytest.raises(RuntimeError, match="out of luck") as caught:
            nengo.Simulator(net)
        del caught  # frees the simulator, which its traceback refers to
    assert ledger.opened == ledger.closed


def test_closed_after_an_error_elsewhere():
    """After an error in another Node, the environment stays open until `with` ends."""
    ledger = Ledger()
    net, env_node = network(ledger)
    with net:
        nengo.Node(lambda t: raises(RuntimeError("elsewhere"))() if t > 0.003 else 0)
    with pytest.raises(RuntimeError, match="elsewhere"), nengo.Simulator(net) as sim:
        try:
            sim.run_steps(9)
        finally:
            assert open_environment_of(sim, env_node).steps > 0
    assert ledger.opened == ledger.closed == 2


def test_interrupted():
    """After Ctrl-C inside an environment step, the environment is open and the
    simulation can continue; `with` closes it."""

    class Interrupted(Counter):
        def step(self, action):
            if self.steps == 1 and not self.np_random.uniform() > 2 and not ledger.hits:
                ledger.hits = 1
                raise KeyboardInterrupt
            return super().step(action)

    ledger = Ledger(Interrupted)
    ledger.hits = 0
    net, _ = network(ledger)
    with nengo.Simulator(net) as sim:
        with pytest.raises(KeyboardInterrupt):
            sim.run_steps(9)
        sim.run_steps(9)
        assert (ledger.opened, ledger.closed) == (2, 1)
    assert ledger.opened == ledger.closed == 2


def test_two_simulators():
    """Two simulators of one network, or of one built model, have one environment
    each."""
    ledger = Ledger()
    net, env_node = network(ledger)
    model = nengo.builder.Model()
    model.build(net)
    with nengo.Simulator(net) as one, nengo.Simulator(net) as two:
        with nengo.Simulator(None, model=model) as three:
            four = nengo.Simulator(None, model=model)
            sims = (one, two, three, four)
            gym_envs = {id(open_environment_of(sim, env_node)) for sim in sims}
            assert len(gym_envs) == 4
            for sim, steps in zip(sims, (2, 4, 6, 8), strict=True):
                sim.run_steps(steps - 1)
            seen = [open_environment_of(sim, env_node).steps for sim in sims]
            assert seen == [0, 1, 2, 3]
            with pytest.raises(ValueError, match="open in 2 simulators"):
                pickle.dumps(three)
            four.close()
        assert (ledger.opened, ledger.closed) == (5, 3)
    assert ledger.opened == ledger.closed == 5


def test_one_at_a_time():
    """An exclusive resource of the environment, such as a port, is free for the next
    simulator, and for the same simulator after a reset."""

    class OnePort(Counter):
        taken = False

        def __init__(self):
            super().__init__()
            assert not OnePort.taken
            OnePort.taken = True

        def close(self):
            OnePort.taken = False

    net, _ = connect(Environment(OnePort), [1, 0, 0])
    for _ in range(2):
        with nengo.Simulator(net) as sim:
            sim.run_steps(4)
            sim.reset()
            sim.run_steps(4)
    assert not OnePort.taken


def test_ready_made_environment():
    """A ready-made environment is reset but never closed."""
    closed = []
    counter = Counter()
    counter.close = lambda: closed.append(1)
    net, env_node = connect(Environment(counter, seed=1), [1, 0, 0])
    for _ in range(2):
        with nengo.Simulator(net) as sim:
            assert open_environment_of(sim, env_node) is counter
            sim.run_steps(4)
            sim.reset()
            sim.run_steps(4)
    del sim
    gc.collect()
    assert not closed
    resets = [what for kind, what in counter.log if kind == "reset"]
    assert resets == [episode_seed(1, 0)] * 4


def test_nodes_that_are_no_environment():
    """`open_environment_of` refuses every other Node."""
    net, env_node = connect(Environment(Counter), [1, 0, 0])
    with net:
        other = nengo.Node(nengo.processes.WhiteNoise(), size_out=1)
    stranger = connect(Environment(Counter), [1, 0, 0])[1]
    with nengo.Simulator(net) as sim:
        for node in (other, stranger, "a"):
            with pytest.raises(ValueError, match="not an environment of this simulato"):
                open_environment_of(sim, node)
        assert isinstance(open_environment_of(sim, env_node), Counter)


@pytest.mark.parametrize("optimize", [True, False])
def test_equal_environments_are_distinct(optimize):
    """Two Nodes that share an Environment, and a third with an equal one, have three
    environments."""
    env = Environment("CartPole-v1")
    with nengo.Network(seed=0) as net:
        nodes = [nengo.Node(e) for e in (env, env, Environment("CartPole-v1"))]
        probes = [nengo.Probe(node) for node in nodes]
    with nengo.Simulator(net, optimize=optimize) as sim:
        sim.run_steps(1)
        for node, probe in zip(nodes, probes, strict=True):
            seen = open_environment_of(sim, node).unwrapped.state
            assert_allclose(sim.data[probe][0, :4], seen, rtol=1e-6)


# --- reset, pickle, wrappers -------------------------------------------------------


def cart_pole():
    return gymnasium.make("CartPole-v1")


class Fading(gymnasium.Wrapper):
    """Wrapper that counts all of its steps and adds the count to the rewards."""

    total = 0

    def step(self, action):
        self.total += 1
        seen, reward, *rest = self.env.step(action)
        return seen, reward + self.total, *rest


@pytest.mark.parametrize(
    "make",
    [
        cart_pole,
        lambda: Fading(cart_pole()),
        lambda: gymnasium.wrappers.NormalizeObservation(cart_pole()),
        lambda: gymnasium.wrappers.NormalizeReward(cart_pole()),
    ],
)
def test_reset_repeats_the_run(make):
    """`Simulator.reset` repeats all episodes, even with a wrapper that has state."""
    env = Environment(make, seed=1)
    net, _ = connect(env, [0, 1])
    with nengo.Simulator(net) as sim:
        sim.run_steps(200)
        first = sim.data[net.probe].copy()
        sim.reset()
        sim.run_steps(200)
        assert_array_equal(sim.data[net.probe], first)
        assert first[-1, env.episode] > 0


def test_pickle():
    """A pickled simulation resumes in mid-episode and repeats itself after a reset;
    other simulators do not affect it."""
    env = Environment("CartPole-v1", steps_per_action=3)
    # the pole falls after about ten steps, so the run includes later resets
    net, _ = connect(env, [0, 1])
    with nengo.Simulator(net) as sim, nengo.Simulator(net) as other:
        other.run_steps(7)
        sim.run_steps(50)
        pickled = pickle.dumps((sim, net.probe))
        other.run_steps(11)
        sim.run_steps(100)
        straight = sim.data[net.probe].copy()
        assert straight[:, env.episode].max() >= 3
    resumed, probe = pickle.loads(pickled)
    with resumed:
        resumed.run_steps(100)
        assert_array_equal(resumed.data[probe], straight)
        resumed.reset()
        resumed.run_steps(150)
        assert_array_equal(resumed.data[probe], straight)


class Easy(Counter, gymnasium.utils.EzPickle):
    def __init__(self):
        gymnasium.utils.EzPickle.__init__(self)
        Counter.__init__(self)


def wrapped_easy():
    return gymnasium.Wrapper(Easy())


def test_pickles_without_state_are_refused():
    """Pickling an EzPickle environment is refused, because it would restart its
    episode."""
    net, _ = connect(Environment(wrapped_easy), [1, 0, 0])
    with nengo.Simulator(net) as sim:
        with pytest.raises(TypeError, match="Easy: cannot be pickled with its state"):
            pickle.dumps(sim)


def test_weak_reference_of_the_process():
    """The simulator owns the open environment; the user's `Environment` does not."""
    env = Environment(Counter)
    net, env_node = connect(env, [1, 0, 0])
    with nengo.Simulator(net) as sim:
        gym_env = weakref.ref(open_environment_of(sim, env_node))
        assert gym_env() is not None
    assert gym_env() is None


def test_process_without_a_simulator():
    """`Process.apply` runs an environment, and closes it."""
    ledger = Ledger()
    env = Environment(ledger.open, seed=5)
    shown = env.apply(np.tile([1.0, 0, 0], (8, 1)))
    assert_array_equal(shown[::2, 0], [0, 1, 2, 3])
    assert ledger.opened == ledger.closed == 2


def test_videos(tmp_path):
    """The wrapper that records videos writes all of them, including the last."""
    pytest.importorskip("moviepy")

    def make():
        gym_env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
        folder = tmp_path / str(len(os.listdir(tmp_path)))
        return gymnasium.wrappers.RecordVideo(gym_env, str(folder), lambda k: True)

    env = Environment(make)
    net, _ = connect(env, [0, 1])
    with nengo.Simulator(net) as sim:
        sim.run_steps(60)
        episodes = int(sim.data[net.probe][-1, env.episode].item()) + 1
    assert episodes >= 2
    videos = sorted(file.name for file in (tmp_path / "1").glob("*.mp4"))
    assert videos == [f"rl-video-episode-{k}.mp4" for k in range(episodes)]
