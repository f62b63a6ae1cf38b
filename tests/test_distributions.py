"""Distributions of actions: scores against numerical gradients, and statistics of large
samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import log_softmax

from nengo_epes.arithmetic.distributions import BoundedGaussian, Softmax

sizes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
uniforms = st.floats(0, 1, exclude_max=True)


@st.composite
def decisions(draw, largest=700.0):
    """Draw a distribution, preferences and uniform numbers."""
    distribution = Softmax(draw(sizes))
    elements = st.floats(-largest, largest)
    n = distribution.size
    preferences = draw(st.lists(elements, min_size=n, max_size=n))
    noise = draw(st.lists(uniforms, min_size=2, max_size=4))
    noise = [noise[k % len(noise)] for k in range(distribution.n_noise)]
    return distribution, np.array(preferences), np.array(noise)


def groups_of(distribution, values):
    """Split values into one array for each action."""
    return np.split(values, np.cumsum(distribution.sizes)[:-1])


def decide(distribution, decoded, noise, starts=False):
    return distribution.decide(decoded, noise, distribution.initial_memory(), starts)


@given(decisions())
def test_softmax_draws_one_of_each_group(case):
    """The action is one-hot in each group. The score is the one-hot action minus the
    probabilities, so it sums to 0. The entropy equals scipy's, and all values are
    finite."""
    distribution, preferences, noise = case
    action, score, entropy = decide(distribution, preferences, noise)
    assert set(np.unique(action)) <= {0.0, 1.0}
    expected = 0.0
    parts = [groups_of(distribution, x) for x in (preferences, action, score)]
    for h, chosen, s in zip(*parts, strict=True):
        chances = np.exp(log_softmax(h))
        assert chosen.sum() == 1
        assert_allclose(s, chosen - chances, rtol=0, atol=1e-14)
        assert abs(s.sum()) < 1e-14
        # an alternative of probability 0 is never chosen
        assert chances[chosen.argmax()] > 0
        expected += stats.entropy(chances)
    assert_allclose(entropy, expected, rtol=1e-9, atol=1e-12)
    assert 0 <= entropy <= np.log(distribution.sizes).sum() + 1e-12


@given(decisions())
def test_softmax_chooses_by_share(case):
    """The uniform number of a group lies in the share of the chosen alternative."""
    distribution, preferences, noise = case
    action, _, _ = decide(distribution, preferences, noise)
    parts = [groups_of(distribution, x) for x in (preferences, action)]
    for h, chosen, uniform in zip(*parts, noise, strict=True):
        chances, k = np.exp(log_softmax(h)), chosen.argmax()
        assert chances[:k].sum() - 1e-14 <= uniform
        assert uniform <= chances[: k + 1].sum() + 1e-14


@given(decisions(largest=5.0))
def test_softmax_score_is_the_gradient(case):
    """The score is the gradient of the joint log probability of all actions, by central
    differences."""
    distribution, preferences, noise = case
    action, score, _ = decide(distribution, preferences, noise)

    def log_probability(h):
        return sum(
            log_softmax(part)[chosen.argmax()]
            for part, chosen in zip(
                groups_of(distribution, h), groups_of(distribution, action), strict=True
            )
        )

    step = 1e-5
    expected = [
        (log_probability(preferences + d) - log_probability(preferences - d)) / 2 / step
        for d in step * np.eye(distribution.size)
    ]
    assert_allclose(score, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("h", [-700.0, 0.0, 700.0])
@pytest.mark.parametrize("uniform", [0.0, 0.5, np.nextafter(1.0, 0.0)])
def test_softmax_of_equal_preferences(h, uniform):
    """All alternatives have the same probability; a uniform number of 0 selects the
    first, a number just below 1 the last."""
    distribution = Softmax(5)
    action, score, entropy = decide(distribution, np.full(5, h), np.array([uniform]))
    chosen = {0.0: 0, 0.5: 2}.get(uniform, 4)
    assert_array_equal(action, np.eye(5)[chosen])
    assert_allclose(score, np.eye(5)[chosen] - 0.2, rtol=1e-14)
    assert_allclose(entropy, np.log(5), rtol=1e-14)


def test_softmax_never_takes_what_has_no_chance():
    """A number just below 1 selects the last alternative of positive probability; the
    other probabilities are exactly 0."""
    just_below = np.array([np.nextafter(1.0, 0.0)])
    for h in ([0.1, 0.2, -1e4], [700.0, -700.0, -700.0], [1e4, 1e4, -1e4]):
        action, score, entropy = decide(Softmax(3), np.array(h), just_below)
        assert action[2] == 0
        assert np.isfinite(score).all() and np.isfinite(entropy)
    certain = decide(Softmax(3), np.array([0.0, 1e4, 0.0]), just_below)
    assert_array_equal(certain[0], [0, 1, 0])
    assert_array_equal(certain[1], [0, 0, 0])
    assert certain[2] == 0.0


def test_softmax_frequencies():
    """Over 20,000 decisions of two actions the frequency of each pair is the product of
    its probabilities, within four standard errors."""
    distribution, n = Softmax((2, 3)), 20_000
    h = np.array([0.5, -0.5, 0.0, 1.0, -1.0])
    generator, counts = np.random.default_rng(0), np.zeros((2, 3))
    for _ in range(n):
        noise = distribution.draw_noise(generator)
        assert noise.shape == (2,) and (noise >= 0).all() and (noise < 1).all()
        action, _, _ = decide(distribution, h, noise)
        counts += np.outer(action[:2], action[2:])
    chances = np.outer(*(np.exp(log_softmax(part)) for part in (h[:2], h[2:])))
    errors = np.sqrt(chances * (1 - chances) / n)
    assert (np.abs(counts / n - chances) < 4 * errors).all()


@given(decisions())
def test_softmax_best(case):
    """The best action has the largest preference in each group."""
    distribution, preferences, _ = case
    best = groups_of(distribution, distribution.best(preferences))
    for h, chosen in zip(groups_of(distribution, preferences), best, strict=True):
        assert_array_equal(np.flatnonzero(chosen), [h.argmax()])


def test_softmax_is_a_value():
    """An integer stands for one action; equal distributions compare equal and have the
    same hash."""
    assert Softmax(3) == Softmax((3,)) == Softmax([np.int64(3)])
    assert hash(Softmax(3)) == hash(Softmax((3,)))
    assert Softmax((3, 2)) != Softmax((2, 3))
    assert (Softmax((3, 2)).size, Softmax((3, 2)).n_noise) == (5, 2)
    assert eval(repr(Softmax((3, 2)))) == Softmax((3, 2))


# a Gaussian


def independent(size=1, **options):
    """Return a Gaussian without slow noise, whose density is a product."""
    return BoundedGaussian(size, slow=0.0, **options)


@pytest.mark.parametrize("std", [0.1, 0.8, 3.0])
def test_gaussian_score_is_the_gradient(std, rng):
    """Within the bounds the score is the gradient of the log density with respect to
    the mean, by central differences."""
    distribution = independent(3, std=std, reach=1.5)
    for _ in range(20):
        mean, noise = rng.uniform(-1.4, 1.4, 3), rng.randn(6)
        action, score, entropy = decide(distribution, mean, noise)

        def log_density(m, action=action):
            return stats.norm.logpdf(action, m, std).sum()

        step = 1e-5 * std
        expected = [
            (log_density(mean + d) - log_density(mean - d)) / 2 / step
            for d in step * np.eye(3)
        ]
        assert_allclose(score, expected, rtol=1e-5, atol=1e-5 / std)
        assert_allclose(action, mean + std * noise[3:], rtol=1e-14)
        assert entropy == 0.0


def test_gaussian_pulls_back():
    """Beyond the bound the actions equal the actions of a mean at the bound, and the
    mean score points back, by the excess over the standard deviation."""
    distribution = independent(2, std=0.5, reach=1.5)
    decoded = np.array([2.5, -1.75])
    draws = [
        decide(distribution, decoded, noise)
        for noise in np.random.RandomState(0).randn(4000, 4)
    ]
    actions, scores = np.array([d[0] for d in draws]), np.array([d[1] for d in draws])
    error = 4 / np.sqrt(4000)
    assert_allclose(actions.mean(axis=0), [1.5, -1.5], rtol=0, atol=0.5 * error)
    assert_allclose(scores.mean(axis=0), [-2.0, 0.5], rtol=0, atol=error)
    # continuous at the bound
    noise = np.array([0.3, 0.3, 0.1, -0.2])
    inside = decide(distribution, np.array([1.5 - 1e-9, -1.5 + 1e-9]), noise)
    outside = decide(distribution, np.array([1.5 + 1e-9, -1.5 - 1e-9]), noise)
    for one, other in zip(inside[:2], outside[:2], strict=True):
        assert_allclose(one, other, rtol=0, atol=1e-8)


def test_slow_noise():
    """The noise has variance 1; its correlation over k decisions is the slow share
    times kept**k, within four standard errors."""
    slow, kept, n = 0.3, 0.9, 100_000
    distribution = BoundedGaussian(1, std=1.0, slow=slow, kept=kept)
    memory, generator = distribution.initial_memory(), np.random.default_rng(0)
    noise = np.array(
        [
            distribution.decide(
                np.zeros(1), distribution.draw_noise(generator), memory, k == 0
            )[0][0]
            for k in range(n)
        ]
    )

    def correlation(k):
        return float(k == 0) if k == 0 else slow * kept ** abs(k)

    # variance of an estimated autocovariance: Bartlett (1946), sum over all lags
    lags = np.arange(-300, 301)
    for k in range(6):
        got = np.mean(noise[k:] * noise[: n - k])
        spread = sum(
            correlation(j) ** 2 + correlation(j + k) * correlation(j - k) for j in lags
        )
        assert abs(got - correlation(k)) < 4 * np.sqrt(spread / n)
    assert abs(noise.mean()) < 4 * np.sqrt(sum(map(correlation, lags)) / n)


def test_slow_noise_starts_anew():
    """At the start of an episode the slow noise is drawn from its stationary
    distribution, independently of the past."""
    distribution = BoundedGaussian(2, std=1.0, slow=1.0, kept=0.9)
    noise = np.array([0.5, -2.0, 7.0, 7.0])
    found = []
    for memory in (np.zeros(2), np.array([30.0, -30.0])):
        action, _, _ = distribution.decide(np.zeros(2), noise, memory, True)
        found.append(action)
        assert_array_equal(memory, [0.5, -2.0])
        # nine tenths of it remain in the next decision
        action, _, _ = distribution.decide(np.zeros(2), 0 * noise, memory, False)
        assert_allclose(action, [0.45, -1.8], rtol=1e-14)
    assert_array_equal(found, [[0.5, -2.0]] * 2)


def test_gaussian_best_is_the_mean():
    """The best action is a copy of the mean."""
    decoded = np.array([0.3, -7.0])
    best = BoundedGaussian(2).best(decoded)
    assert_array_equal(best, decoded)
    assert not np.shares_memory(best, decoded)


def test_noise_of_decisions():
    """A Gaussian takes two normal numbers for each action."""
    distribution = BoundedGaussian(3)
    noise = distribution.draw_noise(np.random.default_rng(1))
    assert noise.shape == (distribution.n_noise,) == (6,)
    many = [distribution.draw_noise(np.random.default_rng(k)) for k in range(500)]
    assert stats.kstest(np.ravel(many), "norm").pvalue > 1e-3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Softmax(0), "sizes is 0: give ints of at least 1"),
        (lambda: Softmax((3, 0)), r"sizes is \(3, 0\): give ints of at least 1"),
        (lambda: Softmax(()), r"sizes is \(\): give ints, such as"),
        (lambda: Softmax(2.0), "sizes is 2.0: give ints, such as"),
        (lambda: Softmax("two"), "sizes is 'two': give ints, such as"),
        (lambda: BoundedGaussian(0), "size is 0: give an int of at least 1"),
        (lambda: BoundedGaussian(2.5), "size is 2.5: give an int of at least 1"),
        (lambda: BoundedGaussian(1, std=0), "std is 0: give a number above 0"),
        (lambda: BoundedGaussian(1, std=np.nan), "std is nan: give a number above 0"),
        (lambda: BoundedGaussian(1, std=np.inf), "std is inf: give a number above 0"),
        (lambda: BoundedGaussian(1, reach=-1), "reach is -1: give a number above 0"),
        (lambda: BoundedGaussian(1, slow=1.1), "slow is 1.1: give a number from 0"),
        (lambda: BoundedGaussian(1, kept=1), "kept is 1: give a number from 0 to belo"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    """The message names the parameter, its value, and the valid values."""
    with pytest.raises(ValueError, match=message):
        make()
