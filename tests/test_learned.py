"""Learned weights: reading, saving, loading, and networks with fixed weights."""

import contextlib
import hashlib
import json
import os
import pathlib
import pickle
import zipfile

import nengo
import numpy as np
import pytest
from nengo.exceptions import NengoWarning, SimulatorClosed
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes import EPES, GaussianREINFORCE, archive, learned
from nengo_epes.networks import GaussianPolicy

N_PRE, N_POST = 31, 23
NO_GAIN = "ignore:Non-finite values detected in `max_rates`"
LEARNING = {"on": True}  # read by Nodes; switches the learning of one network


@pytest.fixture(autouse=True)
def learning_on():
    """Let networks learn at the start of each test."""
    LEARNING["on"] = True


def constant(t):
    return [0.4, -0.7]


def varying(t):
    return [np.sin(23 * t), np.cos(17 * t)]


def random_weights(*shape):
    return np.random.RandomState(5).normal(size=shape) * 1e-3


def ends(kind, pre, post, node):
    """Return the arguments of a connection of this kind."""
    slow = {"synapse": 0.02}
    if kind == "ensemble to node":
        return {"pre": pre, "post": node}
    if kind == "ensemble to ensemble":
        return {"pre": pre, "post": post, **slow}
    if kind == "function and transform":
        rotation = [[0.3, -1.0], [0.5, 0.2]]
        square = {"function": lambda x: [x[0] ** 2, x[0] * x[1]]}
        return {"pre": pre, "post": post, "transform": rotation, **square}
    if kind == "sliced ends":
        return {"pre": pre[1], "post": post[0], "function": lambda x: x**3}
    if kind == "ends by list":
        return {"pre": pre[[1, 0]], "post": post[[1, 0]], "transform": 0.5, **slow}
    if kind == "function by points":
        points = np.random.RandomState(1).uniform(-1, 1, size=(80, 2))
        return {"pre": pre, "post": node, "eval_points": points, "function": -points}
    if kind == "no filter":
        return {"pre": pre, "post": node, "synapse": None}
    if kind == "weight solver":
        return {"pre": pre, "post": post, "solver": nengo.solvers.LstsqL2(weights=True)}
    if kind == "weight solver of slices":
        solver = {"solver": nengo.solvers.LstsqL2(weights=True)}
        return {"pre": pre[1], "post": post[1], "transform": 0.7, **solver, **slow}
    if kind == "whole-matrix solver":
        drop = nengo.solvers.LstsqDrop(weights=True, drop=0.2)
        return {"pre": pre, "post": post, "solver": drop, "transform": np.eye(2)}
    if kind == "neurons to node":
        return {"pre": pre.neurons, "post": node, "transform": random_weights(2, N_PRE)}
    if kind == "neurons to ensemble":
        matrix = random_weights(1, N_PRE)
        return {"pre": pre.neurons, "post": post[1], "transform": matrix}
    if kind == "neurons to neurons":
        matrix = random_weights(N_POST, N_PRE)
        return {"pre": pre.neurons, "post": post.neurons, "transform": matrix, **slow}
    if kind == "distribution":
        drawn = nengo.dists.Gaussian(0, 1e-3)
        return {"pre": pre.neurons, "post": post.neurons, "transform": drawn}
    if kind == "neuron slices":
        n_post, n_pre = len(range(3, N_POST, 2)), len(range(N_PRE)[::2])
        matrix = {"transform": random_weights(n_post, n_pre)}
        return {"pre": pre.neurons[::2], "post": post.neurons[3::2], **matrix}
    if kind == "neuron list":
        matrix = random_weights(N_POST, 3)
        return {
            "pre": pre.neurons[[7, 2, 9]],
            "post": post.neurons,
            "transform": matrix,
        }
    raise ValueError(kind)


DECODED = (
    "ensemble to node",
    "ensemble to ensemble",
    "function and transform",
    "sliced ends",
    "ends by list",
    "function by points",
    "no filter",
)
WEIGHTS = (
    "weight solver",
    "weight solver of slices",
    "whole-matrix solver",
    "neurons to node",
    "neurons to ensemble",
    "neurons to neurons",
    "distribution",
    "neuron slices",
    "neuron list",
)


class Model(nengo.Network):
    """One connection that learns, and probes of everything downstream."""

    def __init__(self, kind, rule, signal=varying, seed=11):
        super().__init__(seed=seed)
        with self:
            self.stimulus = nengo.Node(signal, label="stimulus")
            self.pre = nengo.Ensemble(N_PRE, 2)
            self.post = nengo.Ensemble(N_POST, 2, radius=1.3)
            self.output = nengo.Node(size_in=2, label="output")
            nengo.Connection(self.stimulus, self.pre, synapse=None)
            nengo.Connection(self.post, self.output, function=np.square)
            arguments = ends(kind, self.pre, self.post, self.output)
            self.conn = nengo.Connection(**arguments, learning_rule_type=rule)
            self.error = nengo.Node(self.step_error, size_out=1, label="error")
            port = self.conn.learning_rule
            if isinstance(rule, EPES):
                one = nengo.Node(1.0)
                nengo.Connection(self.error, port[rule.td_error], synapse=None)
                nengo.Connection(one, port[rule.eligibility], synapse=None)
            else:
                ones = np.ones((port.size_in, 1))
                nengo.Connection(self.error, port, transform=ones, synapse=None)
            nengo.Probe(self.output)
            nengo.Probe(self.post, synapse=0.01)
            nengo.Probe(self.post.neurons, "voltage")
            nengo.Probe(self.conn, "weights")

    @staticmethod
    def step_error(t):
        return np.cos(9 * t) * LEARNING["on"]


RULES = {
    "PES": lambda: nengo.PES(2e-3),
    "EPES": lambda: EPES(2e-2, feedback="broadcast"),
}


def run(network, steps, prepare=lambda sim: None, **options):
    """Simulate from reset and return the data of all probes."""
    with nengo.Simulator(network, **options) as sim:
        prepare(sim)
        sim.run_steps(steps)
        return [np.array(sim.data[probe]) for probe in network.all_probes]


def put(model, matrix):
    """Return a function that sets the weights of a model's connection, using only
    Nengo."""

    def prepare(sim):
        sim.signals[sim.model.sig[model.conn]["weights"]][...] = matrix

    return prepare


def train(model, steps=100, **options):
    """Return the weights of a model before and after learning, and its frozen copy."""
    with nengo.Simulator(model, **options) as sim:
        array = sim.signals[sim.model.sig[model.conn]["weights"]]
        before = array.copy()
        sim.run_steps(steps)
        after = np.array(sim.signals[sim.model.sig[model.conn]["weights"]])
        frozen = learned.freeze(sim, model)
    assert np.abs(after - before).max() > 1e-3 * np.abs(before).max()
    return before, after, frozen


def assert_close(got, expected):
    """Compare the data of all probes to 1e-12 of their largest value."""
    assert len(got) == len(expected) > 0
    for one, other in zip(got, expected, strict=True):
        scale = np.abs(other).max()
        assert_allclose(one, other, rtol=1e-12, atol=1e-12 * scale)


# freeze


@pytest.mark.parametrize(
    ("kind", "rule", "signal"),
    [(kind, "EPES", varying) for kind in DECODED + WEIGHTS]
    + [
        (kind, "PES", constant)
        for kind in ("function and transform", "weight solver", "neurons to neurons")
    ],
)
def test_frozen_network_computes_with_the_learned_weights(kind, rule, signal):
    """The frozen network gives the data of the original network with an error of 0 and
    the learned weights set by hand, to 1e-12."""
    model = Model(kind, RULES[rule](), signal)
    initial, matrix, frozen = train(model)
    LEARNING["on"] = False
    with nengo.Simulator(model) as sim:
        put(model, matrix)(sim)
        sim.run_steps(100)
        expected = [sim.data[probe].copy() for probe in model.all_probes]
        sim.reset()
        put(model, initial)(sim)
        sim.run_steps(30)
        unlearned = sim.data[model.all_probes[0]]
    assert_close(run(frozen, 100), expected)
    assert not np.array_equal(unlearned, expected[0][:30])


@pytest.mark.parametrize("kind", ["ensemble to node", "weight solver", "neuron list"])
def test_frozen_network_is_plain(kind):
    """The frozen network has no learning rule, no connection or probe to one, and only
    Nengo's operators that do not learn."""
    model = Model(kind, EPES(2e-2, feedback="broadcast"))
    with model:
        nengo.Probe(model.conn.learning_rule, "eligibility_trace")
    frozen = train(model)[2]
    assert [conn.learning_rule for conn in frozen.all_connections] == [None] * 3
    assert len(frozen.all_probes) == len(model.all_probes) - 1
    with nengo.Simulator(frozen) as sim:
        modules = {type(op).__module__ for op in sim.model.operators}
    assert all(module.startswith("nengo.builder.") for module in modules)
    assert "nengo.builder.learning_rules" not in modules


def snapshot(network):
    """Return everything that defines a network: its objects and their parameters."""
    params = [
        (obj, name, getattr(obj, name))
        for obj in network.all_objects
        if not isinstance(obj, nengo.Network)
        for name in obj.params
    ]
    return network.seed, network.all_objects, params


def same(one, other):
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one is other or one == other


@pytest.mark.parametrize("kind", ["function and transform", "weight solver"])
def test_original_is_unchanged(kind):
    """Freezing changes neither a parameter of the original network nor its learning nor
    the running simulation."""
    model = Model(kind, nengo.PES(2e-3))
    before, expected = snapshot(model), run(model, 200)
    with nengo.Simulator(model) as sim:
        sim.run_steps(100)
        learned.freeze(sim, model)
        sim.run_steps(100)
        assert_close([sim.data[probe] for probe in model.all_probes], expected)
    assert same(before, snapshot(model))
    assert_close(run(model, 200), expected)


def test_attributes_refer_to_the_copy():
    """The attributes of a frozen network refer to objects of the copy, which can be
    probed."""
    model = Model("ensemble to node", nengo.PES(2e-3))
    _, matrix, frozen = train(model)
    assert type(frozen) is Model
    assert frozen.conn in frozen.connections
    assert frozen.output in frozen.nodes
    assert frozen.conn.pre == frozen.pre.neurons
    with frozen:
        probe = nengo.Probe(frozen.conn, "weights")
    with nengo.Simulator(frozen) as sim:
        sim.run_steps(2)
    assert_array_equal(sim.data[probe], [matrix, matrix])
    assert_array_equal(sim.data[frozen.conn].weights, matrix)


def test_neurons_are_those_of_the_original():
    """If the ensembles have no seeds, the copy has the encoders, gains and biases that
    the original got from the seed of the network."""
    model = Model("neurons to neurons", nengo.PES(2e-3))
    frozen = train(model)[2]
    with nengo.Simulator(model) as sim, nengo.Simulator(frozen) as other:
        for name in ("pre", "post"):
            one, two = sim.data[getattr(model, name)], other.data[getattr(frozen, name)]
            for attribute in ("encoders", "gain", "bias", "eval_points"):
                assert_array_equal(getattr(one, attribute), getattr(two, attribute))


def test_network_without_a_seed():
    """A network without a seed is frozen with the neurons of its simulation."""
    model = Model("ensemble to ensemble", nengo.PES(2e-3), seed=None)
    with nengo.Simulator(model) as sim:
        sim.run_steps(100)
        matrix = sim.signals[sim.model.sig[model.conn]["weights"]].copy()
        gain = sim.data[model.post].gain
        frozen = learned.freeze(sim, model)
        LEARNING["on"] = False
        sim.reset()
        put(model, matrix)(sim)
        sim.clear_probes()
        sim.run_steps(200)
        expected = [sim.data[probe].copy() for probe in model.all_probes]
    assert_close(run(frozen, 200), expected)
    with nengo.Simulator(frozen) as sim:
        assert_array_equal(sim.data[frozen.post].gain, gain)


def test_copy_of_a_frozen_network():
    """A deep copy of a frozen network with solver weights gives the same data."""
    frozen = train(Model("weight solver", nengo.PES(2e-3)))[2]
    assert_close(run(frozen.copy(), 100), run(frozen, 100))


@pytest.mark.filterwarnings(NO_GAIN)
def test_neurons_with_a_gain_of_zero():
    """Solver weights to a neuron of gain 0 are fixed unchanged."""
    model = Model("weight solver", EPES(2e-2, feedback="broadcast"))
    gain = np.linspace(0.5, 3.0, N_POST)
    gain[4] = 0.0
    model.post.gain, model.post.bias = gain, np.full(N_POST, 1.1)
    with np.errstate(divide="ignore", invalid="ignore"):
        _, matrix, frozen = train(model)
        LEARNING["on"] = False
        assert np.abs(matrix[4]).max() > 0
        assert_close(run(frozen, 200), run(model, 200, put(model, matrix)))


@pytest.mark.parametrize("neurons", [False, True])
def test_policy_learned_by_reinforce(neurons):
    """The decoded values of a frozen policy trained by GaussianREINFORCE equal those
    decoded by the original network without rewards and with the weights set by hand."""
    with nengo.Network(seed=3) as model:
        wave = nengo.Node(lambda t: [np.sin(9 * t), np.cos(7 * t)])
        state = nengo.Ensemble(40, 2)
        nengo.Connection(wave, state, synapse=None)
        policy = GaussianPolicy(1, period=0.01)
        rule = GaussianREINFORCE(2e-5, n_actions=1)
        pre = {"pre": state, "function": lambda x: [-0.3, -0.3]}
        if neurons:
            pre = {"pre": state.neurons[::2], "transform": np.zeros((2, 20))}
        model.conn = nengo.Connection(**pre, post=policy.input, learning_rule_type=rule)
        port = model.conn.learning_rule
        reward = nengo.Node(
            lambda t, a: LEARNING["on"] * (1 - (a - 0.5) ** 2), size_in=1
        )
        nengo.Connection(policy.action, reward, synapse=None)
        nengo.Connection(reward, port[rule.reward], synapse=None)
        nengo.Connection(nengo.Node(1.0), port[rule.gate], synapse=None)
        nengo.Connection(policy.decision, port[rule.decision], synapse=None)
        nengo.Probe(policy.input)
    _, matrix, frozen = train(model)
    LEARNING["on"] = False
    assert_close(run(frozen, 300), run(model, 300, put(model, matrix)))
    assert all(conn.learning_rule is None for conn in frozen.all_connections)


class Encoders(nengo.Network):
    """An ensemble whose encoders Voja learns, between other connections."""

    def __init__(self, neuron_type, gain=nengo.params.Default):
        super().__init__(seed=8)
        with self:
            stimulus = nengo.Node(varying)
            self.key = nengo.Ensemble(40, 2, radius=1.5, neuron_type=neuron_type)
            other = nengo.Ensemble(30, 2, neuron_type=neuron_type)
            after = nengo.Ensemble(30, 2, neuron_type=neuron_type)
            output = nengo.Node(size_in=2)
            rule = nengo.Voja(learning_rate=1e-2)
            self.conn = nengo.Connection(stimulus, self.key, learning_rule_type=rule)
            switch = nengo.Node(lambda t: LEARNING["on"] - 1.0)
            nengo.Connection(switch, self.conn.learning_rule, synapse=None)
            solver = nengo.solvers.LstsqL2(weights=True)
            nengo.Connection(stimulus, other)
            nengo.Connection(other, self.key, solver=solver)
            nengo.Connection(self.key, after, solver=solver, function=np.square)
            nengo.Connection(self.key[0], output[1])
            nengo.Probe(self.key, synapse=0.01)
            nengo.Probe(self.key[1], synapse=0.01)
            nengo.Probe(after, synapse=0.01)
            nengo.Probe(output)
            nengo.Probe(self.key, "scaled_encoders")


@pytest.mark.filterwarnings(NO_GAIN)
@pytest.mark.parametrize("neuron_type", [nengo.LIFRate(), nengo.LIF()])
@pytest.mark.parametrize("zero", [False, True])
def test_learned_encoders(neuron_type, zero):
    """An ensemble with encoders learned by Voja is frozen with these encoders and the
    original decoders, even if a neuron has gain 0."""
    model = Encoders(neuron_type)
    if zero:
        model.key.gain, model.key.bias = np.linspace(0.0, 3.0, 40), np.full(40, 1.1)
    with np.errstate(divide="ignore", invalid="ignore"):
        with nengo.Simulator(model) as sim:
            sim.run_steps(200)
            matrix = np.array(sim.signals[sim.model.sig[model.key]["encoders"]])
            frozen = learned.freeze(sim, model)
        assert np.abs(matrix - sim.data[model.key].scaled_encoders).max() > 1e-2

        def prepare(sim):
            sim.signals[sim.model.sig[model.key]["encoders"]][...] = matrix

        LEARNING["on"] = False
        got, expected = run(frozen, 100), run(model, 100, prepare)
    assert_close(got, expected)
    assert_allclose(got[-1][0], matrix, rtol=1e-15)


def test_learned_encoders_with_max_rates_and_intercepts():
    """An ensemble with explicit max_rates and intercepts is frozen without a warning,
    with the same gains."""
    model = Encoders(nengo.LIF())
    model.key.max_rates = nengo.dists.Uniform(50, 80)
    model.key.intercepts = nengo.dists.Uniform(-0.5, 0.5)
    with nengo.Simulator(model) as sim:
        sim.run_steps(5)
        frozen = learned.freeze(sim, model)
    with nengo.Simulator(frozen) as other:
        assert_array_equal(other.data[frozen.key].gain, sim.data[model.key].gain)


def nested():
    """Return a network that contains a `Model` and adds 0 to its input."""
    with nengo.Network(seed=2) as outer:
        outer.zero = nengo.Node([0.0, 0.0])
        outer.ens = nengo.Ensemble(20, 2)
        outer.part = Model("ensemble to node", nengo.PES(2e-3), seed=None)
        nengo.Connection(outer.zero, outer.part.pre, synapse=None)
        nengo.Connection(outer.part.output, outer.ens)
    return outer


def test_noise_is_the_same_in_each_simulator():
    """Two simulators of a frozen network without a seed draw the same noise."""
    model = Model("ensemble to node", nengo.PES(2e-3), seed=None)
    with model:
        nengo.Probe(nengo.Node(nengo.processes.WhiteNoise()))
    frozen = train(model)[2]
    assert_close(run(frozen, 20), run(frozen, 20))


def test_part_of_a_network():
    """A subnetwork is frozen without the connections from outside."""
    outer = nested()
    with outer.part:  # belongs to the subnetwork, but its post object is outside
        nengo.Connection(outer.zero, outer.part.post, synapse=None)
        nengo.Probe(outer.zero)
    with nengo.Simulator(outer) as sim:
        sim.run_steps(150)
        matrix = sim.signals[sim.model.sig[outer.part.conn]["weights"]].copy()
        frozen = learned.freeze(sim, outer.part)
    LEARNING["on"] = False
    expected = run(outer, 200, put(outer.part, matrix))
    assert outer.all_probes == outer.part.probes
    assert len(frozen.connections) == 3
    assert_close(run(frozen, 200), expected[:-1])


def test_network_of_networks():
    """The network that contains a learning subnetwork is frozen as a whole."""
    outer = nested()
    with nengo.Simulator(outer) as sim:
        sim.run_steps(150)
        matrix = sim.signals[sim.model.sig[outer.part.conn]["weights"]].copy()
        frozen = learned.freeze(sim, outer)
    LEARNING["on"] = False
    assert frozen.part in frozen.networks
    assert_close(run(frozen, 200), run(outer, 200, put(outer.part, matrix)))


def test_learned_connection_that_leads_out():
    """A subnetwork with a learned connection to an outside object is refused."""
    outer = nested()
    with outer.part:
        rule = nengo.PES()
        nengo.Connection(outer.ens, outer.part.post, learning_rule_type=rule, label="L")
    with nengo.Simulator(outer) as sim:
        with pytest.raises(ValueError, match=r"<Connection L>: .*both of its ends"):
            learned.freeze(sim, outer.part)
        learned.freeze(sim, outer)


def test_network_of_another_simulator():
    """A network of another simulator is refused, and so is an object added after the
    build."""
    model, other = (Model("ensemble to node", nengo.PES()) for _ in range(2))
    with nengo.Simulator(model) as sim:
        with pytest.raises(ValueError, match="not built in this simulator"):
            learned.freeze(sim, other)
        with model:
            nengo.Node(0.0, label="late")
        with pytest.raises(ValueError, match=r"late.*not built in this simulator"):
            learned.freeze(sim, model)


def test_freeze_inside_of_another_network():
    """Freezing inside a `with` block adds nothing to the network of the block."""
    model = Model("ensemble to node", nengo.PES())
    with nengo.Simulator(model) as sim, nengo.Network() as around:
        around.config[nengo.Connection].synapse = None
        frozen = learned.freeze(sim, model)
    assert not around.all_objects
    assert frozen.conn.synapse == model.conn.synapse


def test_weights_that_are_not_finite_cannot_be_frozen():
    """A NaN in a learned weight is refused with the name of the connection."""
    model = Model("ensemble to node", nengo.PES())
    with nengo.Simulator(model) as sim:
        put(model, np.nan)(sim)
        with pytest.raises(ValueError, match=r"<Connection from .* NaN or infinite"):
            learned.freeze(sim, model)


# weights


@pytest.mark.parametrize("kind", DECODED + WEIGHTS)
def test_weights_are_current(kind):
    """The weights after n steps equal the weights that a probe recorded in step n."""
    model = Model(kind, nengo.PES(2e-3))
    with nengo.Simulator(model) as sim:
        sim.run_steps(40)
        got = learned.weights(sim, model.conn)
        assert_array_equal(got, sim.data[model.all_probes[-1]][-1])
        assert not np.array_equal(got, sim.data[model.conn].weights)
        got[...] = 7.0  # a copy
        assert not (learned.weights(sim, model.conn) == 7.0).any()


def test_weights_of_a_closed_simulator():
    """Reading, saving, loading and freezing after close() are refused; the message says
    to do it before."""
    model = Model("ensemble to node", nengo.PES())
    with nengo.Simulator(model) as sim:
        pass
    for use in (
        lambda: learned.weights(sim, model.conn),
        lambda: learned.save(sim, "file.npz"),
        lambda: learned.load(sim, "file.npz"),
        lambda: learned.freeze(sim, model),
    ):
        with pytest.raises(SimulatorClosed, match=r"before close\(\).*`with` block"):
            use()


def test_what_has_no_weights():
    """Connections of other networks, and connections without a dense 2-D matrix, are
    refused."""
    other = Model("ensemble to node", nengo.PES())
    with nengo.Network() as net:
        a, b = nengo.Node([1.0, 2.0]), nengo.Node(size_in=2)
        plain = nengo.Connection(a, b)
        scalar = nengo.Connection(a, b, transform=2.0)
        sparse = nengo.Sparse((2, 2), indices=[(0, 1)], init=1.0)
        sparse = nengo.Connection(a, b, transform=sparse)
    with nengo.Simulator(net) as sim:
        with pytest.raises(ValueError, match="not in the simulated network"):
            learned.weights(sim, other.conn)
        with pytest.raises(ValueError, match=r"2-D matrix \(got None\)"):
            learned.weights(sim, plain)
        with pytest.raises(ValueError, match=r"2-D matrix \(got .*shape=\(\)"):
            learned.weights(sim, scalar)
        with pytest.raises(ValueError, match=r"2-D matrix \(got "):
            learned.weights(sim, sparse)


# save and load


def many_rules(seed=4, n_neurons=25, n_nodes=2, extra=False):
    """Return a network with rules as single rule, list, dict, and on encoders."""
    with nengo.Network(seed=seed) as net:
        stimulus, one = nengo.Node(varying), nengo.Node(1.0)
        pre, post = nengo.Ensemble(n_neurons, 2), nengo.Ensemble(20, 2)
        node, out = nengo.Node(size_in=2), nengo.Node(size_in=n_nodes)
        nengo.Connection(stimulus, pre, synapse=None)
        rules = [nengo.PES(1e-3), nengo.PES(2e-3, pre_synapse=0.05)]
        several = {"error": nengo.PES(1e-3), "key": nengo.Voja(learning_rate=1e-2)}
        weights = random_weights(20, n_neurons)
        first = nengo.Connection(pre, node, learning_rule_type=rules, label="list")
        second = nengo.Connection(pre, post, learning_rule_type=several, label="dict")
        epes = EPES(1e-2, feedback="broadcast")
        third = nengo.Connection(
            pre.neurons, post.neurons, transform=weights, learning_rule_type=epes
        )
        fourth = nengo.Connection(
            post, out, function=lambda x: [0] * n_nodes, learning_rule_type=nengo.RLS()
        )
        for port in (*first.learning_rule, second.learning_rule["error"]):
            nengo.Connection(stimulus, port, synapse=None)
        nengo.Connection(one, third.learning_rule[epes.td_error], synapse=None)
        nengo.Connection(one, third.learning_rule[epes.eligibility], synapse=None)
        error = np.ones((n_nodes, 1))
        nengo.Connection(one, fourth.learning_rule, transform=error, synapse=None)
        if extra:
            solver = nengo.solvers.LstsqL2(weights=True)
            nengo.Connection(pre, post, learning_rule_type=nengo.BCM(), solver=solver)
        net.post, net.learned = post, [first, second, third, fourth]
    return net


def arrays(sim, net):
    """Return everything that a network of `many_rules` has learned, read directly from
    the signals."""
    found = [sim.signals[sim.model.sig[conn]["weights"]] for conn in net.learned]
    return [
        np.array(a) for a in (*found, sim.signals[sim.model.sig[net.post]["encoders"]])
    ]


def trained(net, path, steps=60):
    """Train a network, save it, and return the learned arrays."""
    with nengo.Simulator(net) as sim:
        sim.run_steps(steps)
        learned.save(sim, path)
        return arrays(sim, net)


def assert_all_equal(got, expected):
    for one, other in zip(got, expected, strict=True):
        assert_array_equal(one, other)


def test_load_into_another_simulator(tmp_path):
    """Arrays saved in mid-run and loaded into a new simulator are equal bit for bit,
    for every kind of rule and for learned encoders."""
    net, path = many_rules(), tmp_path / "model.npz"
    expected = trained(net, path)
    with nengo.Simulator(net) as sim:
        for before, after in zip(arrays(sim, net), expected, strict=True):
            assert not np.array_equal(before, after)
        learned.load(sim, path)
        assert_all_equal(arrays(sim, net), expected)


def test_saving_changes_nothing(tmp_path):
    """A run that is saved after every step has the weights of an undisturbed run, to
    rounding."""
    net = many_rules()
    with nengo.Simulator(net, optimize=False) as sim:
        sim.run_steps(30)
        expected = arrays(sim, net)
    with nengo.Simulator(net, optimize=False) as sim:
        for _ in range(30):
            sim.step()
            learned.save(sim, tmp_path / "model.npz")
        for one, other in zip(arrays(sim, net), expected, strict=True):
            assert_allclose(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("rule", [nengo.BCM, nengo.Oja, nengo.PES, nengo.RLS])
def test_rules_of_nengo(rule, tmp_path):
    """The weights learned by each of Nengo's own rules are saved and loaded."""
    kind = "weight solver" if rule in (nengo.BCM, nengo.Oja) else "ensemble to node"
    with nengo.Network(seed=1) as net:
        stimulus, pre = nengo.Node(varying), nengo.Ensemble(N_PRE, 2)
        nengo.Connection(stimulus, pre, synapse=None)
        post, node = nengo.Ensemble(N_POST, 2), nengo.Node(size_in=2)
        arguments = ends(kind, pre, post, node)
        conn = nengo.Connection(**arguments, learning_rule_type=rule())
        if conn.learning_rule.size_in:
            nengo.Connection(stimulus, conn.learning_rule)
    with nengo.Simulator(net) as sim:
        sim.run_steps(50)
        learned.save(sim, tmp_path / "model")
        expected = np.array(sim.signals[sim.model.sig[conn]["weights"]])
    with nengo.Simulator(net) as sim:
        got = sim.signals[sim.model.sig[conn]["weights"]]
        assert not np.array_equal(got, expected)
        learned.load(sim, tmp_path / "model")
        assert_array_equal(got, expected)


def test_another_network_of_the_same_shape(tmp_path):
    """Weights can be loaded into a network with another seed, label and dt. Each of the
    four connections gives a warning that its pre neurons differ."""
    path = tmp_path / "model.npz"
    expected = trained(many_rules(), path)
    other = many_rules(seed=99)
    other.learned[0].label = "another"
    with nengo.Simulator(other, dt=0.0005) as sim:
        sim.run_steps(7)
        with pytest.warns(NengoWarning) as caught:
            learned.load(sim, path)
        assert_all_equal(arrays(sim, other), expected)
    for conn, warning in zip(other.learned, caught, strict=True):
        assert f"{conn}: the pre neurons differ" in str(warning.message)
        assert "set seed= on the ensemble" in str(warning.message)


def one_ensemble(n_before=0, seed=0, neurons=False, **options):
    """Return a network in which one ensemble learns after `n_before` others."""
    with nengo.Network(seed=seed) as net:
        for _ in range(n_before):
            nengo.Ensemble(10, 1)
        pre, node = nengo.Ensemble(N_PRE, 2, **options), nengo.Node(size_in=2)
        kind = "neurons to node" if neurons else "ensemble to node"
        arguments = ends(kind, pre, None, node)
        nengo.Connection(**arguments, learning_rule_type=nengo.PES())
    return net


TUNING = {
    "gain": np.linspace(1, 2, N_PRE),
    "bias": np.linspace(1.1, 2, N_PRE),
    "encoders": np.random.RandomState(6).normal(size=(N_PRE, 2)),
}


@pytest.mark.parametrize("neurons", [False, True])
@pytest.mark.parametrize(
    ("before", "after", "differ"),
    [
        ({}, {}, False),
        ({}, {"seed": 1}, True),
        ({}, {"n_before": 2}, True),
        ({"seed": 1, **TUNING}, {"seed": 2, **TUNING}, False),
        (TUNING, {**TUNING, "gain": TUNING["gain"] * 1.001}, True),
        (TUNING, {**TUNING, "bias": TUNING["bias"] + 0.001}, True),
        (TUNING, {**TUNING, "encoders": -TUNING["encoders"]}, True),
        (TUNING, {**TUNING, "radius": 1.001}, True),
    ],
)
def test_neurons_that_did_not_learn(before, after, differ, neurons, tmp_path):
    """`load` warns if and only if gain, bias or scaled encoders of the pre neurons
    differ from those of the saved network."""
    path = tmp_path / "model.npz"
    with nengo.Simulator(one_ensemble(neurons=neurons, **before)) as sim:
        learned.save(sim, path)
    with nengo.Simulator(one_ensemble(neurons=neurons, **after)) as sim:
        if differ:
            with pytest.warns(NengoWarning, match="pre neurons differ"):
                learned.load(sim, path)
        else:
            learned.load(sim, path)  # a warning would be an error


def test_seed_of_an_ensemble_keeps_its_neurons(tmp_path):
    """An ensemble with its own seed keeps its neurons in another network."""
    path, options = tmp_path / "model.npz", {"n_before": 3, "seed": 5}
    found = [one_ensemble(), one_ensemble(**options)]
    for net in found:
        net.connections[0].pre_obj.seed = 7
    with nengo.Simulator(found[0]) as sim:
        learned.save(sim, path)
    with nengo.Simulator(found[1]) as sim:
        learned.load(sim, path)  # a warning would be an error


def test_files_without_a_hash(tmp_path):
    """A file that stores no hash of the pre neurons loads without a warning."""
    path = tmp_path / "model.npz"
    with nengo.Simulator(one_ensemble()) as sim:
        learned.save(sim, path)
    header, stored = archive.read(path, learned.KIND)
    assert all(entry.pop("pre_tuning") for entry in header["learned"])
    archive.write(path, learned.KIND, header, stored)
    with nengo.Simulator(one_ensemble(seed=1)) as sim:
        learned.load(sim, path)  # a warning would be an error


def test_load_into_a_network_without_rules(tmp_path):
    """A load into a network without learning rules is refused; the message names the
    way, which is `freeze`."""
    path = tmp_path / "model.npz"
    trained(many_rules(), path)
    with nengo.Network() as net:
        nengo.Connection(nengo.Ensemble(25, 2), nengo.Node(size_in=2))
    match = "no connection of the network has a learning rule.*learned.freeze"
    with refused(net, match) as sim:
        learned.load(sim, path)


@pytest.mark.parametrize("bits", ["32", "64"])
def test_precision_is_converted(bits, tmp_path):
    """Weights saved in 32 or 64 bits are converted to the precision of the
    simulator."""
    net, path = Model("ensemble to node", nengo.PES(2e-3)), tmp_path / "model.npz"
    nengo.rc["precision"]["bits"] = bits
    with nengo.Simulator(net) as sim:
        sim.run_steps(50)
        learned.save(sim, path)
        saved = sim.signals[sim.model.sig[net.conn]["weights"]].copy()
    nengo.rc["precision"]["bits"] = {"32": "64", "64": "32"}[bits]
    with nengo.Simulator(net) as sim:
        learned.load(sim, path)
        got = sim.signals[sim.model.sig[net.conn]["weights"]].copy()
    assert {str(saved.dtype), str(got.dtype)} == {"float32", "float64"}
    assert_array_equal(got, saved.astype(got.dtype))


@pytest.mark.parametrize("optimize", [True, False])
def test_pending_change_is_dropped(optimize, tmp_path):
    """A weight change computed before a load is not added after it."""
    net, path = many_rules(), tmp_path / "model.npz"
    pes_and_voja, encoders = net.learned[:2], -1
    expected = trained(net, path)
    with nengo.Simulator(net, optimize=optimize) as sim:
        sim.run_steps(5)
        rules = [
            *pes_and_voja[0].learning_rule,
            *pes_and_voja[1].learning_rule.values(),
        ]
        deltas = [sim.model.sig[rule]["delta"] for rule in rules]
        assert all(sim.signals[delta].any() for delta in deltas)
        learned.load(sim, path)
        sim.step()
        got = arrays(sim, net)
    for index in (0, 1, encoders):
        assert_array_equal(got[index], expected[index])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("model.npz", str), ("model", pathlib.Path), ("model.npz.1", pathlib.Path)],
)
def test_name_of_the_file(name, kind, tmp_path):
    """The file has exactly the given name, and no other file remains."""
    path = tmp_path / name
    expected = trained(net := many_rules(), kind(path))
    assert list(tmp_path.iterdir()) == [path]
    with nengo.Simulator(net) as sim:
        learned.load(sim, kind(path))
        assert_all_equal(arrays(sim, net), expected)


def test_file_is_plain(tmp_path):
    """The file is an .npz that numpy reads without pickles; its JSON header names each
    learned connection."""
    expected = trained(net := many_rules(), tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        header = json.loads(file["header"].tobytes().decode())["header"]
        stored = [file[f"array{i}"] for i in range(5)]
    first, second, third, fourth, encoders = expected
    assert_all_equal(stored, [first, second, encoders, third, fourth])
    assert [entry["index"] for entry in header["learned"]] == [0, 1, 1, 2, 3]
    assert header["learned"][0]["label"] == "<Connection list>"
    assert header["learned"][3]["label"] == str(net.learned[2])
    for entry, array in zip(header["learned"], stored, strict=True):
        assert tuple(entry["shape"]) == array.shape


def test_nothing_to_save(tmp_path):
    """Saving a network without learning rules is refused, and no file is written."""
    with nengo.Network() as net:
        nengo.Connection(nengo.Node(1.0), nengo.Ensemble(10, 1))
    with nengo.Simulator(net) as sim, pytest.raises(ValueError, match="no connection"):
        learned.save(sim, tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_old_file_survives_a_failed_write(step, tmp_path, monkeypatch):
    """A write that fails keeps the old file and leaves no other."""
    path = tmp_path / "model.npz"
    trained(many_rules(), path)
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        trained(many_rules(), path, steps=3)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@contextlib.contextmanager
def refused(net, match):
    """Assert that a load into a network is refused and changes nothing."""
    with nengo.Simulator(net) as sim:
        sim.run_steps(3)
        before = {signal: np.array(sim.signals[signal]) for signal in sim.signals}
        with pytest.raises(ValueError, match=match):
            yield sim
        for signal, value in before.items():
            assert_array_equal(sim.signals[signal], value)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        # the last one that is checked, so that all before it would fit
        ({"n_nodes": 3}, r"<Connection from .*\(3, 20\).*<Connection from.*\(2, 20\)"),
        (
            {"n_neurons": 26},
            r"<Connection list>.*\(2, 26\).*list>.*\(2, 25\).*same shapes",
        ),
        ({"extra": True}, "stores 5 learned arrays, but the network has 6"),
    ],
)
def test_another_shape(options, match, tmp_path):
    """A network of another shape is refused by name, with both shapes, and not
    changed."""
    trained(many_rules(), tmp_path / "model.npz")
    with refused(many_rules(**options), match) as sim:
        learned.load(sim, tmp_path / "model.npz")


def test_encoders_are_not_weights(tmp_path):
    """Encoders are not loaded as weights of the same shape."""
    found = []
    for rule in (nengo.Voja(), nengo.PES()):
        with nengo.Network() as net:
            pre, post = nengo.Ensemble(2, 2, seed=0), nengo.Ensemble(2, 2, seed=0)
            nengo.Connection(pre, post, learning_rule_type=rule, label=f"{rule}")
        found.append(net)
    with nengo.Simulator(found[0]) as sim:
        learned.save(sim, tmp_path / "model.npz")
    match = r"PES.*weights of shape \(2, 2\).*Voja.*encoders of shape \(2, 2\)"
    with refused(found[1], match) as sim:
        learned.load(sim, tmp_path / "model.npz")


def test_order_of_the_connections(tmp_path):
    """Weights and encoders learned on one connection are not loaded into two
    connections."""
    found = []
    for rules in ([[nengo.PES(), nengo.Voja()]], [nengo.PES(), nengo.Voja()]):
        with nengo.Network(seed=0) as net:
            pre, post = nengo.Ensemble(9, 2), nengo.Ensemble(7, 2)
            for rule in rules:
                nengo.Connection(pre, post, learning_rule_type=rule)
        found.append(net)
    with nengo.Simulator(found[0]) as sim:
        learned.save(sim, tmp_path / "model.npz")
    with refused(found[1], r"encoders of shape \(7, 2\): .*the same order") as sim:
        learned.load(sim, tmp_path / "model.npz")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_not_saved(value, tmp_path):
    """`save` refuses NaN and infinity by name and keeps an existing file."""
    net, path = Model("ensemble to node", nengo.PES(2e-3)), tmp_path / "model.npz"
    with nengo.Simulator(net) as sim:
        learned.save(sim, path)
        before = path.read_bytes()
        put(net, value)(sim)
        with pytest.raises(ValueError, match=r"<Connection from .*NaN or infinite"):
            learned.save(sim, path)
    assert path.read_bytes() == before


def test_values_beyond_the_precision_are_not_loaded(tmp_path):
    """A value that overflows the precision of the simulator is refused by name."""
    net = Model("ensemble to node", nengo.PES(2e-3))
    with nengo.Simulator(net) as sim:
        put(net, 1e300)(sim)
        learned.save(sim, tmp_path / "model.npz")
    nengo.rc["precision"]["bits"] = "32"
    with refused(net, r"<Connection from .*NaN or infinite") as sim:
        learned.load(sim, tmp_path / "model.npz")


class Bomb:
    """Object that writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_are_not_loaded(tmp_path):
    """A pickle in place of an array, of the header or of the file runs no code."""
    net, good = Model("ensemble to node", nengo.PES(2e-3)), tmp_path / "good.npz"
    with nengo.Simulator(net) as sim:
        learned.save(sim, good)
    with np.load(good) as file:
        members = dict(file)
    bomb = np.array([Bomb(tmp_path / "exploded")], dtype=object)
    for name in members:
        np.savez(tmp_path / f"{name}.npz", **{**members, name: bomb})
    np.save(tmp_path / "array.npy", bomb)
    (tmp_path / "pickle").write_bytes(pickle.dumps(bomb[0]))
    crafted = sorted(set(tmp_path.iterdir()) - {good})
    assert len(crafted) == len(members) + 2
    for path in crafted:
        with refused(net, f"{path}: not an intact file of the kind") as sim:
            learned.load(sim, path)
    assert not (tmp_path / "exploded").exists()
    pickle.loads((tmp_path / "pickle").read_bytes())
    assert (tmp_path / "exploded").exists()  # the bomb works


@pytest.mark.parametrize(
    "content", ["", "text", "npy", "npz", "zip", "json", "version"]
)
def test_other_files(content, tmp_path):
    """A file that this version of `save` did not write is refused by name."""
    net, path = Model("ensemble to node", nengo.PES()), tmp_path / "model.npz"
    if content == "npy":
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    elif content == "npz":
        np.savez(path, weights=np.ones((2, N_PRE)))
    elif content == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("header.npy", b"no array")
    elif content in ("json", "version"):
        header = {"kind": "nengo_epes-learned", "version": 2}
        text = json.dumps([] if content == "json" else header).encode()
        np.savez(path, header=np.frombuffer(text, np.uint8))
    else:
        path.write_text(content)
    match = "version 2" if content == "version" else "not an intact file"
    with refused(net, f"{path}: .*{match}") as sim:
        learned.load(sim, path)


def test_missing_file(tmp_path):
    """A missing file raises FileNotFoundError."""
    with nengo.Simulator(Model("ensemble to node", nengo.PES())) as sim:
        with pytest.raises(FileNotFoundError):
            learned.load(sim, tmp_path / "none.npz")


def test_swapped_arrays_of_the_same_file(tmp_path):
    """The checksum detects an array in place of another one of the same shape."""
    net, path = Model("ensemble to node", nengo.PES()), tmp_path / "model.npz"
    with nengo.Simulator(net) as sim:
        learned.save(sim, path)
    with np.load(path) as file:
        members = dict(file)
    members["array0"] = members["array0"] + 1.0
    np.savez(path, **members)
    with refused(net, "wrong checksum") as sim:
        learned.load(sim, path)


@pytest.mark.parametrize("dtype", [str, complex, int])
def test_arrays_that_are_not_floating_point(dtype, tmp_path):
    """A crafted file with a correct checksum but another dtype is refused."""
    net, path = Model("ensemble to node", nengo.PES()), tmp_path / "model.npz"
    with nengo.Simulator(net) as sim:
        learned.save(sim, path)
    with np.load(path) as file:
        members = dict(file)
    array = members["array0"] = np.full((2, N_PRE), 1).astype(dtype)
    described = f"{array.dtype.str}{array.shape}".encode()
    content = members["header"].tobytes() + described + array.tobytes()
    members["sha256"] = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
    np.savez(path, **members)
    with refused(net, "not floating-point|not of numbers") as sim:
        learned.load(sim, path)
