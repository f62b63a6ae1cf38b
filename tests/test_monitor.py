"""Nodes that show a signal of a learning rule: their values equal the data of
probes."""

import pickle

import nengo
import numpy as np
import pytest
from harness import Sines, connect, drive
from nengo.exceptions import BuildError, ValidationError
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes import EPES, GaussianREINFORCE
from nengo_epes.gui.monitor import monitor
from nengo_epes.networks import GaussianPolicy

NAMES = ("weights", "eligibility_trace", "delta", "td_error", "activities")
# kind of connection, and settings of the rule
CASES = {
    "decoders": ("node", {}),
    "bounded": ("node", {"weight_bounds": (-1e-3, 1e-3)}),
    "Alpha": ("neurons", {"trace_synapse": nengo.Alpha(0.02)}),
}


def probe_behind(node):
    """Probe a Node through a Connection from it."""
    shown = nengo.Node(size_in=node.size_out)
    nengo.Connection(node, shown, synapse=None)
    return nengo.Probe(shown)


def network(case="decoders", shown=()):
    """Make a network that learns, with probes of the signals and of the monitors."""
    kind, options = CASES[case]
    options = {"trace_synapse": 0.05, "size_eligibility": 2} | options
    rule = EPES(1e-5, **options)
    with nengo.Network(seed=1) as net:
        # monitors in an inner network are built before the connection
        with nengo.Network() as inner:
            net.conn = connect(kind, rule, seed=1, neuron_type=nengo.LIF())
            drive(net.conn, td_error=Sines(1, 5), eligibility=Sines(2, 6))
        for name in NAMES:
            owner = net.conn if name == "weights" else net.conn.learning_rule
            nengo.Probe(owner, name, label=name)
        with inner if case == "bounded" else net:
            for name in shown:
                probe_behind(monitor(net.conn, name)).label = f"shown {name}"
    return net


def number_or_norm(recorded):
    """Return the entry of each step, or the norm if there are several."""
    rows = recorded.reshape(len(recorded), -1)
    many = rows.shape[1] > 1
    return np.linalg.norm(rows, axis=1, keepdims=True) if many else rows


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_shows_what_a_probe_recorded_one_step_earlier(case, optimize):
    """A monitor shows the norm of the signal of the previous step, before and after a
    reset, and does not change what the rule learns."""
    with nengo.Simulator(network(case)) as sim:
        sim.run_steps(60)
        alone = {probe.label: sim.data[probe] for probe in sim.model.probes}
    net = network(case, NAMES)
    with nengo.Simulator(net, optimize=optimize) as sim:
        for _ in range(2):
            sim.run_steps(60)
            data = {probe.label: sim.data[probe] for probe in net.all_probes}
            for name in NAMES:
                expected = number_or_norm(data[name])
                assert np.abs(expected).max() > 0
                # sums of squares may be added up in another order
                shown = data[f"shown {name}"]
                assert_allclose(shown[1:], expected[:-1], rtol=1e-13, atol=0)
                scale = np.abs(alone[name]).max()
                # two builds may add in another order
                assert_allclose(data[name], alone[name], atol=1e-12 * scale)
            sim.reset()


def test_pickled_simulator():
    """A pickled simulator with monitors continues bit for bit."""
    with nengo.Simulator(network(shown=NAMES), optimize=False) as sim:
        sim.run_steps(20)
        with pickle.loads(pickle.dumps(sim)) as copy:
            sim.run_steps(20)
            copy.run_steps(20)
            for one, other in zip(sim.model.probes, copy.model.probes, strict=True):
                assert_array_equal(sim.data[one], copy.data[other])


def test_other_rules():
    """Monitors work with PES, with one of two rules, and with GaussianREINFORCE."""
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
        cases = (
            (taught.learning_rule["pes"], "delta"),
            (taught, "weights"),
            (port, "delta"),
            (port, "action"),
            (port, "accumulated_gradients"),
        )
        pairs = [
            (nengo.Probe(obj, name), probe_behind(monitor(obj, name, label="seen")))
            for obj, name in cases
        ]
    with nengo.Simulator(net) as sim:
        sim.run_steps(40)
        for probe, shown in pairs:
            expected = number_or_norm(sim.data[probe])
            assert np.abs(expected).max() > 0
            assert_allclose(sim.data[shown][1:], expected[:-1], rtol=1e-13, atol=0)


def test_reduce():
    """A reduce function must return size_out numbers, and gets a read-only array."""

    def clear(trace):
        trace[...] = 0
        return 0.0

    with network() as net:
        rows = monitor(net.conn, "eligibility_trace", lambda e: e.mean(axis=1), 2)
        shown = probe_behind(rows)
        trace = nengo.Probe(net.conn.learning_rule, "eligibility_trace")
    with nengo.Simulator(net) as sim:
        sim.run_steps(30)
    assert_allclose(sim.data[shown][1:], sim.data[trace][:-1].mean(axis=2))
    with net:
        monitor(net.conn, "eligibility_trace", clear)
    with (
        nengo.Simulator(net) as sim,
        pytest.raises(ValueError, match="read-only"),
    ):
        sim.step()


def test_errors():
    """Unknown signals, objects that do not learn, other networks and other sizes are
    refused."""
    net, other = network(), network()
    with net:
        with pytest.raises(ValidationError, match=r"no 'trace'.*eligibility_trace"):
            monitor(net.conn, "trace")
        fixed = nengo.Connection(nengo.Node(0.0), nengo.Node(size_in=1))
        for obj in (nengo.Node(0.0), fixed):
            with pytest.raises(ValidationError, match="learns by one rule"):
                monitor(obj, "delta")
        monitor(net.conn, "weights", lambda w: w.sum(axis=1))
    with pytest.raises(BuildError, match=r"reduce returns 2 numbers.*size_out is 1"):
        nengo.Simulator(net)
    with other:
        monitor(net.conn, "delta")
    with pytest.raises(BuildError, match="not in this model"):
        nengo.Simulator(other)
