"""One decision: for a few actions Python's floats are quicker than numpy's calls."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nengo_epes.activations import FloatArray, activation, activation_derivative
from nengo_epes.gaussian.density import LOG_SQRT_2PI, decide
from nengo_epes.gaussian.spec import Bound, GaussianPolicySpec

# about so many actions take as long in numpy
FEW = 8


def decide_once(
    spec: GaussianPolicySpec, decoded: FloatArray, noise: FloatArray
) -> FloatArray | list[float]:
    """Return what `decide` returns, for one decision and in one sequence.

    Parameters
    ----------
    spec : GaussianPolicySpec
        The policy.
    decoded : (R,) array
        m, then l where sigma is learned.
    noise : (A,) array
        eps, standard normal.

    Returns
    -------
    array or list of float
        Score, action, mean, standard deviation and log density, as
        `decision_layout` has them.

    Examples
    --------
    >>> import numpy as np
    >>> told = decide_once(GaussianPolicySpec(1), np.array([1.0, 0.0]), np.array([2.0]))
    >>> print(*told[:3])
    2.0 3.0 3.0
    """
    if spec.n_actions <= FEW:
        try:
            return _decide_few(spec, decoded, noise)
        except (OverflowError, ZeroDivisionError):
            pass  # numpy goes on with infinity
    return np.concatenate(decide(spec, decoded, noise))


def _decide_few(
    spec: GaussianPolicySpec, decoded: FloatArray, noise: FloatArray
) -> list[float]:
    n, scaled, rescored = spec.n_actions, spec.variance_scaled, spec.clip_before_score
    m = decoded[:n]
    means: list[float] = activation(spec.mean_activation)(m).tolist()
    slopes = activation_derivative(spec.mean_activation)(m).tolist()
    fixed = spec.fixed_std
    learned = fixed is None
    log_stds = decoded[n:].tolist() if fixed is None else [math.log(fixed)] * n
    lowest, highest = spec.log_std_bounds if learned else (-math.inf, math.inf)
    lows = _each(spec.action_low, -math.inf, n)
    highs = _each(spec.action_high, math.inf, n)
    for_mean, for_log_std, actions, stds, densities = [], [], [], [], []
    for i, (mean, log_std, z) in enumerate(
        zip(means, log_stds, noise.tolist(), strict=True)
    ):
        limited = min(max(log_std, lowest), highest)
        std = math.exp(limited) if fixed is None else fixed
        drawn = mean + std * z
        action = min(max(drawn, lows[i]), highs[i])
        if rescored and action != drawn:
            z = (action - mean) / std
        for_mean.append(slopes[i] * (z * std if scaled else z / std))
        if learned:
            for_log_std.append(z * z - 1.0 if limited == log_std else 0.0)
        actions.append(action)
        stds.append(std)
        densities.append(-0.5 * z * z - limited - LOG_SQRT_2PI)
    return for_mean + for_log_std + actions + means + stds + densities


def _each(bound: Bound, none: float, n: int) -> Sequence[float]:
    if bound is None:
        return (none,) * n
    return (bound,) * n if isinstance(bound, float) else tuple(bound)
