"""The third factor with several dimensions: EPES against nengo.PES and numpy."""

import json
import sys
from pathlib import Path

import nengo
import numpy as np
import pytest
import reference
from harness import DECODED, DT, WEIGHTS, connect, run
from nengo.exceptions import BuildError, NengoException, ValidationError
from numpy.testing import assert_allclose

from nengo_epes import EPES
from nengo_epes.arithmetic import step_sizes

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SYNAPSES = [nengo.Lowpass(0.02), nengo.Lowpass(0.3), nengo.Alpha(0.05)]
NEURON_TYPES = [nengo.LIF(), nengo.LIFRate(), nengo.RectifiedLinear()]


def error(t):
    return np.array([np.sin(31 * t), 0.3 + np.cos(17 * t)])


def trajectory(kind, rule, seed, neuron_type, sign=1.0, dimensions=2, **options):
    """Return the weights of every step; the error is connected to the whole port."""

    def signed(t):
        return sign * error(t)[:dimensions]

    with nengo.Network(seed=seed) as net:
        conn = connect(kind, rule, seed, neuron_type)
        # the connection that PES needs
        nengo.Connection(nengo.Node(signed), conn.learning_rule, synapse=None)
        nengo.Probe(conn, "weights", label="weights")
    return run(net, 300, **options)["weights"]


@pytest.mark.parametrize(
    ("synapse", "neuron_type"), list(zip(SYNAPSES, NEURON_TYPES, strict=True)), ids=repr
)
@pytest.mark.parametrize("kind", ["node", "neurons"])
def test_is_pes_with_filtered_activities(kind, synapse, neuron_type, seed):
    """With minus the error as third factor, EPES has the weights of PES(pre_synapse=h)
    in every step."""
    pes = trajectory(kind, nengo.PES(pre_synapse=synapse), seed, neuron_type)
    rule = EPES(
        size_td_error=2, size_eligibility=0, pre_synapse=None, trace_synapse=synapse
    )
    epes = trajectory(kind, rule, seed, neuron_type, sign=-1.0)
    assert np.abs(pes[-1] - pes[0]).max() > 1e-9, "nothing was learned"
    # rounding of a few hundred additions; the weights are up to 1e-2
    assert_allclose(epes, pes, rtol=0, atol=1e-12 * np.abs(pes).max())


@pytest.mark.parametrize(
    ("kind", "optimize"),
    [(kind, True) for kind in DECODED + WEIGHTS if kind != "ensemble slice"]
    + [("node", False), ("neurons", False)],
)
def test_is_pes_on_every_connection(kind, optimize, seed):
    """The same holds for every kind of connection, with and without the optimizer."""
    synapse, common = nengo.Lowpass(0.03), {"optimize": optimize}
    lif = nengo.LIFRate()
    pes = trajectory(kind, nengo.PES(1e-3, pre_synapse=synapse), seed, lif, **common)
    rule = EPES(
        1e-3,
        size_td_error=2,
        size_eligibility=0,
        pre_synapse=None,
        trace_synapse=synapse,
    )
    epes = trajectory(kind, rule, seed, lif, sign=-1.0, **common)
    assert np.abs(pes[-1] - pes[0]).max() > 1e-8
    assert_allclose(epes, pes, rtol=0, atol=1e-12 * np.abs(pes).max())


@pytest.mark.parametrize("kind", ["ensemble slice"])
def test_one_dimension_is_pes_too(kind, seed):
    """With one dimension and no eligibility input, EPES has the port of PES."""
    synapse, lif = nengo.Alpha(0.03), nengo.LIF()
    common = {"dimensions": 1}
    pes = trajectory(kind, nengo.PES(pre_synapse=synapse), seed, lif, **common)
    rule = EPES(size_eligibility=0, pre_synapse=None, trace_synapse=synapse)
    assert rule.size_in == 1
    epes = trajectory(kind, rule, seed, lif, sign=-1.0, **common)
    assert np.abs(pes[-1] - pes[0]).max() > 1e-9
    assert_allclose(epes, pes, rtol=0, atol=1e-12 * np.abs(pes).max())


def test_two_filters_in_series(seed):
    """The trace filters activities that pre_synapse has filtered."""
    lif = nengo.LIF()
    with nengo.Network(seed=seed) as net:
        conn = connect(
            "node", rule := EPES(size_td_error=2, size_eligibility=0), seed, lif
        )
        nengo.Connection(nengo.Node(error), conn.learning_rule, synapse=None)
        nengo.Probe(conn, "weights", label="weights")
        nengo.Probe(conn.pre.neurons, label="raw")
    assert rule.trace_synapse == nengo.Lowpass(0.1)
    got = run(net, 300)
    expected = reference.simulate(
        got["raw"],
        np.array([error(DT * k) for k in range(1, 301)]),
        got["weights"][0],
        dt=DT,
        feedback=np.eye(2),
    ).weights
    assert np.abs(expected[-1] - expected[0]).max() > 1e-9
    assert_allclose(
        got["weights"], expected, rtol=0, atol=1e-12 * np.abs(expected).max()
    )


def test_layout_of_the_port():
    """The port has the third factor, then the eligibility, then the controls."""
    rule = EPES(size_td_error=3, size_eligibility=0, controls=("reset", "hold"))
    assert rule.size_in == 5
    assert rule.td_error == slice(0, 3)
    assert rule.eligibility == slice(3, 3)
    assert (rule.reset, rule.hold) == (slice(3, 4), slice(4, 5))
    rule = EPES(size_td_error=2, size_eligibility=1, controls="hold")
    assert (rule.td_error, rule.eligibility) == (slice(0, 2), slice(2, 3))
    assert rule.hold == slice(3, 4)
    rule = EPES(size_eligibility=4)
    assert (rule.td_error, rule.eligibility) == (slice(0, 1), slice(1, 5))
    assert EPES().size_in == 2


def test_two_vectors_are_refused():
    """Third factor and eligibility cannot both have several dimensions."""
    with pytest.raises(ValidationError, match="size_eligibility"):
        EPES(size_td_error=2, size_eligibility=2)


@pytest.mark.parametrize(
    "options",
    [
        {"step": step_sizes.ObGD()},
        {"step": step_sizes.Intentional()},
        {"trace_type": "replacing"},
        {"trace_type": "dutch"},
    ],
    ids=str,
)
def test_scalar_only_options_are_refused(options, seed):
    """Bounded steps, replacing and dutch traces need a scalar TD error."""

    def attempt():
        rule = EPES(size_td_error=2, size_eligibility=0, **options)
        trajectory("node", rule, seed, nengo.LIF())

    with pytest.raises((ValidationError, BuildError), match="size_td_error"):
        attempt()


@pytest.mark.parametrize("kind", ["node", "neurons"])
def test_feedback_that_does_not_fit_is_refused(kind, seed):
    """A third factor of three dimensions needs a feedback with three columns."""
    for feedback in (None, "rows", "broadcast", np.ones((2, 2)), np.ones((17, 2))):
        rule = EPES(size_td_error=3, size_eligibility=0, feedback=feedback)
        with nengo.Network(seed=seed) as net:
            conn = connect(kind, rule, seed, nengo.LIF())
            nengo.Connection(nengo.Node(np.ones(3)), conn.learning_rule)
        with pytest.raises(NengoException, match=r"feedback|size_td_error"):
            nengo.Simulator(net)


def test_delayed_vector_error():
    """From a two-dimensional error delayed by 0.3 s, EPES learns as well as PES with
    activities delayed by 0.3 s."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import delayed_vector_error as benchmark
    finally:
        sys.path.remove(str(BENCHMARKS))
    names = ("no learning", "PES, delayed activities", "EPES, delayed trace")
    lines = {name: benchmark.rules()[name] for name in names}
    rmse = benchmark.run(seed=11, lines=lines, seconds=10.0)
    none, pes, epes = (rmse[name] for name in names)
    assert pes < 0.2 * none
    assert epes < 1.2 * pes


def test_results_of_the_delayed_vector_error():
    """In the committed results, the error of EPES is at most 1.2 times the error of PES
    with delayed activities, on each of ten seeds."""
    text = (BENCHMARKS / "results" / "delayed_vector_error.json").read_text()
    errors = json.loads(text)["RMSE of the last 2 s"]
    pes, epes, late = (
        np.array(errors[name])
        for name in ("PES, delayed activities", "EPES, delayed trace", "PES")
    )
    assert len(pes) == 10
    assert np.all(epes <= 1.2 * pes)
    assert np.all(pes < 0.5 * late)
