"""Interquartile means and their intervals, against scipy."""

import numpy as np
import pytest
from aggregate import aggregate, interquartile_mean, interval, normalized
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

SCORES = st.floats(-1e6, 1e6, allow_subnormal=False)
TABLES = arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=SCORES)


@given(arrays(float, st.integers(1, 40), elements=SCORES))
def test_interquartile_mean_is_the_trimmed_mean(scores):
    """The interquartile mean equals scipy's mean trimmed by a quarter at both ends."""
    expected = stats.trim_mean(scores, 0.25)
    assert interquartile_mean(scores) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(TABLES)
def test_interval_is_ordered_and_within_the_scores(scores):
    """The limits are in order and lie within the range of the scores."""
    low, high = interval(scores, n_resamples=50)
    rounding = 1e-9 * np.abs(scores).max()
    assert scores.min() - rounding <= low <= high <= scores.max() + rounding


@given(arrays(float, st.integers(1, 6), elements=SCORES), st.integers(1, 5))
def test_bootstrap_is_stratified(of_tasks, n_seeds):
    """If the seeds of each task have equal scores, the interval is a point, even if the
    tasks differ."""
    scores = np.repeat(of_tasks[:, None], n_seeds, axis=1)
    expected = stats.trim_mean(scores.ravel(), 0.25)
    limits = interval(scores, n_resamples=50)
    np.testing.assert_allclose(limits, [expected] * 2, rtol=1e-9, atol=1e-6)


@given(TABLES, st.floats(0.1, 10), st.floats(-100, 100))
def test_aggregate_does_not_depend_on_units(scores, scale, offset):
    """A change of the unit of the returns does not change the aggregate."""
    names = [f"task {i}" for i in range(len(scores))]
    plain, other = (
        aggregate(
            dict(zip(names, factor * scores + shift, strict=True)),
            dict.fromkeys(names, shift),
            dict.fromkeys(names, factor + shift),
            n_resamples=50,
        )
        for factor, shift in ((1.0, 0.0), (scale, offset))
    )
    # rounding of the offset, relative to scores 0.1 times as large
    atol = 1e-11 * (1000 + np.abs(scores).max())
    for key in ("interquartile mean", "95 % interval"):
        np.testing.assert_allclose(other[key], plain[key], atol=atol)


def test_interval_is_that_of_scipy(rng):
    """For one task the limits equal the limits of scipy's percentile bootstrap, within
    the error of 20,000 resamples."""
    scores = rng.randn(1, 16)
    found = interval(scores, n_resamples=20_000)
    options = {"n_resamples": 20_000, "method": "percentile", "random_state": rng}
    expected = stats.bootstrap(
        scores, lambda x, axis: stats.trim_mean(x, 0.25, axis=axis), **options
    ).confidence_interval
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert found[1] - found[0] > 0.3


def test_aggregate():
    """Scores are 0 for the random policy and 1 for the threshold; the aggregate is the
    mean of the middle half of all runs."""
    returns = {"a": [-100.0, -200.0], "b": [500.0, 20.0]}
    random, thresholds = {"a": -200.0, "b": 20.0}, {"a": -100.0, "b": 260.0}
    np.testing.assert_array_equal(normalized(returns["a"], -200.0, -100.0), [1, 0])
    found = aggregate(returns, random, thresholds)
    # the mean of 0, 0, 1 and 2 without the smallest and the largest score
    assert found["interquartile mean"] == 0.5
    assert (found["tasks"], found["seeds"]) == (2, 2)
    assert found["95 % interval"] == [0.0, 1.5]


def test_refusals():
    """Tasks with different numbers of seeds, NaN and thresholds below the random return
    are refused."""
    with pytest.raises(ValueError, match="same number of seeds"):
        aggregate({"a": [1.0], "b": [1.0, 2.0]}, {"a": 0, "b": 0}, {"a": 1, "b": 1})
    with pytest.raises(ValueError, match="not finite"):
        aggregate({"a": [np.nan]}, {"a": 0}, {"a": 1})
    with pytest.raises(ValueError, match="must exceed"):
        normalized([1.0], 1.0, 1.0)
