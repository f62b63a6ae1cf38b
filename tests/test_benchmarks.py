"""Networks of the benchmarks: for each, one property that its study relies on."""

import bounded_steps
import eprop
import gymnasium
import hidden_layer
import numpy as np
import pytest
import stream_ac
from hidden_network import additive_rmse, draw
from scipy import optimize, special, stats


def test_gradient_of_the_hidden_layer(rng):
    """For linear neurons, with psi their slope, `gradient` equals minus the gradient of
    half the summed squared error, computed by central differences."""
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
    # central differences of a quadratic function are exact up to rounding
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("task", ["xor", "square"])
def test_least_error_without_hidden_learning(task):
    """`additive_rmse` is the RMSE of the best sum of one function of each input, found
    by least squares with a free value for each value of an input."""
    inputs, targets = draw(task, 7, np.random.RandomState(3))
    columns = [x == value for x in inputs.T for value in np.unique(x)]
    features = np.stack(columns, axis=1).astype(float)
    best = features @ np.linalg.lstsq(features, targets, rcond=1e-9)[0]
    rmse = np.sqrt(np.mean((best - targets) ** 2))
    assert additive_rmse(targets) == pytest.approx(rmse, rel=1e-9)
    assert rmse > 0.3


@pytest.mark.slow
def test_hidden_layer_learns_xor():
    """With and without a delay of the error, random feedback reaches less than a third
    of the least error without learning in the hidden layer; its updates approach the
    gradient."""
    options = {"seed": 11, "test_seconds": 2.0, "learning_rate": 6e-3}
    found = hidden_layer.run("xor", "random feedback", seconds=16.0, **options)
    assert found["rmse"] < found["additive"] / 3 and found["signs"] == 1.0
    assert np.median(found["angle"][4:]) < 65 < found["angle"][0]
    late = hidden_layer.run("xor", "late error, trace", seconds=24.0, **options)
    assert late["rmse"] < late["additive"] / 3


def test_bounded_steps_do_not_diverge():
    """With ten times the largest stable learning rate the weights of a random network
    diverge; with bounded steps the error falls."""
    plain = bounded_steps.run(1000, "plain", 3000, chunk=500)
    assert not plain["finite"] or plain["largest_weight"][-1] > 1e20
    for line in ("ObGD", "Intentional"):
        result = bounded_steps.run(1000, line, 3000, chunk=500)
        assert result["finite"]
        assert result["error"][-1] <= result["error"][0] <= 1.0


def central_difference(function, parameters):
    """Return the gradient of a function of `parameters`, which it reads in place."""
    gradient = np.zeros_like(parameters)
    for i, value in enumerate(parameters.copy()):
        found = []
        for step in (-1e-6, 1e-6):
            parameters[i] = value + step
            found.append(function())
        parameters[i] = value
        gradient[i] = (found[1] - found[0]) / 2e-6
    return gradient


@pytest.mark.parametrize(
    "space", [gymnasium.spaces.Discrete(3), gymnasium.spaces.Box(-9, 9, (2,))]
)
def test_gradients_of_stream_ac(space, rng, monkeypatch):
    """`stream_ac` adds to its trace the gradients of the log-probability of the sampled
    action and of the entropy, both checked by central differences of scipy's
    functions."""
    monkeypatch.setattr(stream_ac, "HIDDEN", 8)
    is_discrete = isinstance(space, gymnasium.spaces.Discrete)
    policy = (stream_ac.Softmax if is_discrete else stream_ac.Gaussian)(space, rng)
    actor = stream_ac.Network(4, policy.n_outputs, rng)
    actor.parameters += 0.3 * rng.randn(actor.parameters.size)
    x = rng.randn(4)
    action, d_log, d_entropy = policy.draw(actor(x))
    actor.backward(d_log - 0.3 * d_entropy)
    found = actor.gradient.copy()

    def objective():
        outputs = actor(x)
        if is_discrete:
            chances = np.exp(outputs) / np.exp(outputs).sum()
            return np.log(chances[action]) - 0.3 * stats.entropy(chances)
        normal = stats.norm(outputs[:2], np.log1p(np.exp(outputs[2:])))
        return np.sum(normal.logpdf(action) - 0.3 * normal.entropy())

    expected = central_difference(objective, actor.parameters)
    # actions of the environment are float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_steps_of_stream_ac(rng):
    """A step by ObGD moves the output by at most the TD error over kappa, times the
    largest gradient; if the bound is not reached, the step is the textbook's."""
    critic = stream_ac.Network(4, 1, rng)
    for row in critic.weights[1]:
        assert np.count_nonzero(row) == 128 - 116
    assert all(np.count_nonzero(row) == 1 for row in critic.weights[0])
    critic(rng.randn(4))
    critic.backward(np.ones(1))
    gradient, before = critic.gradient.copy(), critic.parameters.copy()
    critic.learn(-5.0, 2.0)
    moved = critic.parameters - before
    assert np.abs(moved).sum() == pytest.approx(1 / 2)
    np.testing.assert_allclose(moved * np.abs(gradient).sum(), -gradient / 2)
    critic.trace[:] = critic.gradient[:] = 0.0
    critic.trace[0], critic.gradient[1], before = 0.1, 0.2, critic.parameters.copy()
    critic.learn(0.5, 2.0)
    moved = critic.parameters - before
    np.testing.assert_allclose(moved[:2], [0.5 * 0.99 * 0.8 * 0.1, 0.5 * 0.2])
    assert not moved[2:].any()


@pytest.mark.slow
def test_eprop_generates_a_pattern():
    """Twenty neurons that learn come below the best readout of neurons that do not."""
    learned = eprop.pattern(1000, repetitions=80, n_neurons=20)
    fixed = eprop.pattern(1000, repetitions=11, n_neurons=20, learns=())
    assert learned["errors"][0] > 0.9
    best = fixed["least squares"]
    assert learned["result"] < 0.5 * best < fixed["result"]
    # what was learned is in the weights, and does not only follow the target
    assert learned["without learning"] < 0.5 * best < fixed["without learning"]


def test_adam():
    """Its first step has one size for every weight; in the end it finds the weights."""
    row, target = np.array([[3.0, -0.2]]), np.array([1.0])
    first = 0.01 * np.array([1.0, -1.0])
    found = eprop.adam(row, target, 1, step=0.01)
    np.testing.assert_allclose(found, (row @ first - target)[0] ** 2, rtol=1e-6)
    rng = np.random.RandomState(0)
    rows, weights = rng.randn(50, 4), np.array([0.1, -0.2, 0.3, 0.0])
    assert eprop.adam(rows, rows @ weights, 200, step=1e-3) < 1e-6


def test_cues():
    """Each trial has one cue, spikes of its ten neurons, and one request to decide."""
    cues = eprop.Cues(delay=0.2, pause=0.1)
    n = round(cues.trial / 0.001)
    assert n == 600
    outputs = cues.run_steps(40 * n, rng=np.random.RandomState(0)).reshape(40, n, 43)
    spikes, due, answer = outputs[..., :40] / 1000, outputs[..., 40], outputs[..., 41:]
    assert set(np.unique(spikes)) == {0, 1}
    assert np.all(answer == answer[:, :1]) and np.all(answer.sum(axis=2) == 1)
    assert 10 < answer[:, 0, 0].sum() < 30  # both cues, by chance 20 of 40
    expected = np.zeros(n)
    expected[350:500] = 1
    assert np.all(due == expected)
    for cue in (0, 1):
        shown = spikes[answer[:, 0, cue] == 1]
        own, other = (slice(10 * k, 10 * k + 10) for k in (cue, 1 - cue))
        # 40 Hz for 0.1 s; the tolerance is five standard deviations of the mean count
        counts = shown[:, :100, own].sum(axis=1)
        assert abs(counts.mean() - 4) < 5 * np.sqrt(4 / counts.size)
        assert not shown[:, :, other].any() and not shown[:, 100:, own].any()


def test_softmax_error():
    """The error is the gradient of the cross entropy, while a decision is due."""
    logits, cue = np.array([0.3, -1.2]), np.array([0.0, 1.0])

    def loss(x):
        return -cue @ special.log_softmax(x)

    gradient = optimize.approx_fprime(logits, loss, 1e-7)
    found = eprop.softmax_error(0.0, np.concatenate([logits, [1.0], cue]))
    np.testing.assert_allclose(found, gradient, atol=1e-6)
    assert not eprop.softmax_error(0.0, np.concatenate([logits, [0.0], cue])).any()
