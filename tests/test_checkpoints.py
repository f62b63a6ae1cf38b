"""A simulation that is loaded goes on as if it had never stopped, or is refused."""

import json
import os
import pickle
import subprocess
import sys

import gymnasium
import nengo
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from toy_environments import Counter

import nengo_epes
from nengo_epes import checkpoints, z
from nengo_epes.checkpoints import CheckpointError
from nengo_epes.rl.environment import Environment
from nengo_epes.rl.evaluation import learned_weights
from nengo_epes.rl.presets import build


def simulator(net, **options):
    return nengo.Simulator(net, optimize=False, **options)


def state(sim):
    """All arrays of the signals as they are, without a look that would change them."""
    return [array.copy() for array in dict.values(sim.signals)]


def assert_goes_on(build, path, first=57, more=43):
    """A new build that has run for a while, and is loaded, goes on bit for bit, also
    in what it draws and records; and to save changes nothing."""
    with simulator(build()) as sim:
        sim.run_steps(first + more)
        straight = state(sim)
        recorded = [sim.data[probe][first:] for probe in sim.model.probes]
    with simulator(build()) as sim:
        sim.run_steps(first)
        checkpoints.save(sim, path, note={"steps": first})
        sim.run_steps(more)
        for before, after in zip(straight, state(sim), strict=True):
            assert_array_equal(after, before)
    with simulator(build()) as sim:
        sim.run_steps(7)
        assert checkpoints.load(sim, path) == {"steps": first}
        assert sim.n_steps == first and np.isclose(sim.time, first * sim.dt)
        sim.run_steps(more)
        for before, after in zip(straight, state(sim), strict=True):
            assert_array_equal(after, before)
        for before, probe in zip(recorded, sim.model.probes, strict=True):
            assert_array_equal(sim.data[probe], before)


class Drifting(nengo.Process):
    """Keeps an array and a generator for itself, as old processes do."""

    def make_step(self, shape_in, shape_out, dt, rng, state):
        place, offset = np.zeros(shape_out), rng.uniform()
        noise = np.random.default_rng(rng.randint(1000))

        def step(t):
            place[...] += noise.normal(size=shape_out) + offset
            return place

        return step


def noisy():
    """A network with all kinds of random numbers, some of them without a seed."""
    rng = np.random.default_rng(3)
    with nengo.Network(seed=8) as net:
        target = nengo.Ensemble(10, 1)
        for process in (
            nengo.processes.WhiteNoise(),
            nengo.processes.WhiteNoise(seed=3),
            nengo.processes.FilteredNoise(),
            nengo.processes.WhiteSignal(0.05, high=100),
            Drifting(),
        ):
            node = nengo.Node(process, size_out=1)
            nengo.Connection(node, target, synapse=z**-5)
            nengo.Probe(node)
        drawn = nengo.Node(lambda t: rng.normal())
        nengo.Probe(drawn)
        for neuron_type in (
            nengo.PoissonSpiking(nengo.LIFRate()),
            nengo.StochasticSpiking(nengo.LIFRate()),
            nengo.AdaptiveLIF(),
            nengo.Izhikevich(),
        ):
            ensemble = nengo.Ensemble(10, 1, neuron_type=neuron_type)
            nengo.Connection(target, ensemble, synapse=nengo.Alpha(0.01))
            nengo.Probe(ensemble.neurons)
        policy = nengo_epes.networks.GaussianPolicy(1, period=0.004)
        nengo.Connection(ensemble, policy.input, transform=[[1], [0]])
        nengo.Probe(policy.action)
    return net


def test_random_numbers(tmp_path):
    """The generators of processes, neurons, policies and functions of Nodes."""
    assert_goes_on(noisy, tmp_path / "a")


def agent():
    return build("CartPole-v1", 3, n_neurons=40)[0]


def test_agent_in_its_environment(tmp_path):
    """An agent goes on in the middle of an episode, with the resets and actions that
    would have come."""
    assert_goes_on(agent, tmp_path / "a", first=331, more=300)


def test_environment_that_was_handed_in(tmp_path):
    """An environment that a user made stays the one that is simulated."""
    env_nodes = []

    def build():
        env_nodes.append(Counter(length=4))
        with nengo.Network(seed=1) as net:
            nengo.Probe(nengo.Node(Environment(env_nodes[-1], steps_per_action=2)))
        return net

    assert_goes_on(build, tmp_path / "a", first=13, more=12)
    # 25 steps are 13 slots, in each of which something is done to the environment
    assert len(env_nodes[0].log) == 13
    for env_node in env_nodes[1:]:
        assert env_node.log == env_nodes[0].log


END = """
import sys
import nengo
from test_checkpoints import agent
from nengo_epes import checkpoints
start, steps, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
junk = [bytearray(17 * n) for n in range(int(sys.argv[4]))]  # other addresses
with nengo.Simulator(agent(), progress_bar=False, optimize=False) as sim:
    if start:
        checkpoints.load(sim, start)
    sim.run_steps(steps)
    checkpoints.save(sim, path)
"""


@pytest.mark.slow
def test_processes(tmp_path):
    """Three processes that share the work end where one of its own ends."""
    finished = []

    def run(start, steps, path, junk):
        command = [sys.executable, "-W", "ignore", "-c", END]
        folder = os.path.dirname(__file__)
        paths = os.pathsep.join([folder, os.path.dirname(folder)])
        subprocess.run(
            [*command, start, str(steps), path, str(junk)],
            check=True,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": str(junk)},
            cwd=tmp_path,
        )
        header, arrays = checkpoints.archive.read(tmp_path / path)
        # one pickle may be written in several ways
        finished.append(arrays[: -header["environments"]])

    run("", 600, "alone", 1)
    run("", 201, "a", 30)
    run("a", 202, "b", 500)
    run("b", 197, "c", 7)
    for alone, shared in zip(finished[0], finished[-1], strict=True):
        assert_array_equal(shared, alone)


def small(seed=0, n_neurons=10, synapse=0.01, rate=1e-3, target=None):
    with nengo.Network(seed=seed) as net:
        pre = nengo.Ensemble(n_neurons, 1, seed=seed)
        noise = nengo.Node(nengo.processes.WhiteNoise(seed=1), size_out=1)
        nengo.Connection(noise, pre, synapse=synapse)
        post = target or nengo.Ensemble(10, 1, seed=1)
        learns = {"learning_rule_type": nengo.PES(rate)}
        net.learned = nengo.Connection(pre, post, **learns)
        nengo.Connection(noise, net.learned.learning_rule)
        nengo.Probe(post)
    return net


def damages(content):
    """Checkpoints that are none any more, and what is said of them."""
    line = content.index(b"\n")
    yield b"", "is no checkpoint"
    yield b"\x93NUMPY" + content, "is no checkpoint"
    for end in (line, line + 1, len(content) // 2, len(content) - 1):
        yield content[:end], "damaged or incomplete"
    yield content + b"\0", "damaged or incomplete"
    version = content.index(b" 1 ") + 1
    yield content[:version] + b"2" + content[version + 1 :], "version '2'"
    for place in range(0, len(content), 131):
        flipped = bytearray(content)
        flipped[place] ^= 1
        yield bytes(flipped), "no checkpoint|damaged|version"


def assert_refused(sim, path, message):
    """It is refused with the reason, and the simulation is as it was."""
    before, recorded = state(sim), [len(sim.data[p]) for p in sim.model.probes]
    drawn = [pickle.dumps(x) for x in checkpoints.hidden.find(sim, before)[0]]
    with pytest.raises(CheckpointError, match=message):
        checkpoints.load(sim, path)
    assert recorded == [len(sim.data[p]) for p in sim.model.probes]
    assert drawn == [pickle.dumps(x) for x in checkpoints.hidden.find(sim, before)[0]]
    for was, now in zip(before, state(sim), strict=True):
        assert_array_equal(now, was)


def test_damaged_files(tmp_path):
    """A file of which any byte is missing or another one is refused."""
    path = tmp_path / "a"
    with simulator(small()) as sim:
        sim.run_steps(20)
        checkpoints.save(sim, path)
        content = path.read_bytes()
        sim.run_steps(20)
        for damaged, message in damages(content):
            path.write_bytes(damaged)
            assert_refused(sim, path, message)
        path.write_bytes(content)
        checkpoints.load(sim, path)
        assert sim.n_steps == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "begins with other values"),
        ({"n_neurons": 11}, r"\[10\]\), here it is \(.*\[11\]\)"),
        ({"synapse": 0.02}, r"Lowpass\(tau=0.01\).*here.*Lowpass\(tau=0.02\)"),
        ({"synapse": None}, "operators"),
        ({"rate": 1e-4}, "learning_rate': '0.001'.*'0.0001'"),
    ],
)
def test_other_networks(options, message, tmp_path):
    """The checkpoint of another network is refused, and the difference is named."""
    with simulator(small()) as sim:
        sim.run_steps(20)
        checkpoints.save(sim, tmp_path / "a")
    with simulator(small(**options)) as sim:
        sim.run_steps(3)
        assert_refused(sim, tmp_path / "a", f"(?s)another network.*({message})")


def test_other_simulators(tmp_path):
    """Another dt, another seed and other libraries are refused; and what is closed or
    optimized is refused before a file is written."""
    path = tmp_path / "a"
    with simulator(small()) as sim:
        checkpoints.save(sim, path)
    with pytest.raises(CheckpointError, match="closed"):
        checkpoints.save(sim, tmp_path / "b")
    with pytest.raises(CheckpointError, match=r"is no nengo\.Simulator"):
        checkpoints.save(small(), tmp_path / "b")
    with simulator(small(), dt=0.002) as sim:
        assert_refused(sim, path, r"its dt is 0.001 s, here it is 0.002 s")
    with simulator(small(), seed=7) as sim:
        assert_refused(sim, path, "its seed is 1, here it is 7; give.*seed=1")
    with nengo.Simulator(small()) as sim:
        assert_refused(sim, path, "optimize=False")
        with pytest.raises(CheckpointError, match="optimize=False"):
            checkpoints.save(sim, tmp_path / "b")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_other_libraries(tmp_path, monkeypatch):
    """What another nengo_epes wrote is refused, with its version."""
    with simulator(small()) as sim:
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints.simulators, "__version__", "99.0")
            checkpoints.save(sim, tmp_path / "a")
        assert_refused(sim, tmp_path / "a", "nengo_epes 99.0, and here is")


def test_objects_in_another_order(tmp_path):
    """Two ensembles that compute the same are not mistaken for each other."""

    def build(second_first):
        with nengo.Network(seed=0) as net:
            source = nengo.Node(0.5)
            twins = [nengo.Ensemble(10, 1, seed=1) for _ in range(2)]
            order = twins[::-1] if second_first else twins
            for twin in order:
                nengo.Connection(source, twin, synapse=0.1, seed=2)
        return net

    with simulator(build(False)) as sim:
        checkpoints.save(sim, tmp_path / "a")
        checkpoints.load(sim, tmp_path / "a")
    with simulator(build(True)) as sim:
        assert_refused(sim, tmp_path / "a", "other signals|other objects")


def test_writing_fails(tmp_path, monkeypatch):
    """The last checkpoint stays when the next one cannot be written."""

    def fails(*_):
        raise OSError("disk full")

    path = tmp_path / "a"
    with simulator(small()) as sim:
        sim.run_steps(5)
        checkpoints.save(sim, path)
        sim.run_steps(5)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", fails)
            with pytest.raises(OSError, match="disk full"):
                checkpoints.save(sim, path)
        with pytest.raises(TypeError, match="a note can be what JSON can hold"):
            checkpoints.save(sim, path, note=object())
        assert list(tmp_path.iterdir()) == [path]
        checkpoints.load(sim, path)
        assert sim.n_steps == 5


class Counting(nengo.Process):
    """Counts in a variable, which nobody else can set."""

    def make_step(self, shape_in, shape_out, dt, rng, state):
        count = 0

        def step(t):
            nonlocal count
            count += 1
            return count

        return step


class Pickled(Counter, gymnasium.utils.EzPickle):
    """Its pickle is a new one, as Gymnasium's Box2D and MuJoCo environments are."""

    def __init__(self):
        gymnasium.utils.EzPickle.__init__(self)
        Counter.__init__(self)


class Open(Counter):
    """Holds what cannot be pickled."""

    def __init__(self):
        super().__init__()
        self.window = open(os.devnull)

    def close(self):
        self.window.close()


@pytest.mark.parametrize(
    ("process", "message"),
    [
        (Counting(), "the process Counting.* keeps .*step.* make_state"),
        (Environment(Pickled()), "Gymnasium pickles only how its Pickled was made"),
        (Environment(opened := Open()), "cannot be pickled"),
    ],
)
def test_what_cannot_be_saved(process, message, tmp_path):
    """State that cannot be had is refused by name, and no file is written."""
    with nengo.Network(seed=0) as net:
        nengo.Node(process, size_out=process.default_size_out or 1)
    with simulator(net) as sim:
        sim.run_steps(3)
        with pytest.raises(CheckpointError, match=message):
            checkpoints.save(sim, tmp_path / "a")
    assert not list(tmp_path.iterdir())
    opened.close()


def test_file_is_plain_data(tmp_path):
    """Without an environment nothing in the file is a pickle."""
    path = tmp_path / "a"
    with simulator(small()) as sim:
        checkpoints.save(sim, path, note=[1, "two"])
    path.with_suffix(".npz").write_bytes(path.read_bytes().split(b"\n", 1)[1])
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
        header = json.loads(file["header"].tobytes())
        assert all(file[name].dtype != object for name in file)
    assert header["note"] == [1, "two"] and header["environments"] == 0


def test_learned_weights_agree(tmp_path):
    """What was learned is there at once when it is loaded."""
    seen = []
    for loads in (False, True):
        net, _, learner = build("CartPole-v1", 3, n_neurons=40)
        with simulator(net) as sim:
            if loads:
                checkpoints.load(sim, tmp_path / "a")
            else:
                sim.run_steps(400)
                checkpoints.save(sim, tmp_path / "a")
            seen.append(learned_weights(sim, learner))
    assert np.any(seen[0]["actor"])
    for name, weights in seen[0].items():
        assert_array_equal(seen[1][name], weights)
