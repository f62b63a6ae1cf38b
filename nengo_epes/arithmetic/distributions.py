"""Distributions of actions: how an actor draws actions, and the score of what it drew.

A distribution receives decoded values and the noise of one decision. Its score is the
gradient of the log probability of the action with respect to the decoded values, the
characteristic eligibility of an actor. Plain functions of arrays, no Nengo.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BoundedGaussian", "Softmax"]

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class Softmax:
    r"""One softmax for each of several discrete actions.

    Parameters
    ----------
    sizes : int or sequence of int
        Number of alternatives of each action; an int for a single action.

    Raises
    ------
    ValueError
        If there is no action, or an action without alternatives.

    Examples
    --------
    >>> distribution = Softmax(2)
    >>> no_memory, noise = distribution.initial_memory(), np.array([0.9])
    >>> distribution.decide(np.zeros(2), noise, no_memory, starts=True)
    (array([0., 1.]), array([-0.5,  0.5]), 0.6931471805599453)
    """

    sizes: int | Sequence[int]

    def __post_init__(self) -> None:
        """Check the sizes, and make them a tuple."""
        given = np.atleast_1d(np.asarray(self.sizes))
        if given.ndim != 1 or not given.size or given.dtype.kind not in "iu":
            raise ValueError(f"sizes is {self.sizes!r}: give ints, such as 2 or (3, 2)")
        if given.min() < 1:
            raise ValueError(f"sizes is {self.sizes!r}: give ints of at least 1")
        object.__setattr__(self, "sizes", tuple(given.tolist()))

    @property
    def size(self) -> int:
        """(int) Number of decoded values, and of entries of an action."""
        return sum(self._groups)

    @property
    def n_noise(self) -> int:
        """(int) Random numbers for each decision."""
        return len(self._groups)

    @property
    def _groups(self) -> tuple[int, ...]:
        assert isinstance(self.sizes, tuple)
        return self.sizes

    def initial_memory(self) -> FloatArray:
        """Return what is remembered between decisions: nothing."""
        return np.zeros(0)

    def draw_noise(self, generator: np.random.Generator) -> FloatArray:
        """Return uniform numbers in [0, 1), shape (n_noise,)."""
        return generator.random(self.n_noise)

    def decide(
        self, decoded: FloatArray, noise: FloatArray, memory: FloatArray, starts: bool
    ) -> tuple[FloatArray, FloatArray, float]:
        """Draw an action.

        Parameters
        ----------
        decoded : (size,) array
            Preferences of all alternatives, grouped by action.
        noise : (n_noise,) array
            Numbers in [0, 1).
        memory : (0,) array
            Not used.
        starts : bool
            Not used.

        Returns
        -------
        action : (size,) array
            1 for the chosen alternative of each action, 0 for the others.
        score : (size,) array
            Gradient of the log probability with respect to the preferences.
        entropy : float
            Entropy of the distribution in nats.
        """
        # plain floats: for a few alternatives numpy takes three times as long
        preferences = decoded.tolist()
        action, score = [0.0] * len(preferences), [0.0] * len(preferences)
        entropy, start = 0.0, 0
        for size, uniform in zip(self._groups, noise.tolist(), strict=True):
            group = preferences[start : start + size]
            largest = max(group)
            grown = [math.exp(preference - largest) for preference in group]
            total, rung, chosen = sum(grown), 0.0, None
            for i, part in enumerate(grown):
                chance = part / total
                score[start + i] = -chance
                if chance > 0.0:
                    entropy -= chance * math.log(chance)
                rung += part
                if chosen is None and rung > uniform * total:
                    chosen = start + i
            if chosen is None:  # rounding: the last possible action takes the rest
                chosen = start + max(i for i, part in enumerate(grown) if part > 0.0)
            action[chosen] = 1.0
            score[chosen] += 1.0
            start += size
        return np.array(action), np.array(score), entropy

    def best(self, decoded: FloatArray) -> FloatArray:
        """Return the most probable action, shape (size,)."""
        action, start = np.zeros(len(decoded)), 0
        for size in self._groups:
            action[start + int(decoded[start : start + size].argmax())] = 1.0
            start += size
        return action


@dataclass(frozen=True)
class BoundedGaussian:
    r"""A Gaussian around a mean that acts only within bounds, partly slow.

    .. math:: a = \mathrm{clip}(m, -b, b) + \sigma \epsilon, \qquad
       s = \frac{\epsilon - (m - \mathrm{clip}(m, -b, b))}{\sigma}

    for decoded means m, actions a with the range [-1, 1], and the score s. The actor
    acts as if the mean were at the bound. The excess is subtracted from the score, so
    that the mean does not drift further outside the bounds. A part of the noise is
    slow: it stays similar for several decisions, so that exploration gets somewhere.

    Parameters
    ----------
    size : int
        Number of actions.
    std : float, optional
        Standard deviation :math:`\sigma` of each action, in half ranges.
    reach : float, optional
        Bound b, in half ranges.
    slow : float, optional
        Share of slow noise in the variance, from 0 to 1.
    kept : float, optional
        Correlation of the slow noise of successive decisions, from 0 to below 1.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    A mean of 2 acts as 1.5, and the score pulls it back:

    >>> distribution = BoundedGaussian(1, std=0.5, slow=0.0)
    >>> memory, no_noise = distribution.initial_memory(), np.zeros(2)
    >>> distribution.decide(np.array([2.0]), no_noise, memory, starts=True)
    (array([1.5]), array([-1.]), 0.0)
    """

    size: int
    std: float = 0.8
    reach: float = 1.5
    slow: float = 0.3
    kept: float = 0.9

    def __post_init__(self) -> None:
        """Check the parameters."""
        is_int = isinstance(self.size, int | np.integer)
        limits = {
            "size": (is_int and self.size >= 1, "an int of at least 1"),
            "std": (0 < self.std < math.inf, "a number above 0"),
            "reach": (0 < self.reach < math.inf, "a number above 0"),
            "slow": (0 <= self.slow <= 1, "a number from 0 to 1"),
            "kept": (0 <= self.kept < 1, "a number from 0 to below 1"),
        }
        for name, (fits, wanted) in limits.items():
            if not fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}: give {wanted}")

    @property
    def n_noise(self) -> int:
        """(int) Random numbers for each decision."""
        return 2 * self.size

    def initial_memory(self) -> FloatArray:
        """Return the slow noise before the first decision, shape (size,)."""
        return np.zeros(self.size)

    def draw_noise(self, generator: np.random.Generator) -> FloatArray:
        """Return standard normal numbers, shape (n_noise,)."""
        return generator.standard_normal(self.n_noise)

    def decide(
        self, decoded: FloatArray, noise: FloatArray, memory: FloatArray, starts: bool
    ) -> tuple[FloatArray, FloatArray, float]:
        """Draw an action.

        Parameters
        ----------
        decoded : (size,) array
            Means, in half ranges.
        noise : (n_noise,) array
            Standard normal numbers: innovations of the slow noise, then the fast noise.
        memory : (size,) array
            Slow noise of the last decision; changed in place.
        starts : bool
            Whether this is the first decision of an episode, where the slow noise
            starts anew.

        Returns
        -------
        action : (size,) array
            Action in half ranges, not clipped.
        score : (size,) array
            Gradient of the log probability with respect to the mean, less the excess.
        entropy : float
            0: the entropy does not depend on what is learned.
        """
        fresh, fast = noise[: self.size], noise[self.size :]
        if starts:
            memory[...] = fresh
        else:
            memory[...] = self.kept * memory + math.sqrt(1 - self.kept**2) * fresh
        epsilon = math.sqrt(self.slow) * memory + math.sqrt(1 - self.slow) * fast
        mean = np.maximum(np.minimum(decoded, self.reach), -self.reach)
        score = (epsilon - (decoded - mean)) / self.std
        return mean + self.std * epsilon, score, 0.0

    def best(self, decoded: FloatArray) -> FloatArray:
        """Return the mean action, shape (size,)."""
        return np.array(decoded)
