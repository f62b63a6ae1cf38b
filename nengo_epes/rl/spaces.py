"""Gymnasium's environments, observations and actions for a network."""

from __future__ import annotations

import numpy as np
from nengo.exceptions import ValidationError

# Gymnasium writes "no bound" also as the largest number of single precision
_UNBOUNDED = 1e30


def check_gymnasium():
    """Return the module `gymnasium`.

    Raises
    ------
    ImportError
        If it is not installed; the message names the extra.
    """
    try:
        import gymnasium
    except ImportError as error:
        raise ImportError(
            "environments need Gymnasium: pip install 'nengo-epes[environments]'"
        ) from error
    return gymnasium


def open_environment(environment, arguments):
    """Return a Gymnasium environment.

    Parameters
    ----------
    environment, arguments
        See `nengo_epes.rl.environment.Environment`.

    Raises
    ------
    ValidationError
        If it is none of the three, or has been made already and has arguments.
    """
    gymnasium = check_gymnasium()
    if isinstance(environment, gymnasium.Env):
        if arguments:
            raise ValidationError(
                f"arguments={arguments} cannot be given to {environment}, which has "
                "been made already; give its constructor instead",
                attr="arguments",
            )
        return environment
    if isinstance(environment, str):
        return gymnasium.make(environment, **arguments)
    if callable(environment):
        return environment(**arguments)
    raise ValidationError(
        f"must be the name of a registered Gymnasium environment, its constructor, or "
        f"an environment (got {environment!r})",
        attr="environment",
    )


def _bounds(space):
    """Return low and high of a Box, flat, and where both are bounds."""
    low = np.asarray(space.low, dtype=float).ravel()
    high = np.asarray(space.high, dtype=float).ravel()
    return low, high, (np.abs(low) < _UNBOUNDED) & (np.abs(high) < _UNBOUNDED)


class ObservationSpace:
    """Scales the observations of a Box to [-1, 1].

    Parameters
    ----------
    space : gymnasium.spaces.Box
        The observations.
    ranges : (entries, 2) or (entries,) array_like or None
        What is scaled to [-1, 1], see `nengo_epes.rl.environment.Environment`.

    Raises
    ------
    ValidationError
        If it is no Box, or the ranges do not fit it.
    """

    def __init__(self, space, ranges=None):
        if not isinstance(space, check_gymnasium().spaces.Box):
            raise ValidationError(
                f"observations are of the space {space}, and only those of a Box can "
                "be represented; use a wrapper such as "
                "gymnasium.wrappers.FlattenObservation",
                attr="environment",
            )
        low, high, bounded = _bounds(space)
        self.size = low.size
        self.ranges = None
        if ranges is not None:
            self.ranges = self._given(space, ranges)
            low, high = self.ranges.T
            bounded = np.ones(self.size, dtype=bool)
        # without bounds: as it is, before tanh
        low, high = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
        self._bounded = bounded
        self._all_bounded = bool(np.all(bounded))
        self._centre, self._reach = (high + low) / 2, (high - low) / 2
        # an entry that has one value only is seen as 0
        self._reach[self._reach == 0.0] = 1.0

    def _given(self, space, ranges):
        ranges = np.asarray(ranges, dtype=float)
        if ranges.shape == (self.size,):
            ranges = np.stack([-ranges, ranges], axis=1)
        fits = ranges.shape == (self.size, 2) and np.isfinite(ranges).all()
        if not fits or (ranges[:, 0] >= ranges[:, 1]).any():
            raise ValidationError(
                f"must be finite, (low, high) with low below high for each of the "
                f"{self.size} entries of {space}, or r for (-r, r) (got "
                f"{ranges.tolist()})",
                attr="observation_range",
            )
        return ranges

    def scale(self, observation):
        """Return an observation as (entries,) numbers of [-1, 1]."""
        flat = (np.ravel(observation) - self._centre) / self._reach
        # quicker than clip, for the few numbers that there are
        clipped = np.maximum(np.minimum(flat, 1.0), -1.0)
        if self._all_bounded:
            return clipped
        return np.where(self._bounded, clipped, np.tanh(flat))


class ActionSpace:
    """Makes actions of numbers.

    Parameters
    ----------
    space : gymnasium.spaces.Discrete or gymnasium.spaces.Box
        The actions.

    Raises
    ------
    ValidationError
        If it is another space.
    """

    def __init__(self, space):
        spaces = check_gymnasium().spaces
        self._space = space
        self.is_discrete = isinstance(space, spaces.Discrete)
        if self.is_discrete:
            self.size = int(space.n)
            return
        if not isinstance(space, spaces.Box) or space.dtype.kind != "f":
            raise ValidationError(
                f"actions are of the space {space}, and only those of Discrete and of "
                "a Box of real numbers can be chosen; use a wrapper that makes one "
                "of them",
                attr="environment",
            )
        self._low, self._high, self._bounded = _bounds(space)
        self.size = self._low.size

    def scale(self, numbers):
        """Return the action of (size,) numbers."""
        if self.is_discrete:
            return int(self._space.start) + int(np.argmax(numbers))
        share = (np.clip(numbers, -1.0, 1.0) + 1.0) / 2
        # where there are no bounds, 0 stands in for them
        low, high = (np.where(self._bounded, x, 0.0) for x in (self._low, self._high))
        scaled = np.where(self._bounded, low + share * (high - low), numbers)
        within = np.clip(scaled, self._low, self._high)
        return within.reshape(self._space.shape).astype(self._space.dtype)
