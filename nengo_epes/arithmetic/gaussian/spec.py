"""Settings of a Gaussian policy, and their checks."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nengo_epes.arithmetic.activations import activation_derivative

Bound = float | Sequence[float] | npt.NDArray[Any] | None


@dataclass(frozen=True)
class GaussianPolicySpec:
    """Settings of a Gaussian policy: all parameters that are not learned.

    Parameters
    ----------
    n_actions : int
        A, the dimensions of the action.
    mean_activation : str, optional
        Name of f in mu = f(m), see ``nengo_epes.arithmetic.activations``.
    fixed_std : float, optional
        sigma of every action, if it is not learned (None: it is learned).
    log_std_bounds : (float, float), optional
        (lo, hi). The standard deviation is exp(clip(l, lo, hi)).
    action_low, action_high : float, or one per action, or None, optional
        Bounds of the action (None: unbounded on that side).
    clip_before_score : bool, optional
        False: only the action for the environment is clipped. The sample is scored,
        which is unbiased. True: the clipped action is scored, which biases the update
        (ngc-learn's form).
    variance_scaled : bool, optional
        Whether the mean's score is multiplied by sigma^2, so that its step does not
        grow like 1/sigma: Williams' (1992) learning rates proportional to sigma^2. His
        step of sigma is then r sigma (z^2 - 1), with z as in `score`. As a step of
        ln sigma this is r (z^2 - 1), which is the score of the log standard
        deviation.
    stop_at_bounds : bool, optional
        Whether the score of a log standard deviation l beyond ``log_std_bounds`` is 0.
        False: the score is z^2 - 1 there too (straight-through), so that the reward can
        lead l back. True: the derivative of the clip, ngc-learn's form. An l that has
        left the bounds then never learns again.

    Raises
    ------
    ValueError
        If a value is out of range; the message names it and the range.

    Examples
    --------
    >>> spec = GaussianPolicySpec(2, "tanh", action_low=-1, action_high=[1, 0.5])
    >>> spec.n_rows, spec.action_high
    (4, (1.0, 0.5))
    """

    n_actions: int
    mean_activation: str = "identity"
    fixed_std: float | None = None
    log_std_bounds: tuple[float, float] = (-10.0, 2.0)
    action_low: Bound = None
    action_high: Bound = None
    clip_before_score: bool = False
    variance_scaled: bool = False
    stop_at_bounds: bool = False

    def __post_init__(self) -> None:
        """Check every field, and bring the bounds into a form that can be hashed."""
        check_n_actions(self.n_actions)
        activation_derivative(self.mean_activation)  # raises if it is unknown
        _check_fixed_std(self.fixed_std)
        put = object.__setattr__  # the dataclass is frozen
        put(self, "log_std_bounds", _checked_log_std_bounds(self.log_std_bounds))
        for name in ("action_low", "action_high"):
            put(self, name, _checked_bound(name, getattr(self, name), self.n_actions))
        _check_order(self.action_low, self.action_high, self.n_actions)

    @property
    def n_rows(self) -> int:
        """Number of decoded values: 2A, or A if sigma is fixed."""
        return self.n_actions * (2 if self.fixed_std is None else 1)


def check_n_actions(n_actions: int) -> None:
    """Validate the number of actions.

    Parameters
    ----------
    n_actions : int
        Number of actions.

    Raises
    ------
    ValueError
        If it is not an int of at least 1.

    Examples
    --------
    >>> check_n_actions(0)
    Traceback (most recent call last):
    ...
    ValueError: n_actions: must be an int of at least 1 (got 0)
    """
    try:
        valid = operator.index(n_actions) >= 1 and not isinstance(n_actions, bool)
    except TypeError:
        valid = False
    if not valid:
        raise ValueError(f"n_actions: must be an int of at least 1 (got {n_actions!r})")


def _check_fixed_std(std: float | None) -> None:
    if std is not None and not (np.ndim(std) == 0 and 0 < float(std) < math.inf):
        raise ValueError(
            f"fixed_std: must be one finite number above 0 (got {std!r}); pass None to "
            "learn it"
        )


def _checked_log_std_bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    values = np.asarray(bounds, dtype=float)
    if values.shape != (2,) or not np.isfinite(values).all() or values[0] >= values[1]:
        raise ValueError(
            "log_std_bounds: must be two finite numbers, the lower bound first (got "
            f"{bounds!r}); for a constant standard deviation, set fixed_std"
        )
    with np.errstate(over="ignore", under="ignore"):
        low, high = np.exp(values)
    if low == 0.0 or np.isinf(high):
        raise ValueError(
            f"log_std_bounds: standard deviations from {low:g} to {high:g} must be "
            f"finite and above 0 (got {bounds!r}); pass natural logarithms such as "
            "(-10, 2), between -700 and 700"
        )
    return float(values[0]), float(values[1])


def _checked_bound(
    name: str, bound: Bound, n_actions: int
) -> float | tuple[float, ...] | None:
    if bound is None:
        return None
    values = np.asarray(bound, dtype=float)
    if values.shape not in ((), (n_actions,)):
        raise ValueError(
            f"{name}: must be a scalar or have shape ({n_actions},) (got shape "
            f"{values.shape}); pass a number for all actions or for each action"
        )
    if np.isnan(values).any():
        raise ValueError(f"{name}: is NaN (got {bound!r}); pass None for no bound")
    return float(values) if values.ndim == 0 else tuple(values.tolist())


def _check_order(low: Bound, high: Bound, n_actions: int) -> None:
    lows = np.full(n_actions, -np.inf if low is None else low)
    highs = np.full(n_actions, np.inf if high is None else high)
    for i in np.flatnonzero(lows > highs):
        raise ValueError(
            f"action_low: must not be above action_high for action {i} (got "
            f"{lows[i]:g} and {highs[i]:g}); swap them"
        )


def decision_layout(n_rows: int, n_actions: int) -> dict[str, slice]:
    """Return the entries of the vector that describes a decision.

    The policy node outputs this vector, and the learning rule receives it.

    Parameters
    ----------
    n_rows : int
        R, the length of the score.
    n_actions : int
        A, the length of all but the score.

    Returns
    -------
    dict of str to slice
        ``decided`` (1 in the step of a decision, else 0), ``score``, ``action``,
        ``mean``, ``standard_deviation`` and ``log_density``, in this order.

    Examples
    --------
    >>> decision_layout(n_rows=2, n_actions=1)["action"]
    slice(3, 4, None)
    """
    sizes = {"decided": 1, "score": n_rows}
    for name in ("action", "mean", "standard_deviation", "log_density"):
        sizes[name] = n_actions
    layout, start = {}, 0
    for name, size in sizes.items():
        layout[name] = slice(start, start + size)
        start += size
    return layout
