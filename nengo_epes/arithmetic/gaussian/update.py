"""Learning of a Gaussian policy: weight changes from rewards and stored scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nengo_epes.arithmetic.activations import FloatArray
from nengo_epes.arithmetic.gaussian.density import floats


def objective(
    log_density: npt.ArrayLike, reward: npt.ArrayLike, scale: float = 1.0
) -> FloatArray:
    """Return the loss of REINFORCE: scale mean_b(-r_b sum_a ln N(y_ba)), a scalar.

    Its gradient is minus `policy_gradient` of the same scale, if the score is not
    scaled by the variance.

    Parameters
    ----------
    log_density : array_like (B, A) or (A,)
        Log densities of the decisions, see `Decision`.
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
            f"reward: must have one number for each of {len(decisions)} decisions "
            f"(got shape {rewards.shape}); pass an array of shape ({len(decisions)},)"
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
        Scores of the decisions, see `Decision`.
    activity : array_like (B, n_pre) or (n_pre,)
        Presynaptic activities a from which these decisions were decoded.
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
            f"activity: must have one row for each of {n_decisions} decisions (got "
            f"{len(activities)}); pass the activities from which they were decoded"
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
        Bounds of all weights, masked weights included. ngc-learn uses (0, w_bound). By
        default the weights have no bounds.

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
            "bounds: the lower bound must not be above the upper bound (got "
            f"{bounds!r}); swap them, or pass None for no bounds"
        )
    return np.clip(moved, *bounds)


def _check_fits(name: str, shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    try:
        fits = np.broadcast_shapes(shape, target) == target
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name}: must broadcast to the shape {target} of the weights (got shape "
            f"{shape}); pass a scalar, or shape (rows, 1), (n_pre,) or (rows, n_pre)"
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

    This is ngc-learn's ``accumulated_gradients``: an observable, with the reward
    inside, that no update uses. It is not an eligibility trace.

    Parameters
    ----------
    accumulated, change : array_like (R, n_pre)
        acc of the steps before, and dW from `policy_gradient`.
    count : array_like
        n of the steps before, 0 at first; of the mask's shape, or a scalar.
    decay : float
        Decay of earlier changes; with 1, acc is the plain mean over the steps since the
        latest weight change.
    mask : array_like, optional
        Mask of `apply_change`; the count restarts for weights that learn.

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
