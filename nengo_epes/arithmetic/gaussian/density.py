"""Drawing from a Gaussian policy: sample, log density, score."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nengo_epes.arithmetic.activations import (
    FloatArray,
    activation,
    activation_derivative,
)
from nengo_epes.arithmetic.gaussian.spec import Bound, GaussianPolicySpec

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


def floats(values: npt.ArrayLike) -> FloatArray:
    """Return floats as they are, and anything else in double precision."""
    array = np.asarray(values)
    return array if array.dtype.kind == "f" else array.astype(float)


def sample(mean: npt.ArrayLike, std: npt.ArrayLike, noise: npt.ArrayLike) -> FloatArray:
    """Return y = mu + sigma eps, a sample of N(mu, sigma^2).

    Parameters
    ----------
    mean, std, noise : array_like (..., A)
        mu, sigma, and eps, which is standard normal.

    Examples
    --------
    >>> print(sample(mean=[1.0, 2.0], std=[0.5, 0.1], noise=[-1.0, 3.0]))
    [0.5 2.3]
    """
    return floats(mean) + floats(std) * floats(noise)


def clip_action(y: npt.ArrayLike, low: Bound = None, high: Bound = None) -> FloatArray:
    """Return y limited to [low, high].

    Parameters
    ----------
    y : array_like (..., A)
        Actions.
    low, high : float, or one per action, or None, optional
        The bounds (None: none on that side).

    Examples
    --------
    >>> print(clip_action([-3.0, 3.0], low=-1, high=[1, 2]))
    [-1.  2.]
    """
    clipped = floats(y)
    if low is not None:
        clipped = np.maximum(clipped, np.asarray(low, dtype=clipped.dtype))
    if high is not None:
        clipped = np.minimum(clipped, np.asarray(high, dtype=clipped.dtype))
    return clipped


def _standardized(
    y: FloatArray, mean: FloatArray, std: FloatArray, noise: npt.ArrayLike | None
) -> FloatArray:
    # y - mu cancels if sigma is small relative to mu, so z would be inexact in float32;
    # without clipping, z is the noise.
    z = (y - mean) / std
    if noise is None:
        return z
    return np.where(y == sample(mean, std, noise), floats(noise), z)


def log_density(
    y: npt.ArrayLike,
    mean: npt.ArrayLike,
    std: npt.ArrayLike,
    noise: npt.ArrayLike | None = None,
) -> FloatArray:
    """Return ln N(y; mu, sigma^2) = -z^2/2 - ln sigma - ln(2 pi)/2, z = (y - mu)/sigma.

    Parameters
    ----------
    y, mean, std : array_like
        y, mu and sigma; the result has the shape to which they broadcast.
    noise : array_like, optional
        What y was drawn with: taken for z wherever y is ``sample(mean, std, noise)``
        itself (and was not clipped), because y - mu cancels if sigma is small.

    Examples
    --------
    >>> print(log_density(y=[0.0, 1.0], mean=0.0, std=1.0).round(4))
    [-0.9189 -1.4189]
    """
    y, mean, std = floats(y), floats(mean), floats(std)
    z = _standardized(y, mean, std, noise)
    return _log_density(std, z)


def _log_density(std: FloatArray, z: FloatArray) -> FloatArray:
    return -0.5 * z * z - (np.log(std) + LOG_SQRT_2PI)


def _split(
    spec: GaussianPolicySpec, decoded: npt.ArrayLike
) -> tuple[FloatArray, FloatArray | None]:
    """Return m and l; l is None if sigma is fixed."""
    values = floats(decoded)
    n_rows = values.shape[-1] if values.ndim else 0
    if n_rows not in (spec.n_rows, 2 * spec.n_actions):
        raise ValueError(
            f"the policy got decoded values of shape {values.shape}, but its "
            f"{spec.n_actions} actions need {spec.n_rows} in the last dimension: the "
            "means, then, unless fixed_std is set, as many log standard deviations"
        )
    m, log_std = values[..., : spec.n_actions], values[..., spec.n_actions :]
    return m, log_std if log_std.shape[-1] else None


def _check_actions(spec: GaussianPolicySpec, **given: npt.ArrayLike | None) -> None:
    """Refuse an array that would need broadcasting over the actions."""
    for name, values in given.items():
        if values is not None and np.shape(values)[-1:] != (spec.n_actions,):
            raise ValueError(
                f"{name}: must have {spec.n_actions} actions in the last dimension "
                f"(got shape {np.shape(values)}); pass one value for each action"
            )


def distribution(
    spec: GaussianPolicySpec, decoded: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Return mu = f(m) and sigma = exp(clip(l, lo, hi)), or the fixed sigma.

    Parameters
    ----------
    spec : GaussianPolicySpec
        The policy.
    decoded : array_like (..., R)
        m, then l; if sigma is fixed, l is optional and ignored.

    Returns
    -------
    mean, std : ndarray (..., A)
        mu and sigma.

    Examples
    --------
    >>> mean, std = distribution(GaussianPolicySpec(1, "relu"), [-3.0, 0.0])
    >>> print(mean, std)
    [0.] [1.]
    """
    return _distribution(spec, *_split(spec, decoded))


def _distribution(
    spec: GaussianPolicySpec, m: FloatArray, log_std: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    mean = activation(spec.mean_activation)(m)
    if log_std is None or spec.fixed_std is not None:
        return mean, np.full_like(mean, spec.fixed_std)
    low, high = spec.log_std_bounds
    # 1.8 times faster than np.clip for one action
    return mean, np.exp(np.minimum(np.maximum(log_std, low), high))


def score(
    spec: GaussianPolicySpec,
    decoded: npt.ArrayLike,
    y: npt.ArrayLike,
    noise: npt.ArrayLike | None = None,
) -> FloatArray:
    """Return the characteristic eligibilities d ln N(y; mu, sigma^2) / d(decoded).

    With z = (y - mu) / sigma::

        for m:  z / sigma f'(m)        (z sigma f'(m) if spec.variance_scaled)
        for l:  z^2 - 1                                 (0 if sigma is fixed)

    Beyond its bounds l does not change sigma, but its score stays z^2 - 1: the
    straight-through form. The mean of r (z^2 - 1) is the derivative of the expected
    reward by ln sigma. A reward that asks for a sigma within the bounds thus leads l
    back. With ``spec.stop_at_bounds`` the score beyond the bounds is 0, the derivative
    of the clip, and an l that has left them never learns again.

    Parameters
    ----------
    spec : GaussianPolicySpec
        The policy.
    decoded : array_like (..., R)
        m, then l, as they were when y was drawn.
    y : array_like (..., A)
        The sample (or the clipped action, in ngc-learn's form).
    noise : array_like (..., A), optional
        What y was drawn with, see `log_density`.

    Returns
    -------
    ndarray (..., R)
        One value for each decoded value.

    References
    ----------
    Williams (1992), section 6; his second parameter is sigma itself.

    Examples
    --------
    >>> print(score(GaussianPolicySpec(1), decoded=[1.0, 0.0], y=[3.0]))
    [2. 3.]
    """
    m, log_std = _split(spec, decoded)
    _check_actions(spec, y=y, noise=noise)
    mean, std = _distribution(spec, m, log_std)
    z = _standardized(floats(y), mean, std, noise)
    return _score(spec, m, log_std, std, z)


def _score(
    spec: GaussianPolicySpec,
    m: FloatArray,
    log_std: FloatArray | None,
    std: FloatArray,
    z: FloatArray,
) -> FloatArray:
    slope = activation_derivative(spec.mean_activation)(m)
    for_mean = slope * (z * std if spec.variance_scaled else z / std)
    if log_std is None:
        return for_mean
    if spec.fixed_std is not None:
        return np.concatenate([for_mean, np.zeros_like(log_std)], axis=-1)
    # the noise of one decision may serve many decoded values
    for_log_std = np.broadcast_to(z * z - 1, for_mean.shape)
    if spec.stop_at_bounds:
        low, high = spec.log_std_bounds
        for_log_std = for_log_std * ((low <= log_std) & (log_std <= high))
    return np.concatenate([for_mean, for_log_std], axis=-1)


class Decision(NamedTuple):
    """Action of `decide`, and the numbers that its update needs.

    Parameters
    ----------
    score : ndarray (..., R)
        Characteristic eligibilities of the decoded values, see `score`.
    action : ndarray (..., A)
        Action for the environment, within the action bounds.
    mean, standard_deviation : ndarray (..., A)
        mu and sigma.
    log_density : ndarray (..., A)
        Log density of the sample, or of the action if ``clip_before_score`` is set.

    Examples
    --------
    >>> decision = decide(GaussianPolicySpec(1), decoded=[1.0, 0.0], noise=[0.5])
    >>> print(decision.action, decision.standard_deviation)
    [1.5] [1.]
    """

    score: FloatArray
    action: FloatArray
    mean: FloatArray
    standard_deviation: FloatArray
    log_density: FloatArray


def decide(
    spec: GaussianPolicySpec, decoded: npt.ArrayLike, noise: npt.ArrayLike
) -> Decision:
    """Draw an action, and take its score.

    Parameters
    ----------
    spec : GaussianPolicySpec
        The policy.
    decoded : array_like (..., R)
        m, then l.
    noise : array_like (..., A)
        eps, standard normal.

    Examples
    --------
    The environment gets 1, but what counts for learning is that 3 was drawn:

    >>> spec = GaussianPolicySpec(1, action_high=1)
    >>> decision = decide(spec, decoded=[1.0, 0.0], noise=[2.0])
    >>> print(decision.action, decision.score)
    [1.] [2. 3.]
    """
    _check_actions(spec, noise=noise)
    m, log_std = _split(spec, decoded)
    mean, std = _distribution(spec, m, log_std)
    noise = floats(noise)
    drawn = mean + std * noise
    action = clip_action(drawn, spec.action_low, spec.action_high)
    z = noise
    if spec.clip_before_score and action is not drawn:
        z = _standardized(action, mean, std, noise)
    return Decision(
        score=_score(spec, m, log_std, std, z),
        action=action,
        mean=mean,
        standard_deviation=std,
        log_density=_log_density(std, z),
    )
