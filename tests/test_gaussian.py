"""The Gaussian policy against recordings, scipy, finite differences and theory."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import replay_recorded
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, special, stats

from nengo_epes.arithmetic.activations import (
    ACTIVATIONS,
    activation,
    activation_derivative,
)
from nengo_epes.arithmetic.gaussian import (
    GaussianPolicySpec,
    apply_change,
    average_gradient,
    clip_action,
    decide,
    distribution,
    log_density,
    objective,
    policy_gradient,
    score,
)

RECORDING = Path(__file__).parent / "data" / "ngc_reinforce_dev"
CASES = replay_recorded.load(RECORDING)

# The formulas, implemented with scipy.
REFERENCE = {
    "identity": lambda x: x,
    "tanh": lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
    "sigmoid": special.expit,
    "relu": lambda x: x * (x > 0),
    "relu6": lambda x: x * ((x > 0) & (x < 6)) + 6.0 * (x >= 6),
    "lrelu": lambda x: x * np.where(x > 0, 1, 0.01),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "silu": lambda x: x * special.expit(x),
    "gelu": lambda x: x * special.expit(1.702 * x),
    "telu": lambda x: x * np.tanh(np.exp(x)),
    "sine": lambda x: np.sin(30 * x),
    "heaviside": lambda x: 1.0 * (x >= 0),
    "unit_threshold": lambda x: 1.0 * (x >= 1),
    "softmax": lambda x: special.softmax(x, axis=-1),
    "bkwta": lambda x: 1.0 * (stats.rankdata(-x) <= 5),
}
STRAIGHT_THROUGH = {"heaviside", "unit_threshold"}
WITH_DERIVATIVE = [name for name in ACTIVATIONS if ACTIVATIONS[name].derivative]
KINKS = (0.0, 6.0)

# ---- recordings of ngc-learn


@pytest.mark.parametrize(
    "case, arrays", CASES, ids=[f"{case['id']}-{case['tag']}" for case, _ in CASES]
)
def test_recorded_case(case, arrays):
    """Every field of every recorded case is reproduced within its tolerance."""
    fields = replay_recorded.replay(case, arrays)
    ratios = replay_recorded.error_ratios(case, arrays, fields)
    assert set(ratios) == set(replay_recorded.FIELDS)
    assert max(ratios.values()) <= 1, ratios


@pytest.mark.parametrize("field", replay_recorded.FIELDS)
def test_replay_command_notices_a_wrong_recording(field, tmp_path, capsys):
    """The command exits with 0 for a correct recording and with 1 for a wrong one."""
    case, arrays = CASES[-1]
    path = tmp_path / "one"
    path.with_suffix(".json").write_text(json.dumps({"cases": [case]}))

    def exit_code():
        np.savez(f"{path}.npz", **{f"case{case['id']}_{k}": arrays[k] for k in arrays})
        return replay_recorded.main([str(path)])

    assert exit_code() == 0
    wrong = arrays[field] + 1.01 * replay_recorded.tolerance(case, arrays, field)
    arrays = arrays | {field: wrong}
    assert exit_code() == 1
    assert field in capsys.readouterr().out


# ---- the gradient


def reference_objective(spec, weights, activity, y, rewards, scale):
    """Return scale mean(-r ln N) for fixed y, from the definitions, with scipy."""
    decoded = activity @ weights.T
    mean = REFERENCE[spec.mean_activation](decoded[:, : spec.n_actions])
    std = spec.fixed_std
    if std is None:
        std = np.exp(np.clip(decoded[:, spec.n_actions :], *spec.log_std_bounds))
    density = stats.norm.logpdf(y, mean, std).sum(axis=1)
    return scale * np.mean(-rewards * density), mean, std


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "spec",
    [
        GaussianPolicySpec(2),
        GaussianPolicySpec(2, "tanh", log_std_bounds=(-0.5, 0.5)),
        GaussianPolicySpec(3, "softplus", log_std_bounds=(-0.5, 0.5)),
        GaussianPolicySpec(1, "sine", fixed_std=0.3),
        GaussianPolicySpec(
            2, "gelu", action_low=[-0.5, 0], action_high=0.5, clip_before_score=True
        ),
    ],
    ids=lambda spec: f"{spec.mean_activation}-{spec.n_actions}",
)
def test_weight_change_is_the_gradient(spec, seed):
    """With ``stop_at_bounds`` the weight change is the gradient of mean(r ln N), even
    beyond the bounds of l."""
    spec = replace(spec, stop_at_bounds=True)
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(spec.n_rows, 4))
    activity, rewards = rng.normal(size=(5, 4)), rng.normal(size=5)
    noise = rng.normal(size=(5, spec.n_actions))

    decision = decide(spec, activity @ weights.T, noise)
    arguments = (activity, rewards)
    ours = policy_gradient(decision.score, *arguments, scale=0.7)

    _, mean, std = reference_objective(spec, weights, activity, 0, rewards, 0.7)
    y = mean + std * noise
    if spec.clip_before_score:
        y = np.clip(y, spec.action_low, spec.action_high)
    expected = np.empty_like(weights)
    # Truncation is step^2 times the third derivative (up to 30^3 for the sine);
    # rounding is 1e-16 times the objective over the step. 1e-5 of the largest
    # element covers both.
    step = 1e-6
    for index in np.ndindex(weights.shape):
        nudge = np.zeros_like(weights)
        nudge[index] = step
        above, below = (
            reference_objective(spec, w, activity, y, rewards, 0.7)[0]
            for w in (weights + nudge, weights - nudge)
        )
        expected[index] = -(above - below) / (2 * step)
    assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())

    loss = objective(decision.log_density, rewards, scale=0.7)
    expected_loss = reference_objective(spec, weights, activity, y, rewards, 0.7)[0]
    assert_allclose(loss, expected_loss, rtol=1e-12)  # a few roundings


@pytest.mark.parametrize("stop, beyond", [(False, 3.0), (True, 0.0)])
def test_score_beyond_the_log_std_bounds(stop, beyond):
    """The score of the log std is z^2 - 1 within its bounds. Beyond them it is z^2 - 1
    by default and 0 with ``stop_at_bounds``, and the std equals its bound."""
    spec = GaussianPolicySpec(5, log_std_bounds=(-1, 0.5), stop_at_bounds=stop)
    log_std = np.array([-9.0, -1.0, 0.0, 0.5, 3.0])
    decoded, noise = np.r_[np.zeros(5), log_std], np.full(5, 2.0)
    decision = decide(spec, decoded, noise)
    assert_array_equal(decision.score[5:], [beyond, 3, 3, 3, beyond])  # 2^2 - 1
    again = score(spec, decoded, decision.action, noise)
    assert_array_equal(again[5:], decision.score[5:])
    expected = np.exp([-1, -1, 0, 0.5, 0.5])
    assert_allclose(decision.standard_deviation, expected, rtol=1e-15)  # one rounding


def learn_log_std(spec, phases, seed):
    """Learn l from a reward with a running baseline, at m = 0; return all l and std."""
    rng = np.random.default_rng(seed)
    log_std, baseline, course = 0.0, 0.0, []
    for reward_of, n_decisions in phases:
        for _ in range(n_decisions):
            decision = decide(spec, [0.0, log_std], rng.normal(size=1))
            reward = reward_of(decision.action.item())
            course.append((log_std, decision.standard_deviation.item()))
            advantage = reward - baseline if len(course) > 1 else 0.0
            baseline += max(0.05, 1 / len(course)) * (reward - baseline)
            log_std += 0.1 * advantage * decision.score[1]
    return np.transpose(course)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("side", [1, -1], ids=["upper", "lower"])
def test_std_comes_back_from_a_bound(side, seed):
    """Rewards for a larger (smaller) std move l beyond its upper (lower) bound, and
    rewards for the opposite move the std to the other bound. With ``stop_at_bounds`` it
    stays."""
    bounds = (-1.0, 1.0)
    spec = GaussianPolicySpec(1, log_std_bounds=bounds, action_low=-1, action_high=1)
    # 150 decisions away from the middle pay (cost), and then cost (pay); the way back
    # is about as long as the way out
    phases = [(lambda a: side * abs(a), 150), (lambda a: -side * abs(a), 1500)]
    bound, other = np.exp(bounds if side < 0 else bounds[::-1])
    log_std, std = learn_log_std(spec, phases, seed)
    assert side * log_std[149] > 1.5
    assert (std[149], std[-1]) == (bound, other)
    _, std = learn_log_std(replace(spec, stop_at_bounds=True), phases, seed)
    assert (std[149:] == bound).all()


def test_variance_scaling():
    """Williams' scaling changes the score of the mean to y - mu and leaves the score of
    the log std."""
    decoded, noise = np.array([0.5, -3.0, 0.2, -2.0]), np.array([1.5, -0.5])
    plain, scaled = (
        decide(GaussianPolicySpec(2, variance_scaled=option), decoded, noise)
        for option in (False, True)
    )
    # 1e-13: y - mu loses up to a digit of its sixteen.
    assert_allclose(scaled.score[:2], scaled.action - decoded[:2], rtol=1e-13)
    assert_allclose(plain.score[:2], noise / np.exp(decoded[2:]), rtol=1e-15)
    assert_array_equal(scaled.score[2:], plain.score[2:])


def test_small_std_does_not_cancel_in_float32():
    """In float32 the score of the mean is noise / sigma if nothing was clipped."""
    noise = np.array([0.3, -1.7, 0.01], dtype=np.float32)
    decoded = np.full(3, 5, dtype=np.float32)
    spec = GaussianPolicySpec(3, fixed_std=1e-5)
    # rtol: three roundings of float32; from y - mu, which has the value 0 or is a
    # multiple of 4.8e-7 here, the error would be a few per cent to 100 per cent.
    expected = noise.astype(float) / 1e-5
    assert_allclose(decide(spec, decoded, noise).score, expected, rtol=2e-7)


def test_fixed_std_rows():
    """Rows for an unused log std are allowed and have score 0."""
    spec = GaussianPolicySpec(2, fixed_std=0.5)
    short = decide(spec, [1.0, 2.0], [0.1, 0.2])
    long = decide(spec, [1.0, 2.0, 9.0, 9.0], [0.1, 0.2])
    assert_array_equal(long.score, np.r_[short.score, 0, 0])
    assert_array_equal(distribution(spec, [1, 2])[1], [0.5, 0.5])


# ---- unbiased updates


def mean_update(spec, decoded, reward, baseline=0.0, n_samples=100_000):
    """Return the mean and standard error of (r - b) score over many decisions."""
    noise = np.random.default_rng(1).normal(size=(n_samples, spec.n_actions))
    decision = decide(spec, np.tile(decoded, (n_samples, 1)), noise)
    r = reward(decision.action[:, 0]) - baseline
    mean = policy_gradient(decision.score, np.ones((n_samples, 1)), r)[:, 0]
    return mean, np.std(decision.score * r[:, None], axis=0) / np.sqrt(n_samples)


@pytest.mark.parametrize("with_baseline", [False, True])
def test_unbiased(with_baseline):
    """For r = -(y - y*)^2 the mean update is the gradient of the expected reward."""
    m, log_std, target = 0.3, -0.5, 0.7
    mu, variance = np.tanh(m), np.exp(2 * log_std)
    # E[r] = -(mu - y*)^2 - sigma^2
    gradient = np.array([-2 * (mu - target) * (1 - mu**2), -2 * variance])
    baseline = -((mu - target) ** 2) - variance if with_baseline else 0.0
    mean, error = mean_update(
        GaussianPolicySpec(1, "tanh"),
        [m, log_std],
        lambda y: -((y - target) ** 2),
        baseline,
    )
    # 3 standard errors; the samples suffice for a gradient far above them
    assert (np.abs(mean - gradient) < 3 * error).all()
    assert (np.abs(gradient) > 10 * error).all()


@pytest.mark.parametrize("clip_before_score", [False, True])
def test_clipping(clip_before_score):
    """Clipping after the score leaves the score unbiased; clipping before it does not.

    The objective is the expected reward of the clipped action.
    """
    m, log_std, target, low, high = 0.3, -0.5, 0.7, -0.2, 0.5
    # With y = mu + sigma eps: d E[r(clip(y))] = E[r'(y) dy], r' = 0 where y is clipped.
    gradient = [
        integrate.quad(
            lambda y, dy: (
                -2 * (y - target) * dy(y) * stats.norm.pdf(y, m, np.exp(log_std))
            ),
            low,
            high,
            args=(dy,),
        )[0]
        for dy in (lambda y: 1.0, lambda y: y - m)
    ]
    spec = GaussianPolicySpec(
        1, action_low=low, action_high=high, clip_before_score=clip_before_score
    )
    mean, error = mean_update(spec, [m, log_std], lambda y: -((y - target) ** 2))
    deviation = np.abs(mean - gradient) / error
    if clip_before_score:
        assert (deviation > 5).all(), deviation
    else:
        assert (deviation < 3).all(), deviation


def test_the_safe_forms_are_the_defaults():
    """By default the score uses the unclipped sample, nothing is scaled, and weights
    are unbounded."""
    decision = decide(GaussianPolicySpec(1, action_high=1), [1.0, np.log(0.5)], [2.0])
    assert decision.action == 1
    # the sample is 2; two roundings
    assert_allclose(decision.score, [2 / 0.5, 3], rtol=1e-15)
    change = policy_gradient(decision.score, [1.0], 1.0)
    weights = np.array([[0.0], [-9.0]])
    assert_array_equal(apply_change(weights, change, 1), weights + change)


# ---- properties

numbers = st.floats(-100, 100)
scores = hnp.arrays(float, (3, 4), elements=numbers)
activities = hnp.arrays(float, (3, 2), elements=numbers)
rewards = hnp.arrays(float, 3, elements=numbers)


@given(scores, activities, rewards, rewards, numbers, numbers)
def test_linear_in_the_reward(score, activity, r1, r2, a, b):
    """The weight change for a r1 + b r2 is a times the change for r1 plus b times the
    change for r2."""
    mixed = policy_gradient(score, activity, a * r1 + b * r2)
    parts = a * policy_gradient(score, activity, r1) + b * policy_gradient(
        score, activity, r2
    )
    # the sums differ by some ten roundings of their largest terms, 100^4 each
    assert_allclose(mixed, parts, rtol=0, atol=10 * 2.3e-16 * 2e8)


@given(scores, activities, hnp.arrays(float, (4, 2), elements=numbers), numbers)
def test_zero_reward_changes_nothing(score, activity, weights, learning_rate):
    """A reward of 0 leaves the weights unchanged, bit for bit, for any score."""
    change = policy_gradient(score, activity, np.zeros(3))
    assert_array_equal(apply_change(weights, change, learning_rate), weights)


@given(numbers, numbers, st.floats(1e-3, 1e3))
def test_log_density_against_scipy(y, mean, std):
    """The log density equals scipy's."""
    # rounding of the sum or, if it is near 0, of terms of order 10
    expected = stats.norm.logpdf(y, mean, std)
    assert_allclose(log_density(y, mean, std), expected, rtol=1e-13, atol=1e-13)


# ---- the update


@pytest.mark.parametrize("shape", [(), (2,), (3, 1), (1, 2), (3, 2)])
def test_learning_mask(shape):
    """A mask of any broadcastable shape scales the change of each weight."""
    rng = np.random.default_rng(0)
    weights, change, mask = (
        rng.normal(size=(3, 2)),
        rng.normal(size=(3, 2)),
        rng.random(shape),
    )
    expected = (weights + 0.5 * change) * mask + weights * (1 - mask)  # ngc-learn's
    # numbers of order 1 are added in two orders
    assert_allclose(apply_change(weights, change, 0.5, mask), expected, atol=1e-15)
    assert_array_equal(apply_change(weights, change, 0.5, np.zeros(shape)), weights)


@pytest.mark.parametrize("stop", [False, True])
def test_noise_of_one_decision_for_many_decoded_values(stop):
    """Noise without the first dimension of the decoded values applies to all of
    them."""
    spec = GaussianPolicySpec(1, log_std_bounds=(-1, 0.5), stop_at_bounds=stop)
    decoded = np.random.RandomState(0).randn(3, 4, 2)
    noise = np.random.RandomState(1).randn(4, 1)
    together = decide(spec, decoded, noise)
    for k in range(3):
        one = decide(spec, decoded[k], noise)
        for all_of_them, expected in zip(together, one, strict=True):
            assert_array_equal(all_of_them[k], expected)


def test_weight_bounds():
    """Without bounds the weights are unlimited; with bounds all weights are limited,
    even masked ones."""
    weights, change = np.array([[-3.0, 0.5, 3.0]]), np.array([[1.0, -1.0, 1.0]])
    assert_array_equal(apply_change(weights, change, 1), [[-2, -0.5, 4]])
    assert_array_equal(apply_change(weights, change, 1, 0, (0, 1)), [[0, 0.5, 1]])


def test_action_bounds_for_each_action():
    """Every action has its own bounds."""
    spec = GaussianPolicySpec(2, action_low=(0.0, -9.0), action_high=(1.0, -3.0))
    decision = decide(spec, [-5.0, 5.0, 0.0, 0.0], np.zeros(2))
    assert_array_equal(decision.action, [0.0, -3.0])


def test_accumulate_restarts_where_something_is_learned():
    """With decay 1 the average is the plain mean since the mask was last 1, element by
    element."""
    changes = np.random.default_rng(0).normal(size=(4, 2, 3))
    masks = np.zeros((4, 2, 3))
    masks[1, 0] = 1
    acc, count = np.zeros((2, 3)), 0
    for change, mask in zip(changes, masks, strict=True):
        acc, count = average_gradient(acc, count, change, decay=1.0, mask=mask)
    # a few roundings of numbers of order 1
    assert_allclose(acc[0], changes[2:, 0].mean(axis=0), atol=1e-15)
    assert_allclose(acc[1], changes[:, 1].mean(axis=0), atol=1e-15)
    assert_array_equal(count, [[2] * 3, [4] * 3])


def test_a_single_decision_needs_no_batch_dimension():
    """A decision without batch dimension equals a batch of one, and float32 is
    preserved."""
    spec = GaussianPolicySpec(1, "relu", action_low=-1, action_high=[0.5])
    decoded, noise, activity = (
        np.array(values, dtype=np.float32) for values in ([0.4, 0.1], [0.7], [1, 2, 3])
    )
    one, batch = decide(spec, decoded, noise), decide(spec, decoded[None], noise[None])
    changes = [
        policy_gradient(one.score, activity, 0.5),
        policy_gradient(batch.score, activity[None], [0.5]),
    ]
    assert_array_equal(*changes)
    moved = apply_change(changes[0], changes[1], 0.1, mask=0.5, bounds=(-1, 1))
    acc, count = average_gradient(moved, 0, changes[0], 0.9, mask=1)
    loss = objective(one.log_density, 0.5)
    for array in (one.action, one.score, one.log_density, moved, acc, count, loss):
        assert array.dtype == np.float32


# ---- activations


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_values(name):
    """Every activation equals its textbook formula and keeps the dtype of its input."""
    x = np.random.default_rng(0).normal(size=20) * 4
    # absolute 1e-14: adding 1 to a small exponential loses digits
    assert_allclose(activation(name)(x), REFERENCE[name](x), rtol=1e-14, atol=1e-14)
    assert activation(name)(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("name", sorted(set(WITH_DERIVATIVE) - STRAIGHT_THROUGH))
def test_activation_derivatives(name):
    """Away from kinks the derivative equals central differences."""
    x = np.linspace(-8, 8, 200)
    x = x[np.min([abs(x - kink) for kink in KINKS], axis=0) > 1e-3]
    step = 1e-6
    f = activation(name)
    expected = (f(x + step) - f(x - step)) / (2 * step)
    # rounding: 8 * 1e-16 / step; truncation: step^2 / 6 times 30^3 for the sine
    assert_allclose(activation_derivative(name)(x), expected, rtol=0, atol=2e-8)
    assert activation_derivative(name)(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    "name, x, expected",
    [
        ("relu", [0.0], [1.0]),
        ("relu6", [0.0, 6.0], [1.0, 1.0]),
        ("lrelu", [0.0], [1.0]),
        ("elu", [0.0], [1.0]),
        ("heaviside", [-1.0, 0.0, 1.0], [1.0, 1.0, 1.0]),
        ("unit_threshold", [0.0, 1.0, 2.0], [1.0, 1.0, 1.0]),
    ],
)
def test_derivatives_at_kinks(name, x, expected):
    """At kinks, and everywhere for step functions, the derivative is the documented
    convention."""
    assert_array_equal(activation_derivative(name)(np.array(x)), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_of_large_numbers(name, dtype):
    """No activation overflows or becomes NaN, with all numpy errors set to raise."""
    x = np.array([-1e30, -1e3, -90.0, 0.0, 90.0, 1e3, 1e30], dtype=dtype)
    with np.errstate(all="raise"):
        assert np.isfinite(activation(name)(x)).all()
        if name in WITH_DERIVATIVE:
            assert np.isfinite(activation_derivative(name)(x)).all()


# ---- errors


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n_actions": 0}, "n_actions: must be an int .*got 0"),
        ({"n_actions": 1.5}, "n_actions: .*got 1.5"),
        (
            {"mean_activation": "swish"},
            "got 'swish'.; use one of identity, tanh",
        ),
        ({"mean_activation": "bkwta"}, "elementwise derivative .got 'bkwta'"),
        ({"mean_activation": "softmax"}, "elementwise derivative .got 'softmax'"),
        ({"fixed_std": 0.0}, "fixed_std: .*got 0.0.; pass None to learn it"),
        ({"fixed_std": -1.0}, "fixed_std: .*got -1.0"),
        ({"fixed_std": np.inf}, "fixed_std: .*got inf"),
        ({"fixed_std": np.nan}, "fixed_std: .*got nan"),
        ({"fixed_std": [1.0, 2.0]}, "fixed_std: .*one finite number"),
        ({"log_std_bounds": (2, -10)}, "log_std_bounds: .*lower bound first"),
        ({"log_std_bounds": (-np.inf, 2)}, "log_std_bounds: .*two finite numbers"),
        ({"log_std_bounds": (-800, 2)}, "log_std_bounds: .* from 0 to 7.38906"),
        ({"log_std_bounds": (-10, 710)}, "log_std_bounds: .* to inf .*(-10, 2)"),
        ({"log_std_bounds": (1,)}, "log_std_bounds: .*two finite numbers"),
        ({"action_low": [1, 2, 3]}, r"action_low: .* \(2,\) .got shape \(3,\)"),
        ({"action_high": [[1, 2]]}, r"action_high: .*got shape \(1, 2\)"),
        ({"action_high": np.nan}, "action_high: .*got nan.*None for no bound"),
        ({"action_low": 1, "action_high": [2, 0]}, "for action 1.*swap them"),
    ],
)
def test_wrong_spec(arguments, message):
    """An invalid policy is refused; the message names the value and a remedy."""
    with pytest.raises(ValueError, match=message):
        GaussianPolicySpec(**({"n_actions": 2} | arguments))


SPEC = GaussianPolicySpec(2)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: distribution(SPEC, np.zeros(2)),
            r"shape \(2,\), .* need 4 in the last",
        ),
        (lambda: score(SPEC, np.zeros((1, 3)), np.zeros(2)), r"shape \(1, 3\)"),
        (lambda: decide(SPEC, 1.0, 1.0), r"shape \(\)"),
        # numpy would broadcast these over all actions
        (
            lambda: decide(SPEC, np.zeros(4), np.zeros(1)),
            r"noise: must have 2 actions .*got shape \(1,\)",
        ),
        (
            lambda: decide(GaussianPolicySpec(1), np.zeros(2), np.zeros(3)),
            r"noise: must have 1 actions .*got shape \(3,\)",
        ),
        (lambda: score(SPEC, np.zeros(4), 0.5), r"y: .*got shape \(\)"),
        (
            lambda: score(SPEC, np.zeros(4), np.zeros((2, 1))),
            r"y: .*\(2, 1\)",
        ),
        (
            lambda: score(SPEC, np.zeros(4), np.zeros(2), [1.0]),
            r"noise: .*\(1,",
        ),
        (
            lambda: policy_gradient(np.ones((2, 4)), np.ones((3, 5)), [1, 1]),
            "activity: .*2 decisions .got 3",
        ),
        (
            lambda: policy_gradient(np.ones((2, 4)), np.ones((2, 5)), 1.0),
            r"reward: .*2 decisions .got shape \(1,\)",
        ),
        (
            lambda: objective(np.ones((2, 4)), [1.0, 2.0, 3.0]),
            r"2 .*got shape \(3,\)",
        ),
        (lambda: apply_change(np.ones((2, 3)), np.ones((3, 2)), 1), "change: "),
        (
            lambda: apply_change(np.ones((2, 3)), 1, 1, np.ones(2)),
            r"mask: .*got shape \(2,\)",
        ),
        (lambda: apply_change(1, 1, 1, np.ones((1, 1))), r"mask: .*got shape \(1, 1\)"),
        (
            lambda: apply_change(1, 1, 1, bounds=(1, 0)),
            r"bounds: .*got \(1, 0\).*swap them",
        ),
        (lambda: activation("nope"), "got 'nope'.; use one of .* bkwta"),
        (
            lambda: activation_derivative("bkwta"),
            "one of identity.* unit_threshold$",
        ),
        (lambda: activation("bkwta")(np.ones((2, 4))), "rows of 4 values.* at least 5"),
    ],
)
def test_wrong_call(call, message):
    """Wrong shapes, crossed bounds and unknown names are refused by name."""
    with pytest.raises(ValueError, match=message):
        call()


def test_spec_is_a_value():
    """Two equal descriptions compare equal and have the same hash, for any type of
    their bounds."""
    arrays = GaussianPolicySpec(2, action_low=np.zeros(2), log_std_bounds=[-10, 2])
    assert arrays == GaussianPolicySpec(2, action_low=(0.0, 0.0))
    assert len({arrays, GaussianPolicySpec(2, action_low=[0, 0])}) == 1
    assert_array_equal(clip_action([-1, 2], arrays.action_low), [0, 2])
