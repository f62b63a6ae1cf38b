"""Conversion between Gymnasium's spaces and the vectors of a network."""

from __future__ import annotations

import math
import operator
from functools import partial

import numpy as np
from nengo.exceptions import ValidationError

from nengo_epes.optional import load

# Gymnasium writes "no bound" also as the largest number of single precision
_UNBOUNDED = 1e30


def check_gymnasium():
    """Return the module `gymnasium`.

    Raises
    ------
    ImportError
        If Gymnasium is not installed; the message names the extra.
    """
    return load("gymnasium", "environments")


def open_environment(environment, arguments):
    """Return a Gymnasium environment.

    Parameters
    ----------
    environment : str or callable or gymnasium.Env
        Id, constructor, or an environment, which is returned as it is.
    arguments : dict
        Keyword arguments for `gymnasium.make` or the constructor.

    Returns
    -------
    gymnasium.Env

    Raises
    ------
    ImportError
        If Gymnasium is not installed, or there is no module of ``module:id``.
    gymnasium.error.UnregisteredEnv
        If the id is not registered.
    ValidationError
        If ``environment`` is of another type, if the constructor returns something
        else, or if there are arguments for an environment that exists already.

    Examples
    --------
    >>> from nengo_epes.rl.spaces import open_environment
    >>> open_environment("CartPole-v1", {"max_episode_steps": 10}).action_space
    Discrete(2)
    """
    gymnasium = check_gymnasium()
    if isinstance(environment, gymnasium.Env):
        if arguments:
            raise ValidationError(
                f"{environment}: arguments for an environment that exists already "
                f"(got {arguments}); pass its constructor instead",
                attr="arguments",
            )
        return environment
    if isinstance(environment, str):
        return _make(gymnasium, environment, arguments)
    if not callable(environment):
        raise ValidationError(
            "not the id of a registered Gymnasium environment, a constructor or a "
            f"gymnasium.Env (got {environment!r}); pass one of the three"
            + _one_at_a_time(gymnasium, environment),
            attr="environment",
        )
    gym_env = environment(**arguments)
    if not isinstance(gym_env, gymnasium.Env):
        if isinstance(gym_env, gymnasium.vector.VectorEnv):
            gym_env.close()
        raise ValidationError(
            f"{environment}: the constructor does not return a gymnasium.Env (got "
            f"{gym_env!r}); return an environment" + _one_at_a_time(gymnasium, gym_env),
            attr="environment",
        )
    return gym_env


def _make(gymnasium, name, arguments):
    """Make an environment from its id, with remedies in the messages of Gymnasium."""
    try:
        return gymnasium.make(name, **arguments)
    except gymnasium.error.UnregisteredEnv as error:
        raise type(error)(
            f"{name}: not registered (got: {error}); correct the id, import the module "
            "that registers it, or write 'module:id'"
        ) from None
    except ModuleNotFoundError as error:
        module = name.rpartition(":")[0]
        missing = getattr(error.__cause__, "name", None)
        # a module that exists may import a module that does not
        if missing is None or not f"{module}.".startswith(f"{missing}."):
            raise
        raise ModuleNotFoundError(
            f"{name}: there is no module {module!r}; run this in the folder of its "
            "file, or install it",
            name=missing,
        ) from None


def _one_at_a_time(gymnasium, environment):
    if isinstance(environment, gymnasium.vector.VectorEnv):
        return ", and only one: a vector environment steps several at a time"
    return ""


def is_finite(array):
    """Return whether all entries of an array are finite.

    Parameters
    ----------
    array : ndarray
        Real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from nengo_epes.rl.spaces import is_finite
    >>> is_finite(np.array([1.0, np.inf])), is_finite(np.full(3, 1e308))
    (False, True)
    """
    # 0.2 us for a few numbers; np.isfinite(array).all() takes 1.7
    if array.ndim == 1 and array.size <= 64 and math.isfinite(sum(array.tolist())):
        return True
    return bool(np.isfinite(array).all())


class ObservationSpace:
    """Converts observations to vectors.

    Parameters
    ----------
    space : gymnasium.Space
        Box, Discrete, MultiBinary, MultiDiscrete, or a Dict or Tuple of these.
    ranges : (size, 2) or (size,) array_like, optional
        Range (low, high) of each entry that is scaled to [-1, 1], or r for (-r, r).
        Default: entries are not scaled.

    Attributes
    ----------
    size : int
        Entries of the vector.
    ranges : (size, 2) ndarray or None
        Range of each entry.

    Raises
    ------
    ValidationError
        If the space or a part of it cannot be a vector, or the ranges do not fit.

    Examples
    --------
    >>> from gymnasium.spaces import Discrete
    >>> from nengo_epes.rl.spaces import ObservationSpace
    >>> ObservationSpace(Discrete(3, start=1)).flatten(2)
    array([0., 1., 0.])
    """

    def __init__(self, space, ranges=None):
        self.size, self._flatten = _flattener(space)
        if self.size == 0:
            raise ValidationError(
                f"observations have no entries (got {space}); write a "
                "gymnasium.ObservationWrapper that returns a vector",
                attr="environment",
            )
        self.ranges = None
        if ranges is not None:
            self.ranges = self._validate(space, ranges)
            low, high = self.ranges.T
            self._centre, self._reach = (high + low) / 2, (high - low) / 2

    def _validate(self, space, ranges):
        ranges = np.asarray(ranges, dtype=float)
        if ranges.shape == (self.size,):
            ranges = np.stack([-ranges, ranges], axis=1)
        fits = ranges.shape == (self.size, 2) and np.isfinite(ranges).all()
        if not fits or (ranges[:, 0] >= ranges[:, 1]).any():
            raise ValidationError(
                f"does not fit the {self.size} entries of {space} (got "
                f"{ranges.tolist()}); pass finite (low, high) with low below high for "
                "each entry, or r for (-r, r)",
                attr="observation_range",
            )
        return ranges

    def flatten(self, observation):
        """Return an observation as a vector, scaled and clipped if there are ranges.

        Parameters
        ----------
        observation
            Observation of the space. Bounds of a Box are not checked.

        Returns
        -------
        (size,) ndarray

        Raises
        ------
        ValueError
            If the observation is not of the space, or an entry is NaN or infinite.
        """
        flat = self._flatten(observation)
        if not is_finite(flat):
            raise ValueError(f"has entries that are not finite (got {observation!r})")
        if self.ranges is None:
            return flat
        scaled = (flat - self._centre) / self._reach
        # faster than np.clip for a few numbers
        return np.maximum(np.minimum(scaled, 1.0), -1.0)


def _flattener(space):
    """Return the size of the vector, and a function that makes it.

    The order equals `gymnasium.spaces.utils.flatten`. Gymnasium's own function accepts
    values outside a Discrete space, and arrays of another shape, without an error.
    """
    # functions that can be pickled, as a simulator can be
    spaces = check_gymnasium().spaces
    if isinstance(space, spaces.Dict | spaces.Tuple):
        is_dict = isinstance(space, spaces.Dict)
        keys = list(space.spaces) if is_dict else list(range(len(space.spaces)))
        parts = {key: _flattener(space.spaces[key]) for key in keys}
        flatten = {key: function for key, (_, function) in parts.items()}
        container = dict if is_dict else tuple | list
        size = sum(size for size, _ in parts.values())
        return size, partial(_flatten_parts, container, flatten)
    shape = getattr(space, "shape", None) or ()
    if isinstance(space, spaces.Discrete):
        sizes, starts = [int(space.n)], [int(space.start)]
        return sizes[0], partial(_flatten_integers, sizes, starts, None)
    if isinstance(space, spaces.MultiDiscrete):
        sizes, starts = space.nvec.ravel().tolist(), space.start.ravel().tolist()
        return sum(sizes), partial(_flatten_integers, sizes, starts, shape)
    is_box = isinstance(space, spaces.Box)
    is_image = is_box and (
        len(shape) > 2 or (len(shape) == 2 and space.dtype == np.uint8)
    )
    if is_image or not (is_box or isinstance(space, spaces.MultiBinary)):
        kind = "images" if is_image else "not vectors"
        raise ValidationError(
            f"observations, or a part of them, are {kind} (got {space}); write a "
            "gymnasium.ObservationWrapper that returns a vector, such as features of "
            "the observation",
            attr="environment",
        )
    return math.prod(shape), partial(_flatten_array, shape)


def _flatten_array(shape, value):
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.empty(0, dtype=object)
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise ValueError(f"is not an array of numbers of shape {shape} (got {value!r})")
    return array.ravel()


def _flatten_integers(sizes, starts, shape, value):
    values = [value] if shape is None else _flatten_array(shape, value)
    flat, offset = np.zeros(sum(sizes)), 0
    for size, start, entry in zip(sizes, starts, values, strict=True):
        try:
            index = operator.index(entry) - start
        except TypeError:
            index = -1
        if not 0 <= index < size:
            last = start + size - 1
            raise ValueError(
                f"is not an integer from {start} to {last} (got {entry!r})"
            )
        flat[offset + index] = 1.0
        offset += size
    return flat


def _flatten_parts(container, flatten, observation):
    expected = (
        f"is not a {container.__name__}" if container is dict else "is not a tuple"
    )
    if not isinstance(observation, container) or len(observation) != len(flatten):
        raise ValueError(f"{expected} of {len(flatten)} parts (got {observation!r})")
    vectors = []
    for key, function in flatten.items():
        try:
            vectors.append(function(observation[key]))
        except KeyError:
            raise ValueError(f"lacks the key {key!r} (got {observation!r})") from None
        except ValueError as error:
            raise ValueError(f"has a part {key!r} that {error}") from error
    return np.concatenate(vectors)


class ActionSpace:
    """Converts vectors to actions.

    Parameters
    ----------
    space : gymnasium.Space
        Discrete, MultiDiscrete, MultiBinary or Box.

    Attributes
    ----------
    size : int
        Entries of the vector.
    sizes : list of int or None
        Sizes of the groups: the largest entry of a group chooses. None for a Box.

    Raises
    ------
    ValidationError
        If the space is of another type, or has no entries.

    Examples
    --------
    >>> from gymnasium.spaces import MultiDiscrete
    >>> from nengo_epes.rl.spaces import ActionSpace
    >>> action_space = ActionSpace(MultiDiscrete([3, 2]))
    >>> action_space.sizes, action_space.choose([0.1, 0.2, 0.3, 2.0, 1.0])
    ([3, 2], array([2, 0]))
    """

    def __init__(self, space):
        spaces = check_gymnasium().spaces
        self._shape, self._dtype = space.shape, space.dtype
        self.sizes, self._start = None, 0
        if isinstance(space, spaces.Discrete):
            self.sizes, self._start = [int(space.n)], int(space.start)
        elif isinstance(space, spaces.MultiDiscrete):
            self.sizes = [int(n) for n in space.nvec.ravel()]
            self._start = space.start.ravel()
        elif isinstance(space, spaces.MultiBinary):
            self.sizes = [2] * math.prod(space.shape)
        elif not isinstance(space, spaces.Box):
            raise ValidationError(
                f"actions are not of a Discrete, MultiDiscrete, MultiBinary or Box "
                f"space (got {space}); write a gymnasium.ActionWrapper for one of "
                "these spaces",
                attr="environment",
            )
        self.size = math.prod(space.shape) if self.sizes is None else sum(self.sizes)
        if self.size == 0:
            raise ValidationError(
                f"actions have no entries (got {space}); write a "
                "gymnasium.ActionWrapper that has a choice",
                attr="environment",
            )
        if self.sizes is None:
            self._prepare_box(space)

    def _prepare_box(self, space):
        self._low = np.asarray(space.low, dtype=float).ravel()
        self._high = np.asarray(space.high, dtype=float).ravel()
        bounded = (space.bounded_below & space.bounded_above).ravel()
        bounded &= (self._low > -_UNBOUNDED) & (self._high < _UNBOUNDED)
        # without two bounds, [-1, 1] remains [-1, 1]
        low, high = np.where(bounded, self._low, -1), np.where(bounded, self._high, 1)
        self._centre, self._reach = (low + high) / 2, (high - low) / 2
        self._rounds = space.dtype.kind != "f"

    def choose(self, numbers):
        """Return the action of a vector.

        Parameters
        ----------
        numbers : (size,) array_like
            Finite numbers. In each group of discrete actions the largest one chooses;
            entries of a Box are scaled from [-1, 1] to their bounds and clipped.

        Returns
        -------
        numpy integer or ndarray
            Action of the shape and type of the space.
        """
        numbers = np.asarray(numbers, dtype=float)
        if self.sizes is None:
            return self._choose_in_box(numbers)
        if self._shape == ():  # Discrete
            return self._dtype.type(self._start + numbers.argmax())
        groups = np.split(numbers, np.cumsum(self.sizes)[:-1])
        chosen = self._start + np.array([group.argmax() for group in groups])
        return chosen.reshape(self._shape).astype(self._dtype)

    def _choose_in_box(self, numbers):
        action = self._centre + self._reach * numbers
        action = np.maximum(np.minimum(action, self._high), self._low)
        if self._rounds:
            action = np.rint(action)
        return action.reshape(self._shape).astype(self._dtype)
