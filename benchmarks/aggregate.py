"""Aggregates over tasks and seeds: the interquartile mean and its interval.

Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical
precipice", recommend both for few seeds: the mean of the middle half of all runs of
all tasks, and a bootstrap interval, stratified by task.
"""

import numpy as np


def normalized(returns, random, threshold):
    """Return scores: 0 is the return of the random policy, 1 the threshold."""
    if not threshold > random:
        message = f"threshold: must exceed the random return {random} (got {threshold})"
        raise ValueError(f"{message}; check their order")
    return (np.asarray(returns, dtype=float) - random) / (threshold - random)


def interquartile_mean(scores):
    """Return the mean of the last axis without its lowest and its highest quarter.

    A quarter is rounded down to an integer number of scores.
    """
    ordered = np.sort(np.asarray(scores, dtype=float), axis=-1)
    n_cut = ordered.shape[-1] // 4
    return ordered[..., n_cut : ordered.shape[-1] - n_cut].mean(axis=-1)


def interval(scores, n_resamples=10_000, seed=0):
    """Return the limits of the 95 % interval of the interquartile mean.

    `scores` has the shape (n_tasks, n_seeds). The bootstrap draws seeds with
    replacement within each task, and the limits are percentiles.
    """
    n_tasks, n_seeds = scores.shape
    rng = np.random.RandomState(seed)
    drawn = rng.randint(n_seeds, size=(n_resamples, n_tasks, n_seeds))
    resamples = scores[np.arange(n_tasks)[:, None], drawn]
    means = interquartile_mean(resamples.reshape(n_resamples, -1))
    return tuple(np.percentile(means, [2.5, 97.5]))


def aggregate(returns, random, thresholds, n_resamples=10_000, seed=0):
    """Aggregate a table of returns.

    Parameters
    ----------
    returns : dict
        Returns of the seeds of each task; every task has the same number of seeds.
    random, thresholds : dict
        Return of the random policy, and return to reach, of each task.
    n_resamples, seed : int, optional
        Size and seed of the bootstrap.

    Returns
    -------
    dict
        The interquartile mean of the normalized returns, its 95 % interval, and the
        number of tasks and seeds.

    Raises
    ------
    ValueError
        If the tasks differ in their number of seeds, or if a return is not finite.
    """
    sizes = {task: len(values) for task, values in returns.items()}
    if len(set(sizes.values())) != 1 or 0 in sizes.values():
        message = f"returns: every task needs the same number of seeds (got {sizes})"
        raise ValueError(f"{message}; leave out what others lack")
    scores = np.array(
        [normalized(returns[x], random[x], thresholds[x]) for x in returns]
    )
    if not np.isfinite(scores).all():
        raise ValueError("returns: some are not finite (got NaN); leave out their task")
    low, high = interval(scores, n_resamples, seed)
    return {
        "interquartile mean": float(interquartile_mean(scores.ravel())),
        "95 % interval": [float(low), float(high)],
        "tasks": scores.shape[0],
        "seeds": scores.shape[1],
    }
