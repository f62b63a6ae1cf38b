"""The agent: learning, evaluation, prediction, files, and error messages."""

import dataclasses
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from functools import cache

import gymnasium
import nengo
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import NormalizeObservation, TimeLimit
from nengo.exceptions import (
    NengoWarning,
    SimulationError,
    SimulatorClosed,
    ValidationError,
)
from numpy.testing import assert_allclose, assert_array_equal
from toy_environments import Anything, Corridor

from nengo_epes import archive
from nengo_epes.progress import NoBar
from nengo_epes.rl import Agent, Episode, Settings, build_network
from nengo_epes.rl import agent as agent_module
from nengo_epes.rl.agent import FORMAT
from nengo_epes.rl.environment import Environment, episode_seed
from nengo_epes.rl.evaluation import FIRST_SEED, open_for_evaluation, run_episodes

PENDULUM = {"env_kwargs": {"max_episode_steps": 30}}
AGENTS = [
    ("CartPole-v1", "rate"),
    ("CartPole-v1", "lif"),
    ("Pendulum-v1", "rate"),
    ("FrozenLake-v1", "rate"),
]


def make(env="CartPole-v1", **options):
    """Return an agent with few neurons; discrete observations have one neuron per
    state."""
    return Agent(env, **{"n_neurons": 40, **options})


def learn(agent, n_steps=100, **options):
    """Let an agent learn without a progress bar."""
    return agent.learn(n_steps, progress_bar=False, **options)


def signals_of(agent):
    """Return copies of all signals of the simulation of the training."""
    return [np.array(value) for value in agent.simulator.signals.values()]


def assert_same_signals(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert_array_equal(a, b)


def weights_of(agent):
    """Return the weights of critic and actor."""
    parts = agent.network.actor_critic
    sim = agent.simulator
    return [
        sim.signals[sim.model.sig[conn]["weights"]].copy()
        for conn in (parts.critic, parts.actor)
    ]


# learning, evaluation and prediction


def test_counts_and_returns():
    """The episodes of an agent equal Gymnasium's own record of episode statistics."""
    log = []

    class Recorded(gymnasium.wrappers.RecordEpisodeStatistics):
        def step(self, action):
            answer = super().step(action)
            if "episode" in answer[-1]:
                log.append((answer[-1]["episode"]["r"], answer[-1]["episode"]["l"]))
            return answer

    with make(lambda: Recorded(gymnasium.make("CartPole-v1"))) as agent:
        assert learn(agent, 200) is agent
        assert agent.total_steps == 200
        assert len(agent.episodes) == len(log) >= 3
        assert_array_equal(agent.returns, [total for total, _ in log])
        lengths = np.array([length for _, length in log])
        assert [e.length for e in agent.episodes] == lengths.tolist()
        ends = [e.environment_steps for e in agent.episodes]
        assert_array_equal(ends, np.cumsum(lengths))
        seconds = [e.seconds for e in agent.episodes]
        assert seconds == sorted(seconds) and seconds[0] > 0
        assert all(isinstance(e, Episode) for e in agent.episodes)


@pytest.mark.parametrize(("env", "neurons"), AGENTS)
def test_acting_changes_nothing(env, neurons):
    """Predictions, values and evaluations do not change any signal of the training, and
    the training continues as without them, bit for bit."""
    n = 20 if neurons == "lif" else 60
    options = {"neurons": neurons, "env_kwargs": {"max_episode_steps": 25}}
    with make(env, **options) as agent, make(env, **options) as other:
        learn(agent, n)
        learn(other, n)
        before = signals_of(agent)
        agent.predict(agent.process.observation_space.sample())
        agent.value(agent.process.observation_space.sample())
        agent.evaluate(2)
        assert_same_signals(signals_of(agent), before)
        learn(agent, n)
        learn(other, n)
        assert_same_signals(signals_of(agent), signals_of(other))


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_a_sum_of_trainings(env):
    """Training in pieces equals one training, and two agents with the same seed learn
    the same, bit for bit; another seed gives other weights."""
    with make(env) as one, make(env) as pieces, make(env, seed=1) as other:
        learn(one, 120)
        for n in (1, 59, 17, 43):
            learn(pieces, n)
        learn(other, 120)
        assert_same_signals(signals_of(pieces), signals_of(one))
        assert_array_equal(pieces.returns, one.returns)
        assert pieces.total_steps == one.total_steps == 120
        # the critic of FrozenLake may still be 0 in both
        assert not np.array_equal(weights_of(other)[1], weights_of(one)[1])


def digest():
    """Let an agent learn; return its weights, returns and a prediction as text."""
    with make("Pendulum-v1", **PENDULUM) as agent:
        learn(agent, 100)
        acted = agent.evaluate(2).returns.tolist(), agent.predict([0.6, 0.8, 1.0])
        return repr([[w.tolist() for w in weights_of(agent)], acted])


def test_another_process_learns_the_same():
    """A new Python process, in which objects have other hashes, learns the same
    weights, evaluates and predicts the same, bit for bit."""
    folder = os.path.dirname(os.path.abspath(__file__))
    other = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import test_agent as t; t.main()"],
        env={
            **os.environ,
            "PYTHONHASHSEED": "3",
            "PYTHONPATH": os.pathsep.join(
                [folder, os.path.dirname(folder), os.environ.get("PYTHONPATH", "")]
            ),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert other.stdout.strip() == digest()


def main():
    """Print the digest, for another process."""
    print(digest())


def greedy_in_numpy(agent, observation):
    """Return the decoded values and the value, computed from the formulas."""
    statistics = agent._read_learned()["observations"]
    mean, squares, count = statistics
    y = np.clip((observation - mean) / np.sqrt(squares / (count - 1) + 1e-16), -3, 3)
    u = np.append(y, 1.0) / np.sqrt(1 + y @ y)
    built = agent.simulator.data[agent.network.state]
    rates = np.maximum(built.scaled_encoders @ u + built.bias, 0)
    critic, actor = weights_of(agent)
    return actor @ rates, (critic @ rates).item()


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_predictions_are_the_formulas(env):
    """`predict`, `value` and the network of `freeze` equal normalisation, projection,
    rectification and decoders in plain numpy."""
    with make(env) as agent:
        learn(agent, 150)
        samples = np.random.RandomState(0).uniform(-1, 1, (20, 4))
        samples = samples[:, : agent.process.observation.stop]
        frozen = agent.freeze()
        presented = nengo.processes.PresentInput(samples, 0.001)
        frozen.observation.output = presented
        with frozen:
            probes = nengo.Probe(frozen.action), nengo.Probe(frozen.value)
        with nengo.Simulator(frozen) as sim:
            sim.run_steps(20)
        for k, x in enumerate(samples):
            decoded, value = greedy_in_numpy(agent, x)
            if env == "CartPole-v1":
                assert agent.predict(x) == decoded.argmax()
            else:
                expected = np.float32(2 * np.clip(decoded, -1, 1))
                assert_allclose(agent.predict(x), expected, rtol=1e-6)
            assert_allclose(agent.value(x), value, rtol=1e-9)
            assert_allclose(sim.data[probes[0]][k], decoded, rtol=1e-9)
            assert_allclose(sim.data[probes[1]][k], value, rtol=1e-9)
        assert not [conn for conn in frozen.all_connections if conn.learning_rule_type]


def test_evaluation_is_gymnasium_with_predictions():
    """Returns and lengths equal the results of a plain Gymnasium loop."""
    with make("Pendulum-v1", **PENDULUM) as agent:
        learn(agent, 100)
        result = agent.evaluate(3)
        seeded = agent.evaluate(3, seed=5)
        for first, found in ((FIRST_SEED, result), (5, seeded)):
            env, returns = gymnasium.make("Pendulum-v1", max_episode_steps=30), []
            for k in range(3):
                x, _ = env.reset(seed=episode_seed(first, k))
                total, over = 0.0, False
                while not over:
                    x, reward, _, over, _ = env.step(agent.predict(x))
                    total += float(reward)
                returns.append(total)
            assert_allclose(found.returns, returns, rtol=1e-12)
            assert found.lengths.tolist() == [30] * 3
            assert_allclose(found.mean, np.mean(returns))
            assert_allclose(found.std, np.std(returns, ddof=1))
            env.close()


@pytest.mark.parametrize("neurons", ["rate", "lif"])
def test_an_evaluation_repeats(neurons):
    """A second evaluation gives the same returns, even after other predictions."""
    with make("Pendulum-v1", neurons=neurons, **PENDULUM) as agent:
        learn(agent, 60)
        first = agent.evaluate(2)
        agent.predict([1.0, 0.0, 8.0])
        assert_array_equal(agent.evaluate(2).returns, first.returns)


def test_predictions_in_a_callback_are_current():
    """Predictions use the current weights, in the callback of each episode and after
    the training."""
    errors = []

    def compare(agent):
        x = np.array([0.6, 0.8, 1.0])
        decoded, _ = greedy_in_numpy(agent, x)
        errors.append(agent.predict(x) - 2 * np.clip(decoded, -1, 1))

    with make("Pendulum-v1", **PENDULUM) as agent:
        learn(agent, 100, callback=compare)
        compare(agent)
        agent.simulator.run_steps(60)
        compare(agent)
    assert len(errors) == 5
    assert_allclose(errors, 0, atol=1e-6)


def test_callback_stops():
    """`learn` stops after the episode whose callback returns False; None does not stop
    it."""
    with make() as agent:
        answers = iter([None, True, 0, False])
        learn(agent, 1000, callback=lambda a: next(answers))
        assert len(agent.episodes) == 4
        assert agent.total_steps == agent.episodes[-1].environment_steps
        learn(agent, 10)
        assert agent.total_steps == agent.episodes[3].environment_steps + 10


def test_interrupted():
    """Ctrl-C stops between two environment steps with KeyboardInterrupt; the agent can
    continue, and equals an uninterrupted agent, bit for bit."""
    with make() as agent, make() as straight:
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        before = signal.getsignal(signal.SIGINT)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            learn(agent, 1_000_000)
        timer.join()
        assert signal.getsignal(signal.SIGINT) is before
        assert 0 < agent.total_steps < 1_000_000
        agent.evaluate(1)
        learn(agent, 10)
        learn(straight, agent.total_steps)
        assert_same_signals(signals_of(agent), signals_of(straight))


def test_interrupt_in_a_callback():
    """Ctrl-C in a callback is raised after the callback; a second Ctrl-C is raised at
    once."""
    with make() as agent:

        def once(agent):
            os.kill(os.getpid(), signal.SIGINT)
            done.append(agent.total_steps)

        done = []
        with pytest.raises(KeyboardInterrupt):
            learn(agent, 1000, callback=once)
        assert done == [agent.total_steps] == [agent.episodes[0].length]

        def twice(agent):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            done.append("not reached")

        with pytest.raises(KeyboardInterrupt):
            learn(agent, 1000, callback=twice)
        assert len(done) == 1
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ignored_interrupt():
    """A process that ignores SIGINT, such as a background job, continues to learn."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with make() as agent:
            learn(agent, 100, callback=lambda a: os.kill(os.getpid(), signal.SIGINT))
            assert agent.total_steps == 100
    finally:
        signal.signal(signal.SIGINT, before)


def test_error_of_the_environment(tmp_path):
    """An error in the environment or in a callback propagates; the agent can still be
    saved, and loaded with a working environment."""

    class Fails(Anything):
        count = 0

        def step(self, action):
            self.count += 1
            if self.count == 50:
                raise RuntimeError("the simulator of physics has crashed")
            return super().step(action)

    def fail(agent):
        raise LookupError("of the callback")

    path = tmp_path / "agent.npz"
    with make(Fails) as agent:
        with pytest.raises(LookupError, match="of the callback"):
            learn(agent, callback=fail)
        with pytest.raises(RuntimeError, match="physics"):
            learn(agent, 1000)
        assert agent.total_steps == 49
        agent.predict(np.zeros(2))
        agent.save(path)
        for call in (lambda: learn(agent), lambda: agent.evaluate(1)):
            with pytest.raises((SimulationError, ValueError), match="closed"):
                call()
    with Agent.load(path, env=Anything) as loaded:
        assert loaded.total_steps == agent.total_steps
        learn(loaded)
        loaded.evaluate(1)


def test_learns_in_another_thread():
    """An agent learns in a thread that cannot receive signals."""
    with make() as agent:
        thread = threading.Thread(target=learn, args=(agent, 50))
        thread.start()
        thread.join()
        assert agent.total_steps == 50


def test_progress_bar(capsys):
    """The progress bar on standard error shows environment steps and the mean
    return."""
    pytest.importorskip("tqdm")
    with make() as agent:
        agent.learn(100)
        mean = np.mean(agent.returns[-20:])
    shown = capsys.readouterr().err
    assert "100/100" in shown
    assert f"return {mean:.1f}" in shown


def test_progress_bar_counts_all_steps():
    """A bar starts at the steps of earlier training."""
    made = []

    def bar(total, initial):
        made.append((total, initial))
        return NoBar()

    with make() as agent:
        for n_steps in (30, 20):
            agent.learn(n_steps, progress_bar=bar)
    assert made == [(30, 0), (50, 30)]


def test_training_episodes_without_end(monkeypatch):
    """An agent warns once if no episode ends, unless there is a time limit."""
    monkeypatch.setattr(agent_module, "ENDLESS", 30)
    with make(lambda: Anything(length=0)) as agent:
        learn(agent, 29)
        with pytest.warns(NengoWarning, match=r"in 30 steps.*TimeLimit\(env, 200"):
            learn(agent, 1)
        learn(agent, 30)  # a second warning would be an error
    for quiet in (Anything, lambda: TimeLimit(Anything(length=0), 1000)):
        with make(quiet) as agent:
            learn(agent, 40)


def test_closed():
    """Every method of a closed agent raises an error that says so; closing twice has no
    effect."""
    agent = make()
    agent.predict(np.zeros(4))
    agent.close()
    agent.close()
    calls = [
        lambda: learn(agent),
        lambda: agent.evaluate(1),
        lambda: agent.predict(np.zeros(4)),
        lambda: agent.value(np.zeros(4)),
        lambda: agent.save("never.npz"),
        lambda: agent.env,
    ]
    for call in calls:
        with pytest.raises(SimulatorClosed, match="closed"):
            call()
    assert not os.path.exists("never.npz")


# environments


@pytest.mark.parametrize(
    "observes",
    [
        spaces.Discrete(4, start=1),
        spaces.MultiBinary(3),
        spaces.MultiDiscrete([2, 3]),
        spaces.Dict({"a": spaces.Box(-1.0, 1.0, (2,)), "b": spaces.Discrete(3)}),
        spaces.Tuple([spaces.Discrete(2), spaces.Box(-9.0, 9.0, (1, 2))]),
        spaces.Box(-np.inf, np.inf, ()),
        spaces.Box(0, 255, (5,), np.uint8),
        spaces.Box(-1.0, 1.0, (1,), np.float64),
    ],
    ids=str,
)
def test_observation_spaces(observes):
    """An agent learns and predicts with every supported observation space."""
    with make(lambda: Anything(observes)) as agent:
        learn(agent, 60)
        assert np.isfinite(weights_of(agent)[1]).all()
        assert weights_of(agent)[1].any()
        assert agent.predict(observes.sample()) in agent.process.action_space
        assert isinstance(agent.value(observes.sample()), float)
        assert len(agent.evaluate(2).returns) == 2
        # discrete observations have one neuron per state
        is_state = isinstance(observes, spaces.Discrete)
        assert agent.network.state.n_neurons == (4 if is_state else 40)
        assert hasattr(agent.network, "normalization") != is_state


@pytest.mark.parametrize(
    "acts",
    [
        spaces.Discrete(3, start=-1),
        spaces.Discrete(1),
        spaces.MultiDiscrete([3, 2], start=[5, 0]),
        spaces.MultiBinary((2, 2)),
        spaces.Box(*np.array([[-1, -np.inf, 0], [1, 2, np.inf]], np.float32)),
        spaces.Box(-2, 5, (2,), np.int32),
    ],
    ids=str,
)
def test_action_spaces(acts):
    """Actions are elements of the space in training (checked by the environment), in
    predictions and in evaluations."""
    with make(lambda: Anything(acts=acts)) as agent:
        learn(agent, 60)
        for weights in weights_of(agent):
            assert np.isfinite(weights).all()
        for x in np.random.RandomState(0).uniform(-1, 1, (5, 2)):
            assert agent.predict(x) in acts
        assert len(agent.evaluate(2).returns) == 2


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            lambda: Anything(spaces.Box(0, 255, (8, 8), np.uint8)),
            "images.*ObservationWrapper that returns a vector",
        ),
        (lambda: Anything(spaces.Box(0.0, 1.0, (8, 8, 3))), "images"),
        (lambda: Anything(spaces.Text(5)), "not vectors.*ObservationWrapper"),
        (
            lambda: Anything(acts=spaces.Dict({"a": spaces.Discrete(2)})),
            "actions are not.*ActionWrapper",
        ),
        (3, "constructor.*got 3"),
    ],
)
def test_spaces_that_cannot_be_represented(env, message):
    """Unsupported spaces are refused when the agent is made, with a remedy."""
    with pytest.raises(ValidationError, match=message):
        make(env)


class Watched(NormalizeObservation):
    """Wrapper that logs the count of its statistics after each step."""

    log = []  # noqa: RUF012  (shared on purpose, copies of the environment included)

    def step(self, action):
        answer = super().step(action)
        self.log.append(self.obs_rms.count)
        return answer


@pytest.mark.parametrize("kind", ["constructor", "ready-made", "ready-made with id"])
def test_statistics_of_wrappers(kind):
    """An evaluation uses the running statistics of the training, and changes neither
    them nor its own copy."""

    def construct():
        if kind == "ready-made with id":
            return Watched(gymnasium.make("CartPole-v1"))
        return Watched(Anything())

    with make(construct if kind == "constructor" else construct()) as agent:
        learn(agent, 50)
        count = agent.env.obs_rms.count
        assert count > 50
        Watched.log.clear()
        agent.evaluate(3)
        assert len(Watched.log) >= 20
        assert set(Watched.log) == {count}
        assert agent.env.obs_rms.count == count
        learn(agent, 5)
        assert agent.env.obs_rms.count > count


def test_ready_made_environment():
    """A ready-made environment is used for training and never closed; the evaluation
    uses a copy and closes it."""

    class Closing(Anything):
        closed = []  # noqa: RUF012  (shared with copies)

        def close(self):
            self.closed.append(self)

    env = Closing()
    with make(env) as agent:
        assert agent.env is env
        learn(agent, 20)
        steps = env.steps
        agent.evaluate(2)
        assert env.steps == steps
    (copied,) = Closing.closed
    assert copied is not env


class Doubled(gymnasium.ObservationWrapper):
    """A wrapper that does not record its constructor arguments."""

    def observation(self, observation):
        return 2 * observation


def test_ready_made_environment_with_changes():
    """An evaluation has the wrappers and changes of a ready-made environment; an
    environment that cannot be copied is made again from its id."""
    env = Doubled(gymnasium.make("CartPole-v1"))
    env.unwrapped.gravity = 0.5
    copied = open_for_evaluation(Environment(env), env)
    assert copied is not env and copied.unwrapped is not env.unwrapped
    assert isinstance(copied, Doubled)
    assert copied.unwrapped.gravity == 0.5
    locked = gymnasium.make("CartPole-v1")
    locked.unwrapped.lock = threading.Lock()
    made = open_for_evaluation(Environment(locked), locked)
    assert made.spec.id == "CartPole-v1" and made is not locked
    with make(env) as agent:
        learn(agent, 20)
        agent.evaluate(1)


def test_environment_that_cannot_be_copied():
    """An evaluation in such an environment is refused with a remedy; training in it is
    possible."""
    env = Anything()
    env.lock = threading.Lock()
    with make(env) as agent:
        learn(agent, 20)
        with pytest.raises(ValidationError, match="constructor of the environment"):
            agent.evaluate(1)


def test_constructor_of_one_environment():
    """A constructor that returns the same environment each time is refused by
    `evaluate`, because an evaluation in it would disturb the training."""
    env = Anything()
    with make(lambda: env) as agent:
        learn(agent, 20)
        with pytest.raises(ValidationError, match="the same environment each time"):
            agent.evaluate(1)


def test_episodes_without_end():
    """The evaluation of an endless episode is stopped, with a warning that names the
    remedy."""
    with make(lambda: Anything(length=None)) as agent:
        learn(agent, 50)
        assert len(agent.returns) == 0
        message = "2 of 2 episodes.* 30 environment steps.*TimeLimit"
        with pytest.warns(NengoWarning, match=message):
            result = agent.evaluate(2, max_steps=30)
        assert result.lengths.tolist() == [30, 30]


# neurons


@pytest.mark.parametrize(
    "neurons",
    ["lif", nengo.LIFRate(), nengo.Tanh(), nengo.RegularSpiking(nengo.LIFRate())],
)
@pytest.mark.parametrize("env", ["CartPole-v1", "FrozenLake-v1"])
def test_neurons(env, neurons):
    """Every neuron type learns, even with negative activities: weights are finite, and
    predictions are valid actions."""
    with make(env, neurons=neurons, seed=2) as agent:
        learn(agent, 50)
        for weights in weights_of(agent):
            assert np.isfinite(weights).all()
            assert weights.any()
        space = agent.process.observation_space
        space.seed(0)
        assert agent.predict(space.sample()) in agent.process.action_space
        expected = nengo.LIF() if neurons == "lif" else neurons
        assert agent.network.state.neuron_type == expected
        assert agent.process.steps_per_action == (15 if expected.spiking else 2)


@pytest.mark.parametrize("neurons", ["rate", "lif"])
def test_neurons_of_discrete_states(neurons):
    """The neuron of the current state fires at its largest rate; all others are
    silent."""
    with make("FrozenLake-v1", neurons=neurons) as agent:
        signal = agent.simulator.model.sig[agent.network.state.neurons]["out"]
        rates, n = np.zeros(16), 0
        for _ in range(400):
            agent.simulator.step()
            if agent._now[agent.process.observation].argmax() == 0:
                rates += agent.simulator.signals[signal]
                n += 1
    # the first state is the most frequent; a spike of the previous state may follow
    assert rates.argmax() == 0
    assert_allclose(rates[0] / n, {"rate": 100, "lif": 200}[neurons], rtol=0.2)
    assert rates[1:].sum() < 0.1 * rates[0]


def test_single_precision():
    """In single precision an agent learns nearly the same at first, and its weights
    remain finite."""
    found = []
    for bits in ("64", "32"):
        nengo.rc["precision"]["bits"] = bits
        with make() as agent:
            learn(agent, 30)
            early = weights_of(agent)
            learn(agent, 300)
            for weights in weights_of(agent):
                assert weights.dtype == f"float{bits}"
                assert np.isfinite(weights).all()
            assert agent.predict(np.zeros(4, np.float32)) in (0, 1)
            found.append((early, agent.returns[:1]))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert_allclose(other, one, rtol=0, atol=1e-4 * np.abs(one).max())
    assert_array_equal(found[0][1], found[1][1])


# arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.1}, "no setting 'learning_rate'.*eta_critic, eta_actor"),
        ({"eta_actor": "fast"}, "eta_actor: must be a number above 0.*'fast'.*0.04"),
        ({"eta_actor": -1}, "eta_actor: must be a number above 0.*got -1"),
        ({"eta_critic": float("nan")}, "eta_critic: must be.*got nan"),
        ({"discount": 1.5}, "discount: must be a number from 0 to 1.*got 1.5"),
        ({"std": 0}, "std: must be a number above 0.*got 0"),
        ({"kept": 1}, "kept: must be a number from 0 to below 1.*got 1"),
        ({"clip": float("inf")}, "clip: must be a number above 0.*got inf"),
        ({"floor": None}, "floor: must be a number above 0.*got None.*0.2"),
        ({"shrink": True}, "shrink: must be a number above 0.*got True.*5000"),
        ({"scale_rewards": 1}, "scale_rewards: must be True or False.*got 1"),
        ({"n_neurons": 40.5}, "n_neurons: must be an int of at least 1.*got 40.5"),
        ({"n_neurons": 32}, "n_neurons: must be more than 32.*got 32"),
        ({"seed": -1}, r"seed: must be an int from 0 to 2\*\*31 - 1.*got -1"),
        ({"seed": None}, "seed: must be an int.*got None"),
        ({"neurons": "x"}, r"neurons: must be 'rate' or 'lif'.*LIFRate\(\).*got 'x'"),
        ({"neurons": ["lif"]}, "neurons: must be 'rate' or 'lif'"),
        ({"neurons": nengo.LIF}, r"neurons: must be 'rate' or 'lif'.*LIFRate\(\)"),
        ({"neurons": nengo.Direct()}, "neurons: nengo.Direct.*use 'rate'"),
    ],
    ids=str,
)
def test_bad_arguments(options, message):
    """The message names the argument, its value, and the valid values."""
    with pytest.raises(ValidationError, match=message):
        make(**options)


def test_bad_calls():
    """The messages of the methods do the same."""
    with make() as agent:
        cases = [
            (lambda: learn(agent, 0), "n_steps: must be an int of at least 1.*got 0"),
            (lambda: learn(agent, 5e4), "n_steps: must be an int.*got 50000.0"),
            (lambda: learn(agent, True), "n_steps: must be an int.*got True"),
            (lambda: agent.evaluate(0), "n_episodes: must be an int.*got 0"),
            (lambda: agent.evaluate(2, max_steps=0), "max_steps: must be an int"),
            (lambda: agent.evaluate(2, seed=-1), "seed: must be an int from 0.*got -1"),
            (lambda: agent.predict([0, 0, 0]), r"observation: .*shape \(4,\).*Box"),
            (lambda: agent.value([0, 0, 0, np.nan]), "observation: .*not finite.*Box"),
        ]
        for call, message in cases:
            with pytest.raises(ValidationError, match=message):
                call()


CHANGES = {
    "n_neurons": 50,
    "local_share": 0.8,
    "discount": 0.9,
    "lambda_critic": 0.5,
    "lambda_actor": 0.5,
    "eta_critic": 0.2,
    "eta_actor": 0.2,
    "shrink": 10.0,
    "floor": 20.0,
    "entropy_bonus": 0.1,
    "std": 0.5,
    "reach": 1e-4,
    "slow": 0.9,
    "kept": 0.5,
    "clip": 0.5,
    "scale_rewards": False,
    "normalize_observations": False,
}


@cache
def actor_with(env, **changes):
    """Return the weights of the actor after 60 steps with other settings."""
    with make(env, **changes) as agent:
        learn(agent, 60)
        assert changes.items() <= dataclasses.asdict(agent.settings).items()
        return weights_of(agent)[1]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Settings)])
def test_each_setting_matters(name):
    """A change of any setting changes the learned weights within 60 steps."""
    env = "CartPole-v1" if name == "entropy_bonus" else "Pendulum-v1"
    one, other = actor_with(env), actor_with(env, **{name: CHANGES[name]})
    assert np.abs(one).max() > 0
    assert one.shape != other.shape or np.abs(one - other).max() > 1e-9


def test_noise_of_several_actions():
    """The standard deviation of each of four continuous actions is half the value for
    one action, so that the norm of the noise does not grow."""
    space = spaces.Box(-1.0, 1.0, (4,))
    with make(lambda: Anything(acts=space), std=0.6) as agent:
        assert agent.network.actor_critic.distribution.std == pytest.approx(0.3)


def test_settings_of_discrete_observations():
    """The observation space selects the default settings, and each can be changed."""
    with make("FrozenLake-v1", lambda_actor=0.5) as lake, make() as pole:
        found = dataclasses.asdict(lake.settings)
        expected = {"lambda_critic": 0.0, "eta_actor": 0.02, "shrink": None}
        assert expected.items() <= found.items()
        assert lake.settings.lambda_actor == 0.5
        assert pole.settings == Settings(n_neurons=40)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_only_one_kind_of_features(share):
    """All features can be local, or all can be global; a share of 1.1 is refused."""
    with Agent("CartPole-v1", local_share=share, n_neurons=200) as agent:
        agent.learn(30, progress_bar=False)
        assert agent.total_steps == 30
    with pytest.raises(ValidationError, match=r"local_share: .* from 0 to 1 .got 1.1"):
        Agent("CartPole-v1", local_share=1.1)


def test_settings_of_numpy():
    """numpy numbers and integers are valid settings and can be saved."""
    with make(discount=np.float32(0.5), n_neurons=np.int64(50), shrink=100) as agent:
        assert agent.settings.discount == 0.5
        assert agent.settings.n_neurons == 50
        json.dumps(agent.settings.__dict__)


def test_signature_of_the_network():
    """`build_network` has the arguments of `Agent`, but `learned` instead of
    `simulator`."""
    agent = list(inspect.signature(Agent).parameters)
    network = list(inspect.signature(build_network).parameters)
    network.remove("learned")
    agent.remove("simulator")
    assert agent == network


# files


@pytest.mark.parametrize(("env", "neurons"), AGENTS)
def test_save_and_load(env, neurons, tmp_path):
    """An agent saved in mid-episode evaluates the same after loading, has the same
    weights, statistics, settings and episodes, and can continue to learn."""
    path = tmp_path / "agent.npz"
    options = {"env_kwargs": {"max_episode_steps": 25}, "entropy_bonus": 0.02}
    with make(env, neurons=neurons, seed=3, **options) as agent:
        learn(agent, 57)
        agent.save(path)
        before = agent._read_learned()
        result = agent.evaluate(2)
        episodes, steps, settings = agent.episodes, agent.total_steps, agent.settings
    with Agent.load(path) as loaded:
        after = loaded._read_learned()
        assert set(after) == set(before)
        for name, array in before.items():
            assert_array_equal(after[name], array)
            assert after[name].dtype == array.dtype
        assert loaded.settings == settings
        assert loaded.settings.entropy_bonus == 0.02
        assert loaded.episodes == episodes
        assert loaded.total_steps == steps
        assert loaded.seed == 3
        assert_array_equal(loaded.evaluate(2).returns, result.returns)
        learn(loaded, 50)
        assert loaded.total_steps == steps + 50
        now = loaded._read_learned()
        assert not np.array_equal(now["actor"], before["actor"])
        assert now["decisions"] >= before["decisions"] + 50


def test_continuous_evaluation_after_loading(tmp_path):
    """Continuous actions are equal after loading, bit for bit."""
    path = tmp_path / "agent.npz"
    with make("Pendulum-v1", **PENDULUM) as agent:
        learn(agent, 100)
        agent.save(path)
        result = agent.evaluate(3)
    with Agent.load(path) as loaded:
        assert_array_equal(loaded.evaluate(3).returns, result.returns)
        # the arguments of the environment were saved
        assert loaded.env.spec.max_episode_steps == 30


def test_noise_and_episodes_after_loading(tmp_path):
    """A loaded agent repeats neither the noise of its decisions nor the initial states
    of its finished episodes."""
    path, seeds = tmp_path / "agent.npz", []

    class Seeded(Corridor):
        def reset(self, *, seed=None, options=None):
            seeds.append(seed)
            return super().reset(seed=seed)

    with make(Seeded) as agent:
        learn(agent, 57)
        agent.save(path)
        n_episodes = len(agent.episodes)
    first = seeds.copy()
    seeds.clear()
    with Agent.load(path, env=Seeded) as loaded:
        learn(loaded, 57)
    assert first == [episode_seed(0, k) for k in range(n_episodes + 1)]
    assert seeds[0] == episode_seed(0, n_episodes)


def test_save_replaces(tmp_path):
    """A file is replaced as a whole and has exactly the given name."""
    path = tmp_path / "agent"
    with make() as agent:
        learn(agent, 20)
        agent.save(path)
        learn(agent, 20)
        agent.save(str(path))
    assert [p.name for p in tmp_path.iterdir()] == ["agent"]
    with Agent.load(path) as loaded:
        assert loaded.total_steps == 40


def test_save_in_a_callback(tmp_path):
    """`save` works in a callback."""
    with make() as agent:
        learn(agent, 100, callback=lambda a: a.save(tmp_path / f"{len(a.episodes)}"))
        for path in tmp_path.iterdir():
            with Agent.load(path) as loaded:
                assert len(loaded.episodes) == int(path.name)
        assert len(list(tmp_path.iterdir())) == len(agent.episodes) >= 2


def test_not_finite(tmp_path):
    """`save` refuses NaN by name, and keeps the previous file."""
    path = tmp_path / "agent.npz"
    with make() as agent:
        learn(agent, 20)
        agent.save(path)
        content = path.read_bytes()
        conn = agent.network.actor_critic.actor
        signal = agent.simulator.model.sig[conn]["weights"]
        agent.simulator.signals[signal][0, 0] = np.nan
        with pytest.raises(ValueError, match="actor: NaN"):
            agent.save(path)
    assert path.read_bytes() == content


def test_each_flip_is_refused(tmp_path):
    """A changed byte anywhere in the file is detected."""
    path, broken = tmp_path / "agent.npz", tmp_path / "broken.npz"
    with make("FrozenLake-v1") as agent:
        learn(agent, 20)
        agent.save(path)
        whole = agent._read_learned()
    content, accepted = path.read_bytes(), 0
    for where in range(0, len(content), 37):
        flipped = bytearray(content)
        flipped[where] ^= 0x10
        broken.write_bytes(flipped)
        try:
            header, arrays = archive.read(broken, FORMAT)
        except ValueError as error:
            assert "broken.npz" in str(error)
        else:
            # bytes of the zip container without meaning, such as dates
            accepted += 1
            for name, array in arrays.items():
                assert_array_equal(array, whole[name])
            assert header["env"] == "FrozenLake-v1"
    assert accepted < 0.5 * len(content) / 37
    with pytest.raises(ValueError, match=r"broken.npz: not an intact file.*write it"):
        broken.write_bytes(content[: len(content) // 2])
        Agent.load(broken)


def test_load_with_another_environment(tmp_path):
    """`load` refuses another environment and names both; no environment stays open."""
    path = tmp_path / "agent.npz"
    with make() as agent:
        agent.save(path)
    for other in ("Acrobot-v1", "FrozenLake-v1", "MountainCar-v0"):
        message = f"another environment than {other}: CartPole-v1.*saved with"
        with pytest.raises(ValueError, match=message):
            Agent.load(path, env=other)


def test_load_never_imports(tmp_path, monkeypatch):
    """`load` does not import a module that a file names; the caller has to pass it."""
    module = tmp_path / "evil_module.py"
    module.write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "agent.npz"
    with make() as agent:
        agent.save(path)
    header, arrays = archive.read(path, FORMAT)
    for name in ("evil_module:CartPole-v1", None):
        archive.write(path, FORMAT, {**header, "env": name}, arrays)
        message = r"pass the environment: Agent.load\(path, env=...\)"
        with pytest.raises(ValidationError, match=message):
            Agent.load(path)
        assert "evil_module" not in sys.modules
        with Agent.load(path, env="CartPole-v1") as loaded:
            assert loaded.total_steps == 0
    archive.write(path, FORMAT, {**header, "neurons": "evil_module.Neurons()"}, arrays)
    with pytest.raises(ValidationError, match=r"Agent.load\(path, neurons=...\)"):
        Agent.load(path)


def test_constructors_and_arguments(tmp_path):
    """An environment that has no id, or whose arguments cannot be stored, must be
    passed to `load`; a ready-made environment does not get the arguments from the
    file."""
    path = tmp_path / "agent.npz"
    cases = [
        ((Anything, {"length": 4}), lambda: Anything(length=4)),
        ((Anything(), None), Anything()),
        (
            ("CartPole-v1", {"sutton_barto_reward": np.True_}),
            lambda: gymnasium.make("CartPole-v1"),
        ),
    ]
    for (env, env_kwargs), again in cases:
        with make(env, env_kwargs=env_kwargs) as agent:
            learn(agent, 20)
            agent.save(path)
        with pytest.raises(ValidationError, match="pass the environment"):
            Agent.load(path)
        with Agent.load(path, env=again) as loaded:
            learn(loaded, 20)
    with make("CartPole-v1", env_kwargs={"max_episode_steps": 9}) as agent:
        agent.save(path)
    with Agent.load(path, env=gymnasium.make("CartPole-v1")) as loaded:
        learn(loaded, 20)


def test_other_neurons_are_given_again(tmp_path):
    """Neuron types without a name must be passed to `load`, which uses them."""
    path = tmp_path / "agent.npz"
    with make(neurons=nengo.LIFRate(tau_rc=0.03)) as agent:
        learn(agent, 20)
        agent.save(path)
        expected = agent.value(np.zeros(4))
    with pytest.raises(ValidationError, match=r"LIFRate\(tau_rc=0.03\).*neurons=..."):
        Agent.load(path)
    with Agent.load(path, neurons=nengo.LIFRate(tau_rc=0.03)) as loaded:
        assert loaded.value(np.zeros(4)) == expected


def test_other_files(tmp_path):
    """A file of another kind and a missing file are refused by name."""
    path = tmp_path / "other.npz"
    archive.write(path, "another kind", {}, {"weights": np.ones(2)})
    with pytest.raises(ValueError, match=r"other.npz.*another kind, version 1"):
        Agent.load(path)
    with pytest.raises(FileNotFoundError, match="none"):
        Agent.load(tmp_path / "none.npz")


# learning


def test_learns_a_corridor():
    """After 500 steps, on each of three seeds, the greedy agent takes the shortest path
    through the corridor, 4 steps; the median of a random walk is 16 steps."""
    for seed in range(3):
        with Agent(Corridor, seed=seed) as agent:
            learn(agent, 500)
            result = agent.evaluate(5)
        assert_array_equal(result.returns, 1.0)
        assert_array_equal(result.lengths, 4)


def test_learns_cart_pole():
    """After 2,000 steps with 200 neurons, on each of two seeds, the mean length of the
    last ten episodes is at least three times the mean length under a random policy, 22
    steps."""
    for seed in range(2):
        with Agent("CartPole-v1", seed=seed, n_neurons=200) as agent:
            learn(agent, 2000)
            assert agent.returns[-10:].mean() > 66


def test_nothing_is_left_open():
    """An agent that has predicted and learned closes all its simulators."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        agent = make()
        agent.predict(np.zeros(4))
        acting = agent._greedy[0]
        learn(agent, 5)
        agent.predict(np.zeros(4))
        assert acting.closed
        acting = agent._greedy[0]
        agent.close()
        assert acting.closed and agent.simulator.closed


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((0, None, False, False, {}), "reward"),
        ((0, np.nan, False, False, {}), "reward"),
        ((0, 1.0, None, False, {}), "terminated"),
        ((0, 1.0, False, {}), "five values"),
    ],
)
def test_evaluation_checks_what_environments_return(answer, message):
    """`run_episodes` refuses the same wrong values as training, and names the
    environment and the step."""

    class Broken(gymnasium.Env):
        observation_space = spaces.Discrete(2)
        action_space = spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return 0, {}

        def step(self, action):
            return answer

    with pytest.raises(SimulationError, match=rf"Broken.*step 1.*{message}"):
        run_episodes(Broken(), lambda observation: 0, 1)
