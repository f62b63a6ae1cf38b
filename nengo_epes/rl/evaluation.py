"""Returns of a trained agent from fixed initial states."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass

import numpy as np
from nengo.exceptions import NengoWarning, ValidationError

from nengo_epes.progress import NoBar
from nengo_epes.rl.environment import episode_seed
from nengo_epes.rl.gym_calls import reset_checked, step_checked
from nengo_epes.rl.spaces import check_gymnasium, open_environment

# far from the seeds of training
FIRST_SEED = 1_000_000


@dataclass(frozen=True)
class Evaluation:
    """Episodes in which an agent took its best actions.

    Parameters
    ----------
    returns : (n_episodes,) ndarray
        Sum of the rewards of each episode.
    lengths : (n_episodes,) ndarray of int
        Environment steps of each episode.

    Examples
    --------
    >>> result = Evaluation(np.array([1.0, 3.0]), np.array([10, 30]))
    >>> result.mean, round(result.std, 3)
    (2.0, 1.414)
    """

    returns: np.ndarray
    lengths: np.ndarray

    @property
    def mean(self):
        """(float) Mean return."""
        return float(self.returns.mean())

    @property
    def std(self):
        """(float) Sample standard deviation of the returns; NaN for one episode."""
        several = len(self.returns) > 1
        return float(self.returns.std(ddof=1)) if several else float("nan")


def open_for_evaluation(process, env, render_mode=None):
    """Open another environment of the kind in which an agent learns.

    Normalizing wrappers of Gymnasium receive a copy of the running statistics, which
    then stay fixed.

    Parameters
    ----------
    process : Environment
        The process of the environment.
    env : gymnasium.Env
        The environment in which the agent learns; it is not changed.
    render_mode : str, optional
        Keyword argument for `gymnasium.make` or the constructor.

    Returns
    -------
    gymnasium.Env

    Raises
    ------
    ValidationError
        If another environment cannot be made, cannot be made with this render mode, or
        the constructor returns the same environment.

    Examples
    --------
    >>> import gymnasium
    >>> from nengo_epes.rl import Environment
    >>> process = Environment("CartPole-v1")
    >>> with (
    ...     gymnasium.make("CartPole-v1") as env,
    ...     open_for_evaluation(process, env, "rgb_array") as other,
    ... ):
    ...     env.render_mode, other.render_mode
    (None, 'rgb_array')
    """
    gymnasium = check_gymnasium()
    made = process.environment
    if not isinstance(made, gymnasium.Env):
        if render_mode is None:
            other = open_environment(made, process.arguments)
        else:
            other = _open_rendered(made, process.arguments, env, render_mode)
        if other is env:
            raise ValidationError(
                f"{made} returns the same environment each time; return a new "
                "environment, or give the agent the environment itself",
                attr="env",
            )
    else:
        other = _copy(gymnasium, made, render_mode)
    learned, evaluated = wrappers_of(env), wrappers_of(other)
    for source, target in zip(learned, evaluated, strict=False):
        if type(source) is type(target):
            _copy_statistics(source, target)
    return other


def _open_rendered(made, arguments, env, render_mode):
    """Open an environment with a render mode, or say what its class lacks."""
    modes = env.metadata.get("render_modes") or []
    if render_mode not in modes:
        raise ValidationError(
            f"{made}: cannot be filmed (got metadata['render_modes'] = {modes}); write "
            "a method render() that returns a picture, a uint8 array (height, width, "
            f"3), and add {render_mode!r} to metadata['render_modes']",
            attr="env",
        )
    try:
        return open_environment(made, {**arguments, "render_mode": render_mode})
    except TypeError as error:
        raise ValidationError(
            f"{made}: cannot be made with render_mode={render_mode!r} (got {error}); "
            "accept render_mode=None in __init__, and in a function pass it on: "
            "lambda **kwargs: TimeLimit(Env(**kwargs), 200)",
            attr="env",
        ) from error


def _copy(gymnasium, env, render_mode):
    reason = f"render_mode={env.render_mode!r}"
    if render_mode in (None, env.render_mode):
        # a copy includes changes after the environment was made
        try:
            return copy.deepcopy(env)
        except Exception as error:  # parts of the environment may raise anything
            reason = repr(error)
    arguments = {} if render_mode is None else {"render_mode": render_mode}
    try:
        return gymnasium.make(env.spec, **arguments)
    except Exception as error:
        raise ValidationError(
            f"{env} cannot be copied for the evaluation (got {reason}); give the "
            "agent the constructor of the environment",
            attr="env",
        ) from error


def wrappers_of(env):
    """Return an environment and all that it wraps, from the outside in.

    Parameters
    ----------
    env : gymnasium.Env
        The environment.

    Returns
    -------
    list of gymnasium.Env

    Examples
    --------
    >>> import gymnasium
    >>> with gymnasium.make("CartPole-v1") as env:
    ...     type(wrappers_of(env)[0]).__name__
    'TimeLimit'
    """
    found = [env]
    while hasattr(env, "env"):
        env = env.env
        found.append(env)
    return found


def _copy_statistics(source, target):
    for name in ("obs_rms", "return_rms"):
        if hasattr(source, name):
            setattr(target, name, copy.deepcopy(getattr(source, name)))
            target.update_running_mean = False


def run_episodes(
    env, act, n_episodes, seed=None, max_steps=10_000, on_step=None, bar=None
):
    """Run episodes and return their returns.

    Parameters
    ----------
    env : gymnasium.Env
        The environment.
    act : callable
        ``act(observation)`` returns the action.
    n_episodes : int
        Number of episodes.
    seed : int, optional
        Seed of the initial states; the default is the same for all agents.
    max_steps : int, optional
        Environment steps after which an episode is stopped.
    on_step : callable, optional
        Called without arguments after each reset and each environment step.
    bar : nengo_epes.progress.NoBar, optional
        Progress bar that counts episodes. An environment step counts as its share of
        the longest possible episode.

    Returns
    -------
    Evaluation

    Raises
    ------
    SimulationError
        If the environment returns values of another kind.

    Warns
    -----
    NengoWarning
        If an episode was stopped after ``max_steps``.

    Examples
    --------
    >>> import gymnasium
    >>> with gymnasium.make("CartPole-v1") as env:
    ...     result = run_episodes(env, lambda observation: 0, n_episodes=3)
    >>> bool((result.returns == result.lengths).all())
    True
    """
    returns, lengths, n_stopped = [], [], 0
    bar = bar or NoBar()
    longest = getattr(getattr(env, "spec", None), "max_episode_steps", None)
    longest = min(longest or max_steps, max_steps)
    for k in range(n_episodes):
        first = FIRST_SEED if seed is None else seed
        observation, _ = reset_checked((env, k, 0), episode_seed(first, k))
        total, length, over = 0.0, 0, False
        if on_step is not None:
            on_step()
        while not over and length < max_steps:
            length += 1
            observation, reward, terminated, truncated, _ = step_checked(
                (env, k, length), act(observation)
            )
            total += reward
            over = terminated or truncated
            if on_step is not None:
                on_step()
            bar.update(1 / longest)
        bar.update(1 - length / longest)
        returns.append(total)
        lengths.append(length)
        n_stopped += not over
    if n_stopped:
        warnings.warn(
            f"{env}: {n_stopped} of {n_episodes} episodes did not end within "
            f"{max_steps} environment steps and were stopped; add a "
            "gymnasium.wrappers.TimeLimit",
            NengoWarning,
            stacklevel=2,
        )
    return Evaluation(np.array(returns), np.array(lengths))
