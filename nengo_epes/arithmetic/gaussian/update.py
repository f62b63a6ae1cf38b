"""Learning of a Gaussian policy: what a reward makes of a held score."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nengo_epes.arithmetic.activations import FloatArray
from nengo_epes.arithmetic.gaussian.density import floats


def objective(
    log_density: npt.ArrayLike, reward: npt.ArrayLike, scale: float = 1.0
) -> FloatArray:
    """Return what REINFORCE descends: scale mean_b(-r_b sum_a ln N(y_ba)), a scalar.

    Its gradient is minus `policy_gradient` of the same scale, where the score is not
    scaled by the variance.

    Parameters
    ----------
    log_density : array_like (B, A) or (A,)
        ln N of what was scored, see `Decision`.
    reward : array_like (B,) or ()
        r, for each decision.
    scale : float, optional
        ngc-learn's is 0.01.

    Examples
    --------
    >>> print(objective([[-1.0, -2.0], [-1.0, 0.0]], reward=[1.0, 3.0]))
    3.0
    """
    densities = np.atleast_2d(floats(log_density))
    rewards = _per_decision(reward, densities)
    return np.asarray(float(scale) * np.mean(-rewards * densities.sum(axis=-1)))


def _per_decision(reward: npt.ArrayLike, decisions: FloatArray) -> FloatArray:
    rewards = np.atleast_1d(np.asarray(reward, dtype=decisions.dtype))
    if rewards.shape != decisions.shape[:1]:
        raise ValueError(
            f"the reward has shape {rewards.shape}, but there are {len(decisions)} "
            "decisions: give one number for each of them"
        )
    return rewards


def policy_gradient(
    score: npt.ArrayLike,
    activity: npt.ArrayLike,
    reward: npt.ArrayLike,
    scale: float = 1.0,
) -> FloatArray:
    """Return the ascent direction dW = scale / B sum_b r_b score_b a_b^T.

    Parameters
    ----------
    score : array_like (B, R) or (R,)
        The scores that were held, see `Decision`.
    activity : array_like (B, n_pre) or (n_pre,)
        a, from which these decisions were decoded.
    reward : array_like (B,) or ()
        r, for each decision.
    scale : float, optional
        ngc-learn's is 0.01.

    Returns
    -------
    ndarray (R, n_pre)
        dW.

    References
    ----------
    Williams (1992), equation 4.

    Examples
    --------
    >>> print(policy_gradient(score=[2.0, 3.0], activity=[10.0, 1.0], reward=-1.0))
    [[-20.  -2.]
     [-30.  -3.]]
    """
    scores = np.atleast_2d(floats(score))
    activities = np.atleast_2d(floats(activity))
    rewards = _per_decision(reward, scores)
    n_decisions = len(scores)
    if len(activities) != n_decisions:
        raise ValueError(
            f"the activity is that of {len(activities)} decisions, the score of "
            f"{n_decisions}: give the activity from which each was decoded"
        )
    weighted = (float(scale) / n_decisions) * rewards[:, None] * scores
    return np.asarray(weighted.T @ activities)


def apply_change(
    weights: npt.ArrayLike,
    change: npt.ArrayLike,
    learning_rate: float,
    mask: npt.ArrayLike = 1.0,
    bounds: tuple[float, float] | None = None,
) -> FloatArray:
    """Return W + mask learning_rate dW, limited to the bounds; W itself stays.

    Parameters
    ----------
    weights, change : array_like (R, n_pre)
        W, and dW from `policy_gradient`.
    learning_rate : float
        Learning rate of the gradient ascent.
    mask : array_like, optional
        Factor of each weight's change, from 0 to 1; of a shape that broadcasts to W.
    bounds : (float, float), optional
        Limits of all weights, also of those that the mask keeps from learning
        (None: none; ngc-learn's are (0, w_bound)).

    Examples
    --------
    >>> print(apply_change([[1.0, 2.0]], [[5.0, 5.0]], learning_rate=0.1, mask=[1, 0]))
    [[1.5 2. ]]
    """
    weights, change = floats(weights), floats(change)
    masks = np.asarray(mask, dtype=weights.dtype)
    _check_fits("change", change.shape, weights.shape)
    _check_fits("mask", masks.shape, weights.shape)
    moved = weights + masks * (float(learning_rate) * change)
    if bounds is None:
        return moved
    if not bounds[0] <= bounds[1]:
        raise ValueError(
            f"the weight bounds are {bounds!r}: the lower one must not be above the "
            "upper one; swap them, or give None for no bounds"
        )
    return np.clip(moved, *bounds)


def _check_fits(name: str, shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    try:
        fits = np.broadcast_shapes(shape, target) == target
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"the {name} has shape {shape}, which does not broadcast to the shape "
            f"{target} of the weights: give one value, or one per row (rows, 1), per "
            "column (n_pre,) or per weight"
        )


def average_gradient(
    accumulated: npt.ArrayLike,
    count: npt.ArrayLike,
    change: npt.ArrayLike,
    decay: float,
    mask: npt.ArrayLike = 0.0,
) -> tuple[FloatArray, FloatArray]:
    """Return the running mean acc of weight changes, and the count n of its steps.

    With n including this step: acc <- (n - 1)/n decay acc + dW/n, n <- n (1 - mask).

    This is ngc-learn's `accumulated_gradients`: an observable, with the reward inside,
    that no update uses. It is not an eligibility trace.

    Parameters
    ----------
    accumulated, change : array_like (R, n_pre)
        acc of the steps before, and dW from `policy_gradient`.
    count : array_like
        n of the steps before, 0 at first; of the mask's shape, or a scalar.
    decay : float
        1: acc is the plain mean over the steps since something was learned.
    mask : array_like, optional
        As in `apply_change`; the count begins anew where something is learned.

    Returns
    -------
    accumulated : ndarray (R, n_pre)
        acc.
    count : ndarray
        n, of the mask's shape.

    Examples
    --------
    >>> acc, n = average_gradient([[1.0]], count=1, change=[[4.0]], decay=1.0)
    >>> print(acc, n)
    [[2.5]] 2.0
    """
    accumulated, change = floats(accumulated), floats(change)
    before = np.asarray(count, dtype=accumulated.dtype)
    now = before + 1
    mean = before / now * float(decay) * accumulated + change / now
    return mean, np.asarray(now * (1 - np.asarray(mask, dtype=accumulated.dtype)))
