"""Checkpoints: a simulation that loads one continues bit for bit, or the load is
refused."""

import hashlib
import json
import os
import pathlib
import pickle
import resource
import subprocess
import sys

import gymnasium
import nengo
import numpy as np
import pytest
from gymnasium.wrappers import NormalizeObservation, RescaleAction, TransformReward
from nengo.exceptions import NengoWarning
from numpy.testing import assert_array_equal
from toy_environments import Counter, Ledger

import nengo_epes.checkpoints
from nengo_epes import EPES, checkpoints, learned, z
from nengo_epes.checkpoints import CheckpointError, is_at_episode_start
from nengo_epes.rl.environment import Environment, open_environment_of


def simulator(net, **options):
    return nengo.Simulator(net, optimize=False, **options)


def state(sim):
    """Return the bytes of all signals and the counters of a simulator."""
    arrays = (sim.signals[signal] for signal in list(sim.signals))
    arrays = (x if isinstance(x, np.ndarray) else x.data for x in arrays)
    return [sim.n_steps, sim.time, *(array.tobytes() for array in arrays)]


def run_steps(sim, steps):
    if steps:  # Nengo refuses to run 0 steps
        sim.run_steps(steps)


def run_to_episode_start(sim, at_least):
    """Run a number of steps, then until the start of an episode."""
    run_steps(sim, at_least)
    while not is_at_episode_start(sim):
        sim.step()
    return sim.n_steps


def assert_continues(build, path, first=57, more=43, other=7):
    """Assert that a loaded simulation reaches the state of an uninterrupted one.

    The checkpoint is loaded into a new build that has already run. Saving changes
    nothing. Return the number of steps at which it was saved, and the data of the
    probes.
    """
    with simulator(build()) as sim:
        saved_at = run_to_episode_start(sim, first)
        sim.run_steps(more)
        straight = state(sim)
        data = [sim.data[probe].copy() for probe in sim.model.probes]
    with simulator(build()) as sim:
        sim.run_steps(saved_at)
        checkpoints.save(sim, path, note={"steps": saved_at})
        sim.run_steps(more)
        assert state(sim) == straight
    for steps in (0, other):
        with simulator(build()) as sim:
            run_steps(sim, steps)
            assert checkpoints.load(sim, path) == {"steps": saved_at}
            assert sim.n_steps == saved_at and np.isclose(sim.time, saved_at * sim.dt)
            sim.run_steps(more)
            assert state(sim) == straight
            for before, probe in zip(data, sim.model.probes, strict=True):
                assert_array_equal(sim.data[probe], before[saved_at:])
    return saved_at, data


def learner(neuron_type=nengo.LIF, seed=0, n=30, synapse=0.01, rate=1e-3, label=None):
    """Return a network in which EPES and PES learn, with delays and filters."""
    with nengo.Network(seed=seed) as net:
        signal = nengo.Node(lambda t: np.sin(40 * t))
        pre = nengo.Ensemble(n, 1, neuron_type=neuron_type(), label=label)
        post = nengo.Ensemble(20, 1, neuron_type=neuron_type())
        nengo.Connection(signal, pre, synapse=synapse)
        rule = EPES(rate, trace_synapse=0.02, size_eligibility=0)
        net.conn = nengo.Connection(pre, post, learning_rule_type=[rule, nengo.PES()])
        for port in net.conn.learning_rule:
            nengo.Connection(signal, port, synapse=z**-5)
        full = EPES(rate, trace_synapse=nengo.Alpha(0.02), size_eligibility=1)
        hidden = nengo.Connection(pre.neurons, post.neurons, transform=np.eye(20, n))
        hidden.learning_rule_type = full
        nengo.Connection(post, hidden.learning_rule[0], synapse=nengo.Alpha(0.01))
        nengo.Connection(nengo.Node(1.0), hidden.learning_rule[1])
        sparse = nengo.transforms.Sparse((20, n), indices=[[0, 1], [3, 2]], init=[1, 2])
        nengo.Connection(pre.neurons, post.neurons, transform=sparse)
        nengo.Probe(post)
        nengo.Probe(net.conn, "weights")
    return net


@pytest.mark.parametrize(
    "neuron_type", [nengo.RectifiedLinear, nengo.LIF, nengo.AdaptiveLIF]
)
def test_plain_networks(neuron_type, tmp_path):
    """Networks with EPES and PES, filters and delays continue, with rates and with
    spikes."""
    saved_at, _ = assert_continues(lambda: learner(neuron_type), tmp_path / "a.npz")
    assert saved_at == 57  # a network without environments can be saved at any time


def test_single_precision(tmp_path):
    """A simulation in single precision continues."""
    nengo.rc["precision"]["bits"] = "32"
    assert_continues(learner, tmp_path / "a.npz")


def agent(environment, every=3, seed=4, **options):
    """Return a network that acts in an environment and learns from its rewards."""
    env = Environment(environment, steps_per_action=every, **options)
    with nengo.Network(seed=seed) as net:
        net.env_node = nengo.Node(env)
        pre = nengo.Ensemble(40, env.observation.stop, neuron_type=nengo.LIF())
        nengo.Connection(net.env_node[env.observation], pre, synapse=None)
        net.action = nengo.Node(size_in=env.n_actions)
        rule = EPES(1e-4, trace_synapse=0.02, size_eligibility=0)
        conn = nengo.Connection(
            pre,
            net.action,
            function=lambda x: np.sin(np.arange(env.n_actions) + x[0]),
            learning_rule_type=rule,
        )
        nengo.Connection(net.env_node[env.reward], conn.learning_rule, transform=0.1)
        nengo.Connection(net.action, net.env_node, synapse=z**-1)
        net.shown = nengo.Probe(net.env_node)
        nengo.Probe(net.action)
    net.env = env
    return net


def cart_pole():
    return gymnasium.make("CartPole-v1")


def in_two_wrappers():
    gym_env = gymnasium.make("Pendulum-v1", max_episode_steps=20)
    return TransformReward(RescaleAction(gym_env, -1, 1), lambda reward: reward / 10)


ENVIRONMENTS = {
    "CartPole": "CartPole-v1",
    "Pendulum": lambda: gymnasium.make("Pendulum-v1", max_episode_steps=20),
    "LunarLander": "LunarLander-v3",
    "InvertedPendulum": "InvertedPendulum-v5",
    "FrozenLake": "FrozenLake-v1",
    "two wrappers": in_two_wrappers,
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environments(name, tmp_path):
    """Agents continue in every kind of environment, across later episodes."""
    if name == "LunarLander":
        pytest.importorskip("Box2D")
    if name == "InvertedPendulum":
        pytest.importorskip("mujoco")
    nets = []

    def build():
        nets.append(agent(ENVIRONMENTS[name]))
        return nets[-1]

    path = tmp_path / "a.npz"
    saved_at, (shown, _) = assert_continues(build, path, first=100, more=400)
    # the comparison covers several episodes
    episodes = shown[:, nets[0].env.episode][:, 0]
    assert episodes[saved_at - 1] >= 1
    assert episodes[-1] > episodes[saved_at - 1]


def test_environment_with_an_info(tmp_path):
    """The output of the function of the info is stored."""

    class Told(Counter):
        def reset(self, *, seed=None, options=None):
            return super().reset(seed=seed)[0], {"seed": seed}

        def step(self, action):
            *answer, _ = super().step(action)
            return *answer, {"seed": self.steps}

    def build():
        return agent(Told, info=lambda info: [info["seed"]])

    assert_continues(build, tmp_path / "a.npz")


def test_ready_made_environment(tmp_path):
    """After a load, a ready-made environment is still the one that is simulated."""
    counters = []

    def build():
        counters.append(Counter(length=4))
        return agent(counters[-1])

    assert_continues(build, tmp_path / "a.npz")
    for counter in counters[2:]:
        seeds = [what for kind, what in counter.log if kind == "reset"]
        saved = [what for kind, what in counters[0].log if kind == "reset"]
        assert seeds[-2:] == saved[-2:]


def test_start_of_an_episode():
    """The start of an episode lasts from the simulator step with the reset to the end
    of the slot."""
    env = Environment(Counter, {"length": 2}, steps_per_action=3)
    with nengo.Network(seed=0) as net:
        probe = nengo.Probe(nengo.Node(env))
    with simulator(net) as sim:
        found = [is_at_episode_start(sim)]
        for _ in range(20):
            sim.step()
            found.append(is_at_episode_start(sim))
        resets = sim.data[probe][:, env.reset][:, 0]
    starts = np.convolve(resets, np.ones(3))[:20]
    assert_array_equal(found, [1, *starts])
    assert resets.sum() == 3


def test_mid_episode_is_refused(tmp_path):
    """In mid-episode `save` writes nothing, even if another environment just started an
    episode."""
    with nengo.Network(seed=0) as net:
        nengo.Node(Environment(Counter, {"length": 2}))
        nengo.Node(Environment(Counter, {"length": 3}))
    with simulator(net) as sim:
        # episodes of 3 and 4 slots of 2 steps
        saved = []
        for _ in range(48):
            sim.step()
            try:
                checkpoints.save(sim, tmp_path / "a.npz")
                saved.append(sim.n_steps)
            except CheckpointError as error:
                assert "mid-episode" in str(error)
                assert "until `checkpoints.is_at_episode_start(sim)`" in str(error)
            if not saved:
                assert not list(tmp_path.iterdir())
        assert saved == [1, 2, 25, 26]


def test_before_the_first_step(tmp_path):
    """A simulation that has not run can be saved, and loaded into a simulation that
    has."""
    path = tmp_path / "a.npz"
    with simulator(agent("CartPole-v1")) as sim:
        checkpoints.save(sim, path)
        sim.run_steps(50)
        straight = state(sim)
    with simulator(agent("CartPole-v1")) as sim:
        sim.run_steps(31)
        checkpoints.load(sim, path)
        assert sim.n_steps == 0
        sim.run_steps(50)
        assert state(sim) == straight


def test_reset_after_a_load(tmp_path):
    """After a load `Simulator.reset` starts from the first episode."""
    net = agent("CartPole-v1")
    with simulator(net) as sim:
        saved_at = run_to_episode_start(sim, 40)
        checkpoints.save(sim, tmp_path / "a.npz")
        sim.reset()
        sim.run_steps(saved_at)
        straight = state(sim)
        checkpoints.load(sim, tmp_path / "a.npz")
        assert state(sim) == straight
        sim.run_steps(5)
        sim.reset()
        sim.run_steps(saved_at)
        assert state(sim) == straight


def assert_refused(sim, path, message):
    """Assert that a load is refused with a reason, and changes nothing."""
    before, recorded = state(sim), [len(sim.data[p]) for p in sim.model.probes]
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoints.load(sim, path)
    text = str(caught.value)
    del caught  # the traceback refers to the signals
    assert text.count(str(path)) == 1
    assert state(sim) == before
    assert recorded == [len(sim.data[p]) for p in sim.model.probes]
    return text


@pytest.mark.parametrize("steps", [0, 33])
def test_environment_that_remembers(steps, tmp_path):
    """A wrapper whose memory shows in the observation is refused by name; the
    simulation is not changed."""

    def build():
        ledger = Ledger(lambda: NormalizeObservation(cart_pole()))
        net = agent(ledger.open)
        net.ledger = ledger
        return net

    path, net = tmp_path / "a.npz", build()
    with simulator(net) as sim:
        run_to_episode_start(sim, 60)
        checkpoints.save(sim, path)
    with simulator(build()) as sim:
        sim.run_steps(steps + 90)
        straight = state(sim)
    net = build()
    with simulator(net) as sim:
        run_steps(sim, steps)
        text = assert_refused(sim, path, r"CartPole-v1: episode \d starts with another")
        assert "remembers something between episodes" in text
        # the environment that was opened for the comparison is closed again
        assert net.ledger.opened - net.ledger.closed == 1
        if steps:  # before the first step, the wrapper has seen one more reset
            sim.run_steps(90)
            assert state(sim) == straight
    assert net.ledger.opened == net.ledger.closed


def test_used_environment_is_replaced(tmp_path):
    """Loading replaces an environment that has been used by a new one, and closes the
    old one."""
    ledger = Ledger()
    net = agent(ledger.open)
    with simulator(net) as sim:
        checkpoints.save(sim, tmp_path / "start.npz")
        run_to_episode_start(sim, 20)
        checkpoints.save(sim, tmp_path / "a.npz")
    assert ledger.opened == ledger.closed == 2
    with simulator(net) as sim:
        unused = open_environment_of(sim, net.env_node)
        checkpoints.load(sim, tmp_path / "a.npz")
        assert open_environment_of(sim, net.env_node) is unused
        for name in ("a.npz", "start.npz"):
            used = open_environment_of(sim, net.env_node)
            checkpoints.load(sim, tmp_path / name)
            assert open_environment_of(sim, net.env_node) is not used
            assert ledger.opened - ledger.closed == 1
            sim.run_steps(1)
        # an environment that was closed by an error is replaced too
        current = open_environment_of(sim, net.env_node)
        current.step = lambda action: 1 / 0
        with pytest.raises(ZeroDivisionError):
            sim.run_steps(9)
        assert ledger.opened == ledger.closed
        checkpoints.load(sim, tmp_path / "a.npz")
        sim.run_steps(9)
    assert ledger.opened == ledger.closed


def test_other_versions_of_an_environment(tmp_path):
    """An environment that draws other initial states is refused."""

    class Shifted(Counter):
        shift = 0.0

        def reset(self, *, seed=None, options=None):
            seen, info = super().reset(seed=seed)
            return seen + self.shift, info

    with simulator(agent(Shifted)) as sim:
        sim.run_steps(2)
        checkpoints.save(sim, tmp_path / "a.npz")
    with simulator(agent(Shifted)) as sim:
        Shifted.shift = 1e-6
        assert_refused(
            sim, tmp_path / "a.npz", "Shifted: episode 0 starts with another"
        )


def test_seed_of_the_environment(tmp_path):
    """A network with another seed of its environment is refused."""
    with simulator(agent(Counter, info=lambda info: [1.0])) as sim:
        checkpoints.save(sim, tmp_path / "a.npz")
    with simulator(agent(Counter, seed=5)) as sim:
        assert_refused(
            sim, tmp_path / "a.npz", "another network seed .got 4 .*, 5 here"
        )
    with simulator(agent(Counter, info=lambda info: [1.0])) as sim:
        (op,) = (op for op in sim.step_order if "Environment" in str(op))
        sim.signals[op.state["seed"]] = 7
        text = assert_refused(sim, tmp_path / "a.npz", "the seed is 7 .got a file with")
        assert "set the seed of the environment or network" in text


def test_lesioned_constant(tmp_path):
    """A constant that was changed by hand is part of the state."""

    def build():
        with nengo.Network(seed=1) as net:
            a, b = nengo.Ensemble(60, 1, seed=2), nengo.Ensemble(50, 1, seed=3)
            nengo.Connection(nengo.Node(0.5), a)
            solver = nengo.solvers.LstsqL2(weights=True)
            net.conn = nengo.Connection(a, b, seed=4, solver=solver)
            nengo.Probe(b.neurons, "input")
        return net

    def weights(sim, net):
        return sim.signals[sim.model.sig[net.conn]["weights"]]

    path, net = tmp_path / "a.npz", build()
    with simulator(net) as sim:
        sim.run_steps(50)
        intact = weights(sim, net).copy()
        row, column = np.unravel_index(abs(intact).argmax(), intact.shape)
        weights(sim, net).setflags(write=True)
        weights(sim, net)[row, column] = 0.0
        checkpoints.save(sim, path)
        sim.run_steps(50)
        straight = state(sim)
        expected = sim.data[sim.model.probes[0]][50:]
    net = build()
    with simulator(net) as sim:
        assert_array_equal(weights(sim, net), intact)
        checkpoints.load(sim, path)
        intact[row, column] = 0.0
        assert_array_equal(weights(sim, net), intact)
        assert not weights(sim, net).flags.writeable
        sim.run_steps(50)
        assert state(sim) == straight
        assert_array_equal(sim.data[sim.model.probes[0]], expected)


def test_constant_that_cannot_be_set(tmp_path):
    """A read-only constant of the user is refused if its value differs."""

    def build(value):
        with nengo.Network(seed=0) as net:
            nengo.Connection(nengo.Node([value, 1.0]), nengo.Ensemble(5, 2))
        return net

    def protected(sim):
        # a read-only array, as if mapped from a file
        (signal,) = (x for x in sim.signals if x.name.endswith(".out"))
        memory = np.frombuffer(sim.signals[signal].tobytes(), dtype=float)
        dict.__setitem__(sim.signals, signal, memory)

    with simulator(build(0.5)) as sim:
        sim.run_steps(3)
        checkpoints.save(sim, tmp_path / "a.npz")
    for value in (0.25, 0.5):
        with simulator(build(value)) as sim:
            protected(sim)
            if value == 0.5:
                checkpoints.load(sim, tmp_path / "a.npz")
                assert sim.n_steps == 3
            else:
                assert_refused(sim, tmp_path / "a.npz", "constant .*saved value")


def saved(path, steps=20, **options):
    with simulator(learner(**options)) as sim:
        sim.run_steps(steps)
        checkpoints.save(sim, path)
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, r"\(got 0 in the file, 1 here\); give the network"),
        ({"n": 31}, r"signal \d+ \(got .*bias \(30,\).*bias \(31,\).*; build the netw"),
        ({"synapse": 0.02}, r"\(got .*Lowpass\(tau=0.01\).* in the file.*tau=0\.02"),
        (
            {"synapse": None},
            r"network \(got \d+ signals, \d+ operators in the file, \d",
        ),
        ({"rate": 0.1}, r"\(got .*learning_rate=0\.001.* file, .*learning_rate=0\.1"),
        ({"neuron_type": nengo.LIFRate}, r"network \(got"),
        ({"label": "sensory"}, r"signal \d+ \(got <Ensemble.*'sensory'.* here\)"),
    ],
)
def test_other_networks(options, message, tmp_path):
    """The checkpoint of another network is refused; the message names the difference,
    both values and a remedy."""
    path = saved(tmp_path / "a.npz")
    with simulator(learner(**options)) as sim:
        sim.run_steps(3)
        assert_refused(sim, path, f"(?s)another .*?{message}")


@pytest.mark.parametrize("length", [20, 3000])
def test_inputs_of_any_length(length, tmp_path):
    """A network with other presented inputs is refused, for short and long inputs."""

    def played(inputs):
        with nengo.Network(seed=0) as net:
            player = nengo.Node(nengo.processes.PresentInput(inputs, 0.001))
            nengo.Connection(player, nengo.Ensemble(10, 1))
        return simulator(net)

    inputs, path = np.zeros((length, 1)), tmp_path / "a.npz"
    with played(inputs) as sim:
        sim.run_steps(3)
        checkpoints.save(sim, path)
    with played(inputs.copy()) as sim:
        checkpoints.load(sim, path)
        assert sim.n_steps == 3
    inputs[length // 2] = 0.5
    with played(inputs) as sim:
        assert_refused(sim, path, "another operator .*PresentInput")


def test_objects_in_another_order(tmp_path):
    """The states of two equal ensembles are not exchanged."""

    def build(second_first):
        with nengo.Network(seed=0) as net:
            source = nengo.Node(0.5)
            twins = [nengo.Ensemble(10, 1, seed=1) for _ in range(2)]
            for twin in twins[::-1] if second_first else twins:
                nengo.Connection(source, twin, synapse=0.1, seed=2)
        return net

    with simulator(build(False)) as sim:
        checkpoints.save(sim, tmp_path / "a.npz")
        checkpoints.load(sim, tmp_path / "a.npz")
    with simulator(build(True)) as sim:
        assert_refused(sim, tmp_path / "a.npz", "another (operator|signal)")


def test_other_simulators(tmp_path, monkeypatch):
    """Another time step, seed, precision or version is refused by name."""
    path = saved(tmp_path / "a.npz")
    with simulator(learner(), dt=0.002) as sim:
        message = r"another dt \(got 0.001 in the file, 0.002 here\); pass the `dt`"
        assert_refused(sim, path, message)
    with simulator(learner(), seed=7) as sim:
        message = r"another simulator seed \(got 1 in the file, 7 here\); pass the `see"
        assert_refused(sim, path, message)
    with simulator(learner()) as sim:
        monkeypatch.setattr(nengo_epes.checkpoints, "__version__", "99.0")
        message = "another versions .got nengo .*, nengo_epes 99.0 here.; install"
        assert_refused(sim, path, message)
        monkeypatch.undo()
        checkpoints.load(sim, path)
        nengo.rc["precision"]["bits"] = "32"
    with simulator(learner()) as sim:
        message = r"another precision .got float64, int64 in the file, float32, int32"
        assert "precision']['bits']" in assert_refused(sim, path, message)


def test_refused_simulators(tmp_path):
    """A closed or optimized simulator is refused before a file is read or written."""
    with simulator(learner()) as closed:
        pass
    with nengo.Simulator(learner()) as optimized:
        for sim, message in (
            (closed, "closed; use it before close"),
            (optimized, "optimized, .*pass optimize=False"),
            (learner(), r"not a nengo\.Simulator"),
        ):
            for use in (
                lambda sim=sim: checkpoints.save(sim, tmp_path / "a.npz"),
                lambda sim=sim: checkpoints.load(sim, tmp_path / "none.npz"),
                lambda sim=sim: is_at_episode_start(sim),
            ):
                with pytest.raises(CheckpointError, match=message):
                    use()
    assert not list(tmp_path.iterdir())


def test_random_numbers_are_named(tmp_path):
    """Noise and stochastic neurons give a warning with their names; other processes and
    neurons do not."""
    quiet = (nengo.processes.WhiteSignal(1.0, 5), nengo.processes.PresentInput([1], 1))
    noisy = (nengo.processes.WhiteNoise(seed=3), nengo.processes.BrownNoise())
    stochastic = (
        nengo.PoissonSpiking(nengo.LIFRate()),
        nengo.StochasticSpiking(nengo.LIFRate()),
    )
    for things in (quiet, noisy + stochastic):
        with nengo.Network(seed=0) as net:
            for thing in things:
                if isinstance(thing, nengo.Process):
                    nengo.Node(thing, size_out=1)
                else:
                    nengo.Ensemble(5, 1, neuron_type=thing)
            nengo.Ensemble(5, 1, neuron_type=nengo.RegularSpiking(nengo.LIFRate()))
        with simulator(net) as sim:
            sim.run_steps(3)
            if things is quiet:
                checkpoints.save(sim, tmp_path / "a.npz")
                continue
            with pytest.warns(NengoWarning) as caught:
                checkpoints.save(sim, tmp_path / "a.npz")
            (text,) = (str(warning.message) for warning in caught)
            names = ("WhiteNoise(", "BrownNoise(", "PoissonSpiking(", "StochasticSpik")
            assert all(name in text for name in names)
            assert "continues with other numbers" in text
            checkpoints.load(sim, tmp_path / "a.npz")


def test_noise_of_an_ensemble(tmp_path):
    """Noise that is injected into neurons gives a warning."""
    with nengo.Network(seed=0) as net:
        nengo.Ensemble(5, 1, noise=nengo.processes.WhiteNoise())
    with simulator(net) as sim, pytest.warns(NengoWarning, match="WhiteNoise"):
        checkpoints.save(sim, tmp_path / "a.npz")


def digest(sim):
    """Return a hash of the state of a simulator."""
    return hashlib.sha256(repr(state(sim)).encode()).hexdigest()


def test_another_process_continues(tmp_path):
    """Another process, where objects have other hashes and addresses, continues from a
    checkpoint to the state of a single process."""
    code = """
import nengo
from nengo_epes import checkpoints
from test_checkpoints import agent, digest, run_to_episode_start, simulator
nengo.rc["progress"]["progress_bar"] = "False"
junk = [bytearray(17 * n) for n in range(500)]
with simulator(agent("CartPole-v1")) as sim:
    checkpoints.load(sim, "a")
    run_to_episode_start(sim, 400 - sim.n_steps)
    print(sim.n_steps, digest(sim))
"""
    with simulator(agent("CartPole-v1")) as sim:
        run_to_episode_start(sim, 150)
        checkpoints.save(sim, tmp_path / "a")
        run_to_episode_start(sim, 400 - sim.n_steps)
        alone = f"{sim.n_steps} {digest(sim)}"
    folder = os.path.dirname(__file__)
    paths = os.pathsep.join([folder, os.path.dirname(folder)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=True,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "500"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == alone


# --- files -------------------------------------------------------------------------


def tiny():
    with nengo.Network(seed=0) as net:
        pre, post = nengo.Ensemble(5, 1), nengo.Node(size_in=1)
        net.conn = nengo.Connection(pre, post, learning_rule_type=nengo.PES(1e-2))
        nengo.Connection(nengo.Node(1.0), net.conn.learning_rule)
    return net


@pytest.mark.parametrize("n_files", [300, pytest.param(1200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("module", [checkpoints, learned])
def test_damaged_files(module, n_files, tmp_path):
    """Each file with a changed bit, and each truncated file, is refused without any
    change, or loads the saved values. A sixth of the files are truncated."""
    path, rng, n_refused = tmp_path / "a.npz", np.random.default_rng(0), 0
    net = tiny()
    with simulator(net) as sim:
        sim.run_steps(20)
        module.save(sim, path)
        good, expected = path.read_bytes(), state(sim)
        weights = learned.weights(sim, net.conn)
        sim.run_steps(20)
        checkpoints.save(sim, tmp_path / "other.npz")
        other = state(sim)
        for trial in range(n_files):
            place, damaged = rng.integers(len(good)), bytearray(good)
            if trial < n_files * 5 // 6:
                damaged[place] ^= 1 << rng.integers(8)
            else:
                del damaged[place:]
            path.write_bytes(damaged)
            try:
                module.load(sim, path)
            except ValueError as error:
                assert str(path) in str(error)
                assert state(sim) == other
                n_refused += 1
            else:
                assert_array_equal(learned.weights(sim, net.conn), weights)
                assert module is learned or state(sim) == expected
                checkpoints.load(sim, tmp_path / "other.npz")
    # some bytes of an archive have no meaning
    assert 0.75 * n_files < n_refused < n_files


class Bomb:
    """Object that creates a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_are_not_loaded(tmp_path):
    """A pickle in place of an array, of the header or of the file runs no code."""
    good = saved(tmp_path / "good.npz")
    with np.load(good) as file:
        members = dict(file)
    bomb = np.array([Bomb(tmp_path / "exploded")], dtype=object)
    for name in members:
        np.savez(tmp_path / f"{name}.npz", **{**members, name: bomb})
    np.save(tmp_path / "array.npy", bomb)
    (tmp_path / "pickle").write_bytes(pickle.dumps(bomb[0]))
    crafted = sorted(set(tmp_path.iterdir()) - {good})
    assert len(crafted) == len(members) + 2
    with simulator(learner()) as sim:
        for path in crafted:
            assert_refused(
                sim, path, "not an intact file of the kind nengo_epes-checkpoint"
            )
    assert not (tmp_path / "exploded").exists()
    pickle.loads((tmp_path / "pickle").read_bytes())
    assert (tmp_path / "exploded").exists()  # the bomb works


def test_file_is_plain_data(tmp_path):
    """The file is an .npz without objects; the note is JSON."""
    path = tmp_path / "a.npz"
    with simulator(agent("CartPole-v1")) as sim:
        checkpoints.save(sim, path, note=[1, "two", None])
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            assert all(file[name].dtype != object for name in file)
        assert header["header"]["note"] == [1, "two", None]
        assert checkpoints.load(sim, path) == [1, "two", None]
        for note, error in ((object(), TypeError), (np.nan, ValueError)):
            with pytest.raises(error, match="JSON"):
                checkpoints.save(sim, path, note=note)
        assert checkpoints.load(sim, path) == [1, "two", None]


def test_other_files(tmp_path):
    """A file of another function or version, and a file that is not an archive, are
    refused."""
    path = tmp_path / "a.npz"
    with simulator(tiny()) as sim:
        learned.save(sim, path)
        assert_refused(sim, path, "got ValueError: nengo_epes-learned, version 1")
        checkpoints.save(sim, path)
        with pytest.raises(ValueError, match="nengo_epes-checkpoint, version 1"):
            learned.load(sim, path)
        header = {"kind": "nengo_epes-checkpoint", "version": 99}
        text = np.frombuffer(json.dumps(header).encode(), np.uint8)
        np.savez(path, header=text)
        assert_refused(sim, path, "version 1 .got .*version 99.; write it again")
        path.write_text("text")
        assert_refused(sim, path, "not an intact file")
        with pytest.raises(FileNotFoundError):
            checkpoints.load(sim, tmp_path / "none.npz")


@pytest.mark.parametrize("module", [checkpoints, learned])
def test_full_disk(module, tmp_path):
    """On a full disk the last good file remains, and the message names it."""
    path = tmp_path / "a.npz"
    with simulator(learner()) as sim:
        module.save(sim, path)
        before = path.read_bytes()
        sim.run_steps(20)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
        try:
            with pytest.raises(OSError, match=r"a\.npz") as caught:
                module.save(sim, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert caught.value.filename == str(path)
        assert path.read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
        module.save(sim, path)
        assert path.read_bytes() != before


def test_read_only_folder(tmp_path, monkeypatch):
    """In a read-only folder the last good file remains."""
    path = saved(tmp_path / "a.npz")
    before = path.read_bytes()
    tmp_path.chmod(0o555)
    # the superuser may write everywhere
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    try:
        with pytest.raises(PermissionError, match=str(tmp_path)):
            saved(path, steps=3)
    finally:
        tmp_path.chmod(0o755)
    assert path.read_bytes() == before
    assert list(pathlib.Path(tmp_path).iterdir()) == [path]
