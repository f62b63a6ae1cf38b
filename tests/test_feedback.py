"""Feedback of the eligibility to the post side; bounds and decay of the weights."""

import nengo
import numpy as np
import pytest
from harness import connect, drive, learn, run
from nengo.exceptions import BuildError, SimulationError, ValidationError
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes import EPES

D = 3


def eligibility(t):
    return np.array([np.sin(9 * t), 0.3 + np.cos(5 * t), np.sin(4 * t)])


def weights_with(kind, rule, transform=None, seed=2):
    """Return all weights of a rule whose eligibility passes through a transform."""
    with nengo.Network(seed=seed) as net:
        conn = connect(kind, rule, seed, nengo.LIF())
        drive(conn, td_error=lambda t: np.sin(20 * t))
        g = nengo.Node(eligibility)
        transform = np.eye(D) if transform is None else transform
        port = conn.learning_rule[rule.eligibility]
        nengo.Connection(g, port, transform=transform, synapse=None)
        nengo.Probe(conn, "weights", label="weights")
        built = conn
    return run(net, 200)["weights"], net, built


@pytest.mark.parametrize(
    ("kind", "rows"), [("node", 2), ("neurons", 17), ("neuron slices", 4)]
)
def test_matrix_on_the_rule_or_in_the_transform(kind, rows, rng):
    """A matrix as `feedback` and the same matrix as transform of the connection to the
    port give the same weights."""
    matrix = rng.randn(rows, D)
    on_rule = EPES(1e-2, size_eligibility=D, feedback=matrix)
    in_transform = EPES(1e-2, size_eligibility=rows, feedback="rows")
    one, *_ = weights_with(kind, on_rule)
    other, *_ = weights_with(kind, in_transform, matrix)
    assert np.abs(one[-1] - one[0]).max() > 1e-6
    assert_allclose(other, one, rtol=0, atol=1e-12)


def built_feedback(kind, seed=2, **options):
    with nengo.Network(seed=seed) as net:
        conn = connect(kind, EPES(**options), seed, nengo.LIF())
        drive(conn, td_error=1.0, eligibility=np.ones(options["size_eligibility"]))
    with nengo.Simulator(net) as sim:
        encoders = sim.data[conn.post_obj.ensemble].scaled_encoders
        return sim.data[conn.learning_rule].feedback, encoders


@pytest.mark.parametrize("size", [1, 2, 5])
def test_sampled_matrix(size):
    """A Distribution is sampled with the seed of the connection and scaled so that the
    mean square of its effect on random directions equals the mean square of the
    encoders' effect."""
    options = {"size_eligibility": size, "feedback": nengo.dists.Gaussian(0, 7)}
    matrix, encoders = built_feedback("neurons", **options)
    again, _ = built_feedback("neurons", **options)
    other, _ = built_feedback("neurons", seed=3, **options)
    assert matrix.shape == (17, size)
    assert_array_equal(matrix, again)
    assert np.all(matrix != other)
    directions = np.random.RandomState(0).randn(size, 50_000)
    directions /= np.linalg.norm(directions, axis=0)
    effect = np.mean(np.sum((matrix @ directions) ** 2, axis=0))
    expected = np.mean(np.sum(encoders**2, axis=1)) * 17 / encoders.shape[1]
    # four standard errors of a mean of 50,000
    assert_allclose(effect, expected, rtol=0.04)


def test_sampled_matrix_is_used():
    """The matrix that can be read after the build is the matrix that the rule uses."""
    options = {"size_eligibility": D, "feedback": nengo.dists.Uniform(-1, 1)}
    sampled, net, conn = weights_with("neurons", EPES(1e-2, **options))
    with nengo.Simulator(net) as sim:
        matrix = sim.data[conn.learning_rule].feedback
    given = EPES(1e-2, size_eligibility=D, feedback=matrix)
    assert_allclose(weights_with("neurons", given)[0], sampled, rtol=0, atol=1e-12)


def test_rules_with_equal_matrices_are_equal():
    """Rules compare the values of their matrices; a rule stores a copy of its
    matrix."""
    matrix = np.ones((4, 2))
    rule = EPES(size_eligibility=2, feedback=matrix)
    matrix[0, 0] = 5.0
    assert rule == EPES(size_eligibility=2, feedback=np.ones((4, 2)))
    assert hash(rule) == hash(EPES(size_eligibility=2, feedback=np.ones((4, 2))))
    assert rule != EPES(size_eligibility=2, feedback=matrix)
    dist = nengo.dists.Uniform(0, 1)
    assert EPES(feedback=dist) == EPES(feedback=nengo.dists.Uniform(0, 1))


@pytest.mark.parametrize("feedback", [np.ones(3), [[np.nan]], 3.0, "random", [["a"]]])
def test_no_feedback(feedback):
    """The constructor refuses a `feedback` that is not a 2-D array of finite
    numbers."""
    with pytest.raises(ValidationError, match=r"feedback.*size_eligibility.*got"):
        EPES(feedback=feedback)


def test_matrix_of_another_shape():
    """A matrix whose shape does not fit the post side and the port is refused when the
    model is built."""
    rule = EPES(size_eligibility=2, feedback=np.ones((5, 2)))
    with pytest.raises(BuildError, match=r"\(5, 2\).*n_post=17.*must be \(17, 2\)"):
        learn(rule, "neurons", td_error=1.0, eligibility=np.ones(2))


def test_distribution_of_zeros():
    """A Distribution that samples only zeros is refused, because the rule would never
    learn."""
    rule = EPES(feedback=nengo.dists.Choice([[0.0]]))
    with pytest.raises(BuildError, match="sampled only zeros"):
        learn(rule, "neurons", td_error=1.0, eligibility=1.0)


def test_weight_decay():
    """Without a TD error the weights decay at the given rate per second."""
    rule = EPES(weight_decay=2.0)
    weights = learn(rule, td_error=0.0, eligibility=1.0, kind="ensemble slice")[
        "weights"
    ]
    expected = weights[0] * (1 - 2.0 * 0.001) ** np.arange(300)[:, None, None]
    assert_allclose(weights, expected, rtol=1e-12)


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("trace_type", ["accumulating", "replacing", "dutch"])
def test_limits_hold_for_all_traces(trace_type, filtered):
    """Bounds and decay hold for every kind of trace, with and without filtered probes,
    and the probed change is the applied change."""
    bounds = (-1e-3, 2e-3)
    with nengo.Network(seed=1) as net:
        rule = EPES(1e-5, trace_type=trace_type, weight_bounds=bounds, weight_decay=5.0)
        conn = connect("node", rule, 1, nengo.LIF(), dimensions=1)
        drive(conn, td_error=lambda t: 900 * np.sin(20 * t), eligibility=1.0)
        weights = nengo.Probe(conn, "weights")
        delta = nengo.Probe(conn.learning_rule, "delta")
        if filtered:
            nengo.Probe(conn.learning_rule, "delta", synapse=0.01)
    with nengo.Simulator(net) as sim:
        sim.run_steps(400)
    weights, delta = sim.data[weights], sim.data[delta]
    assert np.any(weights[1:] == bounds[0]) and np.any(weights[1:] == bounds[1])
    assert np.all((weights[1:] >= bounds[0]) & (weights[1:] <= bounds[1]))
    assert_allclose(np.diff(weights, axis=0), delta[:-1], rtol=0, atol=1e-15)


def test_weight_bounds():
    """Bounds hold from the first step, and are reached."""
    rule = EPES(0.1, weight_bounds=(-1e-3, 2e-3), trace_synapse=0.01)
    inputs = {"td_error": lambda t: np.sin(20 * t), "eligibility": 1.0}
    weights = learn(rule, "ensemble slice", **inputs)["weights"]
    assert weights[1:].min() == pytest.approx(-1e-3, rel=1e-12)
    assert weights[1:].max() == pytest.approx(2e-3, rel=1e-12)


def test_bounds_beside_another_rule():
    """Bounds are refused next to another rule, which could violate them."""
    with nengo.Network() as net:
        rules = [EPES(weight_bounds=(0, 1)), nengo.PES()]
        conn = connect("ensemble slice", rules, 0, nengo.LIF())
        for rule in conn.learning_rule:
            nengo.Connection(nengo.Node(np.ones(rule.size_in)), rule)
    with pytest.raises(BuildError, match=r"weight_bounds=\(0.0, 1.0\).*next to"):
        nengo.Simulator(net)


def test_equal_rules_on_one_connection():
    """Two equal rules on one connection, which Nengo would merge, are refused."""
    with nengo.Network() as net:
        conn = connect("ensemble slice", [EPES(), EPES()], 0, nengo.LIF())
        for rule in conn.learning_rule:
            nengo.Connection(nengo.Node(np.ones(2)), rule)
    with pytest.raises(BuildError, match="two equal rules"):
        nengo.Simulator(net)


def test_too_much_decay():
    """A decay of more than the whole weight per step is refused."""
    with pytest.raises(BuildError, match=r"weight_decay=2500.*at most 1000"):
        learn(EPES(weight_decay=2500), td_error=1.0, eligibility=np.ones(1), steps=2)


def test_unstable_dutch_trace():
    """A dutch trace stops before it diverges; the message names a stable learning
    rate."""
    rule = EPES(1.0, trace_type="dutch")
    with pytest.raises(SimulationError, match=r"EPES.*not stable.*learning_rate below"):
        learn(rule, "ensemble slice", td_error=1.0, eligibility=1.0)


def test_overflow_is_named():
    """A learning rate or a TD error near 1e300 is refused by name."""
    with pytest.raises(BuildError, match=r"learning_rate=1e\+300 is too large"):
        learn(EPES(1e300), "ensemble slice", td_error=1.0, eligibility=1.0)
    inputs = {"td_error": lambda t: 1e300 * (t > 0.1), "eligibility": 1e-300}
    with pytest.raises(SimulationError, match=r"EPES.*port\[0\] is 1e\+300"):
        learn(EPES(trace_synapse=None), "ensemble slice", **inputs)


@pytest.mark.parametrize("kind", ["replacing", "dutch"])
@pytest.mark.parametrize("synapse", [None, nengo.Alpha(0.1)])
def test_kinds_of_trace_that_decay_exponentially(kind, synapse):
    """Replacing and dutch traces are refused with synapses other than Lowpass."""
    rule = EPES(trace_type=kind, trace_synapse=synapse)
    with pytest.raises(BuildError, match=f"{kind} trace decays exponentially.*Lowpass"):
        learn(rule, td_error=1.0, eligibility=1.0, kind="ensemble slice")


def test_replacing_refuses_negative_contributions():
    """A replacing trace refuses a negative eligibility."""
    rule = EPES(trace_type="replacing")
    with pytest.raises(nengo.exceptions.SimulationError, match=r"negative.*accumul"):
        learn(rule, td_error=1.0, eligibility=-1.0, kind="ensemble slice")
