"""Nodes that watch a learning rule: they show what probes record."""

import pickle

import nengo
import numpy as np
import pytest
from harness import Sines, connect, drive
from nengo.exceptions import BuildError, SimulationError, ValidationError
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes import EPES, GaussianREINFORCE
from nengo_epes.networks import GaussianPolicy
from nengo_epes.watching import Watching, watch

NAMES = ("weights", "eligibility_trace", "delta", "td_error", "activities")
# kind of connection, and settings of the rule
CASES = {
    "decoders": ("node", {}),
    "dutch": ("node", {"trace_type": "dutch"}),
    "bounded": ("node", {"weight_bounds": (-1e-3, 1e-3)}),
    "neurons": ("neurons", {}),
    "Alpha": ("neurons", {"trace_synapse": nengo.Alpha(0.02)}),
}


def network(case, watched=()):
    """Make a network that learns, with probes of what is watched in it, or of all."""
    kind, options = CASES[case]
    rule = EPES(
        **{"learning_rate": 1e-5, "trace_synapse": 0.05, "size_eligibility": 2}
        | options
    )
    with nengo.Network(seed=1) as net:
        # a Node is built before the connection, also if it stands above it
        with nengo.Network() as inner:
            net.conn = connect(kind, rule, seed=1, neuron_type=nengo.LIF())
            drive(net.conn, td_error=Sines(1, 5), eligibility=Sines(2, 6))
        for name in NAMES:
            owner = net.conn if name == "weights" else net.conn.learning_rule
            nengo.Probe(owner, name, label=name)
        with inner if case == "dutch" else net:
            for name in watched:
                seen = watch(net.conn, name)
                shown = nengo.Node(size_in=1)
                nengo.Connection(seen, shown, synapse=None)
                nengo.Probe(shown, label=f"watched {name}")
    return net


def recorded(sim, net):
    return {probe.label: sim.data[probe].copy() for probe in net.all_probes}


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_shows_what_a_probe_records(case, optimize):
    """A Node that watches has the norm of what a probe recorded a step earlier,
    before and after a reset, and the same is learned as where nobody watches."""
    with nengo.Simulator(network(case)) as sim:
        sim.run_steps(60)
        unwatched = {probe.label: sim.data[probe] for probe in sim.model.probes}
    net = network(case, NAMES)
    with nengo.Simulator(net, optimize=optimize) as sim:
        for _ in range(2):
            sim.run_steps(60)
            data = recorded(sim, net)
            for name in NAMES:
                expected = data[name].reshape(60, -1)
                if expected.shape[1] > 1:
                    expected = np.linalg.norm(expected, axis=1, keepdims=True)
                assert np.abs(expected).max() > 0
                # sums of squares may be added up in another order
                assert_allclose(
                    data[f"watched {name}"][1:], expected[:-1], rtol=1e-13, atol=0
                )
                scale = np.abs(unwatched[name]).max()
                # two builds add up in another order
                assert_allclose(data[name], unwatched[name], atol=1e-12 * scale)
            sim.reset()


def test_goes_on_after_pickling():
    """A pickled simulator goes on watching, bit for bit."""
    net = network("decoders", NAMES)
    with nengo.Simulator(net, optimize=False) as sim:
        sim.run_steps(20)
        with pickle.loads(pickle.dumps(sim)) as copy:
            sim.run_steps(20)
            copy.run_steps(20)
            for one, other in zip(sim.model.probes, copy.model.probes, strict=True):
                assert_array_equal(sim.data[one], copy.data[other])


def test_other_rules():
    """PES, one of two rules, and GaussianREINFORCE can be watched."""
    rule = GaussianREINFORCE(1e-3)
    with nengo.Network(seed=0) as net:
        source = nengo.Node(Sines(1, 0))
        pre = nengo.Ensemble(20, 1)
        nengo.Connection(source, pre, synapse=None)
        node = nengo.Node(size_in=1)
        two = {"pes": nengo.PES(1e-3), "slow": nengo.PES(1e-4)}
        taught = nengo.Connection(pre, node, learning_rule_type=two)
        nengo.Connection(source, taught.learning_rule["pes"])
        policy = GaussianPolicy(period=0.005, seed=0)
        acts = nengo.Connection(
            pre, policy.input, function=lambda x: [0, 0], learning_rule_type=rule
        )
        port = acts.learning_rule
        nengo.Connection(policy.action, port[rule.reward], synapse=None)
        nengo.Connection(nengo.Node(1.0), port[rule.gate], synapse=None)
        nengo.Connection(policy.decision, port[rule.decision], synapse=None)
        pairs = []
        for obj, name in (
            (taught.learning_rule["pes"], "delta"),
            (taught, "weights"),
            (port, "delta"),
            (port, "action"),
            (port, "accumulated_gradients"),
        ):
            shown = nengo.Node(size_in=1)
            nengo.Connection(watch(obj, name, label="seen"), shown, synapse=None)
            pairs.append((nengo.Probe(obj, name), nengo.Probe(shown)))
    with nengo.Simulator(net) as sim:
        sim.run_steps(40)
        for probe, seen in pairs:
            expected = sim.data[probe].reshape(40, -1)
            if expected.shape[1] > 1:
                expected = np.linalg.norm(expected, axis=1, keepdims=True)
            assert np.abs(expected).max() > 0
            assert_allclose(sim.data[seen][1:], expected[:-1], rtol=1e-13, atol=0)


def test_reduce():
    """A function of the user's makes as many numbers as are asked for."""
    with network("decoders") as net:
        rows = watch(net.conn, "eligibility_trace", lambda e: e.mean(axis=1), 2)
        shown = nengo.Node(size_in=2)
        nengo.Connection(rows, shown, synapse=None)
        seen = nengo.Probe(shown)
        trace = nengo.Probe(net.conn.learning_rule, "eligibility_trace")
    with nengo.Simulator(net) as sim:
        sim.run_steps(30)
    assert_allclose(sim.data[seen][1:], sim.data[trace][:-1].mean(axis=2))


def test_cannot_change_what_it_sees():
    """A function that writes to what it is given is stopped."""

    def empty(trace):
        trace[...] = 0
        return 0.0

    with network("decoders") as net:
        watch(net.conn, "eligibility_trace", empty)
    with (
        nengo.Simulator(net) as sim,
        pytest.raises(ValueError, match="read-only"),
    ):
        sim.step()


def test_refuses_what_is_not_there():
    """What cannot be watched is refused, with what can be."""
    net = network("decoders")
    other = network("decoders")
    with net:
        with pytest.raises(ValidationError, match=r"no 'trace'.*eligibility_trace"):
            watch(net.conn, "trace")
        with pytest.raises(ValidationError, match="learns by one rule"):
            watch(nengo.Node(0.0), "weights")
        with pytest.raises(ValidationError, match="must be a function"):
            watch(net.conn, "weights", "norm")
        node = watch(net.conn, "weights", lambda w: w.sum(axis=1))
    with pytest.raises(BuildError, match=r"reduce makes 2 numbers.*Node has 1"):
        nengo.Simulator(net)
    node.output = Watching(net.conn, "weights", lambda w: None, 1)
    with pytest.raises(BuildError, match=r"reduce makes 0 numbers"):
        nengo.Simulator(net)
    with pytest.raises(SimulationError, match="takes no slider"):
        node.output.run(0.01)
    sparse = nengo.Sparse((1, 1), init=[1.0], indices=[[0, 0]])
    with nengo.Network() as thin:
        watch(
            nengo.Connection(nengo.Node(1), nengo.Node(None, 1), transform=sparse),
            "weights",
        )
    with pytest.raises(BuildError, match="sparse weights"):
        nengo.Simulator(thin)
    with other:
        watch(net.conn, "delta")
    with pytest.raises(BuildError, match="of the same network"):
        nengo.Simulator(other)
