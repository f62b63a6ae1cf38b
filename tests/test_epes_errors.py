"""Errors in an EPES connection are reported with name, value and remedy."""

import nengo
import numpy as np
import pytest
from harness import connect, drive
from nengo.exceptions import (
    BuildError,
    NengoWarning,
    SimulationError,
    ValidationError,
)

from nengo_epes import EPES, z
from nengo_epes.arithmetic import step_sizes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": -1}, "learning_rate"),
        ({"learning_rate": np.inf}, "learning_rate.*finite"),
        ({"learning_rate": np.nan}, "learning_rate.*finite"),
        ({"learning_rate": 10**400}, "learning_rate.*finite"),
        ({"size_eligibility": -1}, "size_eligibility"),
        ({"size_td_error": 0}, "size_td_error"),
        (
            {"size_td_error": 2, "size_eligibility": 3},
            "size_td_error.*size_eligibility=3; use 0 or 1",
        ),
        (
            {"size_td_error": 2, "step": step_sizes.ObGD()},
            "size_td_error.*use step=None",
        ),
        (
            {"size_td_error": 2, "trace_type": "dutch"},
            "size_td_error.*trace_type='dutch'",
        ),
        ({"step": step_sizes.ObGD}, r"step.*instance.*ObGD\(\)"),
        ({"trace_synapse": np.inf}, "trace_synapse.*finite time constant"),
        ({"trace_synapse": nengo.Lowpass(1e300)}, "trace_synapse.*1e[+]300"),
        ({"trace_synapse": nengo.Alpha(np.inf)}, "trace_synapse.*finite"),
        ({"pre_synapse": np.inf}, "pre_synapse.*finite time constant"),
        ({"weight_decay": np.nan}, "weight_decay.*finite"),
        ({"weight_bounds": (np.nan, 1)}, "weight_bounds.*low below high"),
        ({"size_eligibility": "all"}, "size_eligibility"),
        ({"trace_synapse": "slow"}, "trace_synapse.*Synapse"),
        ({"pre_synapse": "fast"}, "pre_synapse.*Synapse"),
        ({"feedback": "random"}, r"feedback.*'encoders'\).*got 'random'"),
        ({"trace_type": "fading"}, "trace_type"),
        ({"weight_bounds": (1, 0)}, "weight_bounds.*low below high"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"controls": ("freeze",)}, r"controls.*'hold', 'reset'.*'freeze'"),
        ({"controls": ("hold", "hold")}, "each once"),
        ({"controls": 3}, "controls"),
    ],
)
def test_bad_parameters(options, message):
    """The constructor refuses a bad parameter."""
    with pytest.raises(ValidationError, match=message):
        EPES(**options)


def test_inputs_that_were_not_asked_for():
    """The slices follow the order of the controls; the message for a missing control
    names the setting that adds it."""
    rule = EPES(size_eligibility=3, controls=("reset", "hold"))
    parts = [rule.td_error, rule.eligibility, rule.reset, rule.hold]
    assert [list(range(9))[part] for part in parts] == [[0], [1, 2, 3], [4], [5]]
    assert rule.size_in == 6
    assert EPES().size_in == 2
    with pytest.raises(AttributeError, match=r"controls=\('hold',\)"):
        _ = EPES().hold


def build(kind, rule, **inputs):
    with nengo.Network(seed=0) as net:
        conn = connect(kind, rule, 0, nengo.LIF())
        drive(conn, **(inputs or {"td_error": 1.0, "eligibility": np.ones(1)}))
    with nengo.Simulator(net) as sim:
        return sim


@pytest.mark.parametrize(
    ("kind", "rule", "message"),
    [
        ("node", EPES(size_eligibility=3), "size_eligibility=3.*2 for feedback='rows'"),
        (
            "neurons",
            EPES(size_eligibility=5),
            "size_eligibility=5.*2 for feedback='encoders', 17 for feedback='rows'",
        ),
        ("neurons", EPES(feedback="rows"), "size_eligibility=1 with feedback='rows'"),
        (
            "node",
            EPES(size_eligibility=2, feedback="broadcast"),
            "with feedback='broadcast'",
        ),
        ("node", EPES(size_eligibility=2, feedback="encoders"), "weights=True"),
        ("node", EPES(trace_synapse=0.0005), r"tau=0\.0005.*dt=0\.001.*None"),
        ("node", EPES(trace_synapse=0), "trace_synapse=None"),
        ("node", EPES(trace_synapse=nengo.Alpha(0.0001)), "Node.*tau=0.0001"),
    ],
)
def test_what_does_not_fit(kind, rule, message):
    """A rule that does not fit its connection is refused when the model is built, with
    the name of the connection."""
    inputs = {"td_error": 1.0, "eligibility": np.ones(rule.size_eligibility)}
    with pytest.raises(BuildError, match="Connection from.*" + message):
        build(kind, rule, **inputs)


def on_connection(pre, post, rule=None, **options):
    rule = EPES() if rule is None else rule
    conn = nengo.Connection(pre, post, learning_rule_type=rule, **options)
    drive(conn, td_error=1.0, eligibility=np.ones(rule.size_eligibility))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda a, b: on_connection(a.neurons, b.neurons, transform=0.5),
            BuildError,
            r"Connection from.*np.zeros\(\(20, 20\)\)",
        ),
        (
            lambda a, b: on_connection(
                a.neurons, b.neurons, transform=nengo.Sparse((20, 20), [(0, 0)])
            ),
            NotImplementedError,
            "Sparse",
        ),
        (
            lambda a, b: on_connection(nengo.Node([0, 0]), b),
            ValidationError,
            "'pre' must be",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*sparse:UserWarning")
def test_connections_that_cannot_learn(make, error, message):
    """Connections on which EPES or Nengo cannot learn are refused."""
    with nengo.Network() as net:
        a, b = nengo.Ensemble(20, 2), nengo.Ensemble(20, 2)
        with pytest.raises(error, match=message):
            make(a, b)
            nengo.Simulator(net)


def test_wrong_dimensions_on_the_port():
    """A connection of another width than the port is refused, and the message lists the
    slices of the port."""
    rule = EPES(controls="hold")
    with nengo.Network():
        a = nengo.Ensemble(20, 2)
        conn = nengo.Connection(a, nengo.Node(size_in=2), learning_rule_type=rule)
        for size in (1, 2, 4):
            with pytest.raises(
                ValidationError,
                match=rf"\({size}\) not equal.*\(3: td_error 1 \+ eligibility 1"
                r" \+ hold 1.*size_eligibility=0",
            ):
                nengo.Connection(nengo.Node(np.zeros(size)), conn.learning_rule)


def test_wrong_dimensions_of_the_third_factor():
    """If the port is the third factor alone, the message names size_td_error= instead
    of a slice; with that setting the connection is accepted."""
    with nengo.Network():
        error, a = nengo.Node([0.0, 0.0]), nengo.Ensemble(20, 2)

        def connect_error(**options):
            rule = EPES(size_eligibility=0, **options)
            post = nengo.Node(size_in=2)
            conn = nengo.Connection(a, post, learning_rule_type=rule)
            nengo.Connection(error, conn.learning_rule)

        match = r"\(2\) not equal.*\(1: td_error 1; set size_td_error= to"
        with pytest.raises(ValidationError, match=match) as caught:
            connect_error()
        assert "slice" not in str(caught.value)
        with pytest.raises(ValidationError, match=r"such as .*\[rule.td_error\]"):
            connect_error(controls=("hold", "reset"))
        connect_error(size_td_error=2)


@pytest.mark.parametrize(
    ("missing", "name"),
    [
        ("td_error", r"conn.learning_rule\[rule.td_error\]"),
        ("eligibility", r"\[rule.eligibility\].*size_eligibility=0"),
    ],
)
def test_half_of_the_port_connected(missing, name):
    """A rule without third factor or without eligibility never learns, and gives a
    warning that names the slice."""
    inputs = {"td_error": 1.0, "eligibility": 1.0}
    del inputs[missing]
    with pytest.warns(NengoWarning, match=f"nothing is connected to .*{name}"):
        build("node", EPES(), **inputs)


def test_parts_of_the_port_in_a_subnetwork():
    """Connections to the port are found in every network that contains them."""
    with nengo.Network(seed=0) as net:
        with nengo.Network():
            conn = connect("node", EPES(size_eligibility=2), 0, nengo.LIF())
        whole = nengo.Node([1.0, 2.0, 3.0])
        nengo.Connection(whole, conn.learning_rule)
    with nengo.Simulator(net):  # a warning would be an error
        pass


class Broken(nengo.Process):
    """Process that outputs a given value from step 5 on. Nengo would validate a Node's
    function."""

    def __init__(self, value, size):
        self.value = value
        super().__init__(default_size_in=0, default_size_out=size)

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one step."""

        def step(t):
            return np.full(shape_out, self.value if t > 0.0045 else 1.0)

        return step


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", ["td_error", "eligibility"])
@pytest.mark.parametrize("optimize", [True, False])
def test_port_not_finite(part, value, optimize):
    """A TD error or eligibility that is not finite stops the simulation before the
    weights change; the message names rule, input, value and time."""
    inputs = {"td_error": Broken(1.0, 1), "eligibility": Broken(1.0, 2)}
    inputs[part] = Broken(value, 1 if part == "td_error" else 2)
    with nengo.Network(seed=0) as net:
        conn = connect("node", EPES(size_eligibility=2), 0, nengo.LIF())
        drive(conn, **inputs)
    index = 0 if part == "td_error" else 1
    message = rf"modifying.*EPES.*port\[{index}\] is {value} at t=0\.005 s"
    with nengo.Simulator(net, optimize=optimize) as sim:
        sim.run_steps(4)
        with pytest.raises(SimulationError, match=message):
            sim.run_steps(4)
        weights = sim.signals[sim.model.sig[conn]["weights"]]
        assert np.all(np.isfinite(weights))


def test_activities_not_finite():
    """Activities that are not finite stop the simulation."""

    class Runaway(nengo.RectifiedLinear):
        def step(self, dt, J, output):
            output[...] = np.nan

    with nengo.Network(seed=0) as net:
        pre = nengo.Ensemble(10, 1, neuron_type=Runaway())
        post = nengo.Node(size_in=1)
        conn = nengo.Connection(
            pre.neurons,
            post,
            transform=np.zeros((1, 10)),
            learning_rule_type=EPES(pre_synapse=None),
        )
        drive(conn, td_error=1.0, eligibility=1.0)
    with (
        nengo.Simulator(net) as sim,
        pytest.raises(SimulationError, match=r"activities\[0\] is nan"),
    ):
        sim.run_steps(2)


def test_delays_of_the_port():
    """A delayed TD error multiplies the trace of the step in which it arrives."""
    with nengo.Network(seed=0) as net:
        conn = connect("node", EPES(size_eligibility=2), 0, nengo.LIF())
        rule = conn.learning_rule_type
        pulse = nengo.Node(lambda t: float(round(t / 0.001) == 10))
        nengo.Connection(pulse, conn.learning_rule[rule.td_error], synapse=z**-25)
        drive(conn, eligibility=np.ones(2))
        td = nengo.Probe(conn.learning_rule, "td_error")
    with nengo.Simulator(net) as sim:
        sim.run_steps(50)
    # step t is index t - 1: the pulse of step 10 arrives in step 35
    assert np.flatnonzero(sim.data[td]).tolist() == [34]
