"""Calls of Gymnasium environments that check what the environments return.

``where`` is (environment, episode, environment step): the place that messages name.
"""

from __future__ import annotations

import math

import numpy as np
from nengo.exceptions import SimulationError

from nengo_epes.rl.spaces import is_finite


def reset(where, observations, seed):
    """Reset an environment.

    Parameters
    ----------
    where : tuple of gymnasium.Env, int and int
        Environment, episode, environment step.
    observations : ObservationSpace
        Observations of the environment.
    seed : int
        Seed of the episode.

    Returns
    -------
    observation : (size,) ndarray
    info : dict

    Raises
    ------
    SimulationError
        If the environment returns something else.
    """
    observation, info = reset_checked(where, seed)
    return _flatten(where, observations, observation), info


def reset_checked(where, seed):
    """Reset an environment, and check what it returns but for the observation.

    Parameters
    ----------
    where : tuple of gymnasium.Env, int and int
        Environment, episode, environment step.
    seed : int
        Seed of the episode.

    Returns
    -------
    observation : object
    info : dict
    """
    answer = _call(where, where[0].reset, seed=seed)
    is_pair = isinstance(answer, tuple) and len(answer) == 2
    if not is_pair or not isinstance(answer[1], dict):
        raise _fault(
            where,
            "reset() does not return an observation and a dict",
            answer,
            "return (observation, info); an environment of the old Gym returns the "
            "observation only",
        )
    return answer


def step(where, observations, actions, numbers):
    """Take an environment step.

    Parameters
    ----------
    where : tuple of gymnasium.Env, int and int
        Environment, episode, environment step.
    observations : ObservationSpace
        Observations of the environment.
    actions : ActionSpace
        Actions of the environment.
    numbers : (actions.size,) ndarray
        Vector that represents the action.

    Returns
    -------
    observation : (size,) ndarray
    reward : float
    terminated : bool
    truncated : bool
    info : dict

    Raises
    ------
    SimulationError
        If the action is not finite, or the environment returns something else.
    """
    if not is_finite(numbers):
        raise _fault(
            where,
            "the action is not finite",
            numbers,
            "check what computes it, or lower its learning rate",
        )
    observation, *rest = step_checked(where, actions.choose(numbers))
    return (_flatten(where, observations, observation), *rest)


def step_checked(where, action):
    """Take an environment step, and check what it returns but for the observation.

    Parameters
    ----------
    where : tuple of gymnasium.Env, int and int
        Environment, episode, environment step.
    action : object
        Action of the environment's action space.

    Returns
    -------
    observation : object
    reward : float
    terminated : bool
    truncated : bool
    info : dict
    """
    answer = _call(where, where[0].step, action)
    if not isinstance(answer, tuple) or len(answer) != 5:
        raise _fault(
            where,
            "step() does not return five values",
            answer,
            "return (observation, reward, terminated, truncated, info); an environment "
            "of the old Gym returns one flag instead of two",
        )
    observation, reward, terminated, truncated, info = answer
    # the usual types first: they take 0.1 us, the general case 2
    if not isinstance(reward, float):  # numpy.float64 is one
        reward = _number(reward, "fiub")
    if reward is None or not math.isfinite(reward):
        raise _fault(
            where,
            "the reward that step() returns is not a finite number",
            answer[1],
            "return a float",
        )
    if type(terminated) is not bool:
        terminated = _flag(where, "terminated", terminated)
    if type(truncated) is not bool:
        truncated = _flag(where, "truncated", truncated)
    if not isinstance(info, dict):
        raise _fault(
            where,
            "the info that step() returns is not a dict",
            info,
            "return {} if there is nothing to report",
        )
    return observation, reward, terminated, truncated, info


def info_vector(where, function, size, info):
    """Call the user's function of an info.

    Parameters
    ----------
    where : tuple of gymnasium.Env, int and int
        Environment, episode, environment step.
    function : callable
        Function of the info that returns a 1-D array.
    size : int or None
        Size that the array must have; None: any.
    info : dict
        Info that the environment returned.

    Returns
    -------
    (size,) ndarray

    Raises
    ------
    SimulationError
        If the function returns something else.
    """
    returned = _call(where, function, info)
    array = np.asarray(returned)
    fits = array.ndim == 1 and array.dtype.kind in "fiub" and size in (None, array.size)
    if not fits or not is_finite(array):
        raise _fault(
            where,
            "the function `info` does not return a finite 1-D array of fixed size",
            returned,
            "return as many numbers as at the first reset",
        )
    return array


def name_of(gym_env):
    """Return the id of an environment, or the name of its class.

    Parameters
    ----------
    gym_env : gymnasium.Env
        An environment.
    """
    spec = gym_env.spec
    return type(gym_env.unwrapped).__name__ if spec is None else spec.id


def _place(where):
    gym_env, episode, number = where
    return f"{name_of(gym_env)}, episode {episode}, environment step {number}"


def _call(where, function, *args, **kwargs):
    """Call the user's code, and add the place to any error."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        error.add_note(
            f"{_place(where)}: raised by the environment; "
            "gymnasium.utils.env_checker.check_env may find the cause"
        )
        raise


def _flatten(where, observations, observation):
    try:
        return observations.flatten(observation)
    except ValueError as error:
        raise SimulationError(
            f"{_place(where)}: the observation {error}; return an observation of the "
            "observation_space"
        ) from None


def _number(value, kinds):
    """Return the only number in a value of numpy's kinds, or None."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    return array.item() if array.size == 1 and array.dtype.kind in kinds else None


def _flag(where, name, value):
    flag = bool(value) if isinstance(value, np.bool) else _number(value, "biu")
    if flag not in (0, 1):
        raise _fault(
            where,
            f"the flag `{name}` that step() returns is not a boolean",
            value,
            "return True or False",
        )
    return bool(flag)


def _fault(where, what, got, remedy):
    """Return an error that says what an environment returned."""
    got = repr(got)
    got = got if len(got) <= 300 else f"{got[:300]}..."
    return SimulationError(f"{_place(where)}: {what} (got {got}); {remedy}")
