"""The hidden layer taught by random feedback: its parts, and that it learns."""

import math

import hidden_layer_trial as hidden_layer
import nengo
import numpy as np
import pytest
from hidden_network import LINES, Line, build
from hidden_tasks import additive_rmse, draw
from nengo.exceptions import ValidationError

ON_TIME = [line for line in LINES if LINES[line].delay == 0]


def test_angle_is_that_of_the_definition(rng):
    """The angle is what the definition, written out entry by entry, gives."""
    for _ in range(20):
        u, v = rng.randn(2, 4, 3)
        dot = sum(u[i, j] * v[i, j] for i in range(4) for j in range(3))
        sizes = [math.sqrt(sum(x**2 for x in w.ravel().tolist())) for w in (u, v)]
        expected = math.degrees(math.acos(dot / sizes[0] / sizes[1]))
        assert hidden_layer.angle(u, v) == pytest.approx(expected, abs=1e-9)


def test_angles_that_are_known(rng):
    """Length does not matter; opposite is 180; nothing has no direction."""
    u = rng.randn(4, 3)
    # arccos loses half of the digits near 0 and 180
    assert hidden_layer.angle(u, 7 * u) == pytest.approx(0, abs=1e-5)
    assert hidden_layer.angle(u, -u) == pytest.approx(180, abs=1e-5)
    assert hidden_layer.angle([[1, 0]], [[0, 3]]) == pytest.approx(90)
    assert math.isnan(hidden_layer.angle(u, 0 * u))


def test_gradient_is_that_of_a_squared_error(rng):
    """For neurons that are linear, with psi their slope, it is minus the gradient of
    half the summed squared error, here from central differences."""
    n_times, n_pre, n_hidden, size = 6, 3, 5, 2
    activities, targets = rng.randn(n_times, n_pre), rng.randn(n_times, size)
    decoders, weights = rng.randn(size, n_hidden), rng.randn(n_hidden, n_pre)
    slope = rng.uniform(0.1, 1, n_hidden)

    def loss(w):
        return 0.5 * np.sum(
            (activities @ (slope[:, None] * w).T @ decoders.T - targets) ** 2
        )

    expected = np.zeros_like(weights)
    for index in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[index] = 1e-4
        expected[index] = (loss(weights - step) - loss(weights + step)) / 2e-4
    errors = activities @ (slope[:, None] * weights).T @ decoders.T - targets
    psi = np.tile(slope, (n_times, 1))
    found = hidden_layer.gradient(psi, errors, activities, decoders)
    # differences of a quadratic function are exact but for rounding
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("task", ["xor", "square"])
def test_least_rmse_of_sums(task):
    """No sum of a function of each input does better than `additive_rmse`: the best one
    is found by least squares, with a free value for every value of an input."""
    inputs, targets = draw(task, 7, np.random.RandomState(3))
    columns = [x == value for x in inputs.T for value in np.unique(x)]
    features = np.stack(columns, axis=1).astype(float)
    best = features @ np.linalg.lstsq(features, targets, rcond=1e-9)[0]
    rmse = np.sqrt(np.mean((best - targets) ** 2))
    assert rmse == pytest.approx(additive_rmse(targets), rel=1e-9)
    assert rmse > 0.3


def test_tasks():
    """All pairs of sizes come with all four signs, targets are as they are said to be,
    and an input does not tell of the next; there is no third task."""
    inputs, targets = draw("square", 50, np.random.RandomState(0))
    pairs, counts = np.unique(np.abs(inputs), axis=0, return_counts=True)
    assert len(pairs) == 50 and np.all(counts == 4)
    assert len(np.unique(inputs, axis=0)) == 200
    expected = np.square(inputs @ [1, 1j])
    np.testing.assert_allclose(targets @ [1, 1j], expected, atol=1e-12)
    inputs, targets = draw("xor", 5, np.random.RandomState(0))
    np.testing.assert_array_equal(
        targets[:, 0] > 0, (inputs[:, 0] > 0) ^ (inputs[:, 1] > 0)
    )
    targets = draw("xor", 2500, np.random.RandomState(0))[1][:, 0]
    # 5 standard deviations for independent signs
    assert abs(np.mean(targets[1:] * targets[:-1])) < 5 / np.sqrt(10_000)
    with pytest.raises(ValidationError, match=r"no task 'and'.*'xor' or 'square'"):
        draw("and", 5, np.random.RandomState(0))


def test_lines_begin_alike():
    """With the same seed, all lines have the same inputs and the same weights at first,
    and a hidden neuron hears one input only."""
    seen = []
    for line in LINES:
        network, probes = build("square", line, seed=4, seconds=2.0, test_seconds=2.0)
        with nengo.Simulator(network, progress_bar=False) as simulator:
            simulator.run_steps(150)
            weights, decoders = (
                simulator.data[probes[name].target].weights
                for name in ("weights", "decoders")
            )
            seen.append([weights, decoders, simulator.data[probes["target"]]])
        hears = np.abs(weights).reshape(-1, 2, 2).sum(axis=2) > 0
        assert np.all(hears.sum(axis=1) == 1)
    for other in seen[1:]:
        for one, same in zip(seen[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


def test_late_form_is_the_same_rule():
    """An error sent in components, each a TD error with a rule of its own, teaches what
    one sent as a vector does: 1 ms late, the hidden layer's weights change in the same
    direction, within what the trace of 1 ms and the spikes make of it."""
    changes = []
    for line in (Line("encoders"), Line("encoders", delay=0.001, tau_e=0.001)):
        network, probes = build("square", line, seed=2, seconds=2.0, test_seconds=2.0)
        with nengo.Simulator(network, progress_bar=False) as simulator:
            simulator.run(2.0)
            weights = simulator.data[probes["weights"]][-1]
            changes.append(weights - simulator.data[probes["weights"].target].weights)
    # two directions in 400 dimensions that do not know of each other are at 90 degrees
    assert hidden_layer.angle(*changes) < 10
    assert np.linalg.norm(changes[1]) == pytest.approx(
        np.linalg.norm(changes[0]), rel=0.1
    )


def test_not_learning_leaves_the_weights():
    """Where the hidden layer does not learn, its weights stay, and there is no angle;
    in the test nothing learns."""
    result = hidden_layer.run(line="decoders only", seconds=2.0, test_seconds=2.0)
    assert np.isnan(result["angle"]).all()
    options = {"seconds": 2.0, "test_seconds": 4.0}
    network, probes = build("xor", "random feedback", **options)
    with nengo.Simulator(network, progress_bar=False) as simulator:
        simulator.run(6.0)
        for name in ("weights", "decoders"):
            learned, tested, later = simulator.data[probes[name]]
            # what was on its way when the test began still arrives
            np.testing.assert_allclose(tested, learned, rtol=0, atol=1e-4)
            np.testing.assert_array_equal(tested, later)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "and"}, "no task 'and'"),
        ({"line": "no such"}, r"no line 'no such'.*'random feedback'"),
        ({"seconds": 3.0}, "seconds.*whole multiple of 2 s.*3"),
        ({"test_seconds": 0.0}, "test_seconds.*whole multiple of 2 s.*0"),
    ],
)
def test_refuses(options, message):
    """What is asked for wrongly is named, before anything is simulated."""
    with pytest.raises(ValidationError, match=message):
        hidden_layer.run(**options)


def test_learns_xor():
    """Random and encoder feedback solve XOR, where the decoders alone cannot, and
    neither can a hidden layer without pseudo-derivative; the update of random feedback
    comes nearer to the gradient, to which that of encoder feedback is near at first."""
    options = {"seed": 11, "seconds": 16.0, "test_seconds": 2.0, "learning_rate": 6e-3}
    lines = [line for line in ON_TIME if line != "no pseudo-derivative"]
    results = {line: hidden_layer.run("xor", line, **options) for line in lines}
    rmse = {line: result["rmse"] for line, result in results.items()}
    for line in ("random feedback", "encoder feedback"):
        assert rmse[line] < 0.25
        assert results[line]["signs"] == 1.0
    # below 1 only by what the samples keep of the input that was shown before
    assert rmse["decoders only"] > 0.95
    assert rmse["no pseudo-derivative, rate / 10"] > 0.5
    assert results["encoder feedback"]["angle"][0] < 15
    angles = results["random feedback"]["angle"]
    assert abs(angles[0] - 90) < 25
    assert np.median(angles[4:]) < 65


def test_late_error_needs_a_trace():
    """An error that comes when the next input is shown already teaches XOR with an
    eligibility trace, and does not without."""
    options = {"seed": 11, "seconds": 24.0, "test_seconds": 2.0, "learning_rate": 6e-3}
    traced, without = (
        hidden_layer.run("xor", line, **options)
        for line in ("late error, trace", "late error, tau_e = 0")
    )
    assert traced["rmse"] < 0.3
    assert traced["signs"] == 1.0
    # random changes alone make of some neurons features of both inputs
    assert without["rmse"] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("task", ["xor", "square"])
def test_full_length(task):
    """At full length random feedback ends within 20 % of encoder feedback and below
    half of what is possible without it; no ablation comes near to that."""
    settings, late = {
        "xor": (
            {"seconds": 60.0, "test_seconds": 4.0, "learning_rate": 2e-3},
            {"learning_rate": 1e-3},
        ),
        "square": (
            {"seconds": 70.0, "test_seconds": 12.0, "learning_rate": 1e-2},
            {"seconds": 100.0},
        ),
    }[task]
    results = {
        line: hidden_layer.run(
            task, line, seed=0, **settings | (late if LINES[line].delay else {})
        )
        for line in LINES
    }
    rmse = {line: result["rmse"] for line, result in results.items()}
    assert rmse["random feedback"] <= 1.2 * rmse["encoder feedback"]
    solved = ("random feedback", "encoder feedback", "late error, trace")
    for line, result in results.items():
        relative = result["rmse"] / result["additive"]
        # 0.77 at the least, but spikes fall otherwise where sums are rounded otherwise
        assert relative < 0.5 if line in solved else relative > 0.6
