"""The networks of the benchmarks, each by one property that its study relies on."""

import bounded_steps
import hidden_layer
import numpy as np
import pytest
from hidden_network import additive_rmse, draw


def test_gradient_of_the_hidden_layer(rng):
    """For linear neurons, with psi their slope, `gradient` is minus the gradient of
    half the summed squared error, here from central differences."""
    activities, targets = rng.randn(6, 3), rng.randn(6, 2)
    decoders, weights = rng.randn(2, 5), rng.randn(5, 3)
    slope = rng.uniform(0.1, 1, 5)

    def errors(w):
        return activities @ (slope[:, None] * w).T @ decoders.T - targets

    expected = np.zeros_like(weights)
    for index in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[index] = 1e-4
        losses = [0.5 * np.sum(errors(weights + x) ** 2) for x in (-step, step)]
        expected[index] = (losses[0] - losses[1]) / 2e-4
    psi = np.tile(slope, (6, 1))
    found = hidden_layer.gradient(psi, errors(weights), activities, decoders)
    # differences of a quadratic function are exact but for rounding
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("task", ["xor", "square"])
def test_least_error_without_hidden_learning(task):
    """`additive_rmse` is the RMSE of the best sum of a function of each input, found by
    least squares with a free value for every value of an input."""
    inputs, targets = draw(task, 7, np.random.RandomState(3))
    columns = [x == value for x in inputs.T for value in np.unique(x)]
    features = np.stack(columns, axis=1).astype(float)
    best = features @ np.linalg.lstsq(features, targets, rcond=1e-9)[0]
    rmse = np.sqrt(np.mean((best - targets) ** 2))
    assert additive_rmse(targets) == pytest.approx(rmse, rel=1e-9)
    assert rmse > 0.3


@pytest.mark.slow
def test_hidden_layer_learns_xor():
    """With an error that is late, and with one that is not, random feedback comes below
    a third of the least error without learning in the hidden layer; its updates come
    nearer to the gradient."""
    options = {"seed": 11, "test_seconds": 2.0, "learning_rate": 6e-3}
    found = hidden_layer.run("xor", "random feedback", seconds=16.0, **options)
    assert found["rmse"] < found["additive"] / 3 and found["signs"] == 1.0
    assert np.median(found["angle"][4:]) < 65 < found["angle"][0]
    late = hidden_layer.run("xor", "late error, trace", seconds=24.0, **options)
    assert late["rmse"] < late["additive"] / 3


def test_bounded_steps_do_not_diverge():
    """With ten times the largest stable learning rate the weights of a random network
    grow beyond all bounds; with bounded steps the error falls."""
    plain = bounded_steps.run(1000, "plain", 3000, chunk=500)
    assert not plain["finite"] or plain["largest_weight"][-1] > 1e20
    for line in ("ObGD", "Intentional"):
        result = bounded_steps.run(1000, line, 3000, chunk=500)
        assert result["finite"]
        assert result["error"][-1] <= result["error"][0] <= 1.0
