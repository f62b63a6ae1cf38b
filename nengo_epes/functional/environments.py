"""Environments in jax.numpy, with the dynamics of Gymnasium's classic control."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nengo_epes.functional.model import NotTranslatedError, jax, jnp, translates
from nengo_epes.rl.environment import Environment, slot_signals
from nengo_epes.rl.spaces import check_gymnasium


class Dynamics(NamedTuple):
    """An environment without its time limit.

    Parameters
    ----------
    reset : callable
        ``reset(key) -> state``, an array, for a random key of JAX.
    step : callable
        ``step(state, action) -> (state, reward, terminated)``. The action is an index,
        or an array within the bounds of the action space. Reward and terminated may be
        Python numbers.
    observe : callable
        ``observe(state) -> observation``, an array.

    Examples
    --------
    A walk on a line that ends at 3. With it, models run the class ``Walk``:

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from nengo_epes.functional import ENVIRONMENTS, Dynamics
    >>> class Walk:
    ...     "An environment of Gymnasium."
    >>> ENVIRONMENTS[Walk] = Dynamics(
    ...     reset=lambda key: jnp.zeros(1),
    ...     step=lambda state, action: (state + action, -1.0, state[0] + action >= 3),
    ...     observe=lambda state: state,
    ... )
    """

    reset: object
    step: object
    observe: object


def cart_pole_step(state, action):
    """Advance a cart with a pole by 0.02 s (Florian 2007; Barto et al. 1983).

    The masses are 1 and 0.1 kg, half the length of the pole is 0.5 m.
    """
    _, velocity, angle, rotation = state
    sin, cos = jnp.sin(angle), jnp.cos(angle)
    push = (jnp.where(action == 1, 10.0, -10.0) + 0.05 * rotation**2 * sin) / 1.1
    turn = (9.8 * sin - cos * push) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
    acceleration = push - 0.05 * turn * cos / 1.1
    state += 0.02 * jnp.stack([velocity, acceleration, rotation, turn])
    fell = (jnp.abs(state[0]) > 2.4) | (jnp.abs(state[2]) > 12 * math.pi / 180)
    return state, 1.0, fell


def mountain_car_step(state, push, goal):
    """Advance a car in a valley by a step (Moore 1990)."""
    velocity = state[1] + push - 0.0025 * jnp.cos(3 * state[0])
    velocity = jnp.clip(velocity, -0.07, 0.07)
    position = jnp.clip(state[0] + velocity, -1.2, 0.6)
    velocity = jnp.where((position == -1.2) & (velocity < 0), 0.0, velocity)
    return jnp.stack([position, velocity]), position >= goal


def discrete_car_step(state, action):
    """Push a car to the left, not, or to the right."""
    state, arrived = mountain_car_step(state, 0.001 * (action - 1), 0.5)
    return state, -1.0, arrived


def continuous_car_step(state, action):
    """Push a car with a force."""
    state, arrived = mountain_car_step(state, 0.0015 * action[0], 0.45)
    return state, jnp.where(arrived, 100.0, 0.0) - 0.1 * action[0] ** 2, arrived


def pendulum_step(state, action):
    """Advance a pendulum of 1 kg and 1 m by 0.05 s."""
    angle, rotation = state
    centred = (angle + math.pi) % (2 * math.pi) - math.pi
    cost = centred**2 + 0.1 * rotation**2 + 0.001 * action[0] ** 2
    rotation = rotation + 0.05 * (15 * jnp.sin(angle) + 3 * action[0])
    rotation = jnp.clip(rotation, -8.0, 8.0)
    return jnp.stack([angle + 0.05 * rotation, rotation]), -cost, False


def _uniform(low, high):
    low, high = np.array(low), np.array(high)
    return lambda key: jax.random.uniform(key, low.shape, None, low, high)


def _itself(state):
    return state


_car = _uniform([-0.6, 0.0], [-0.4, 0.0])

ENVIRONMENTS = {
    "CartPole-v1": Dynamics(_uniform([-0.05] * 4, [0.05] * 4), cart_pole_step, _itself),
    "MountainCar-v0": Dynamics(_car, discrete_car_step, _itself),
    "MountainCarContinuous-v0": Dynamics(_car, continuous_car_step, _itself),
    "Pendulum-v1": Dynamics(
        _uniform([-math.pi, -1.0], [math.pi, 1.0]),
        pendulum_step,
        lambda state: jnp.stack([jnp.cos(state[0]), jnp.sin(state[0]), state[1]]),
    ),
}


@translates(Environment)
def environment(op, step, u):
    """Do a step of an environment of which there are `Dynamics`.

    The states in which episodes start are drawn by JAX, and so are not Gymnasium's.
    """
    process, state = op.process, op.state
    dynamics, limit = find(process)
    count, held, seen = (step[state[x]] for x in ("steps", "held", "observation"))
    phase, (_, _, _, length, episode, total) = count[0] % process.steps_per_action, held
    key = jax.random.PRNGKey(step[state["seed"]][0])
    key = jax.random.fold_in(key, episode.astype(int) + 1)
    first = dynamics.reset(key).astype(held.dtype)
    inner = step.memory("state", np.zeros(first.shape, first.dtype))
    begins = (phase == 0) & ((held[1] > 0) | (held[2] > 0) | (count[0] == 0))
    goes_on = (phase == 0) & ~begins
    later, reward, ended = dynamics.step(inner, choose(process.action_space, u))
    truncated = (length + 1 >= limit) & ~jnp.asarray(ended)
    numbers = reward, ended, truncated, length + 1, episode, total + reward
    after = jnp.stack([jnp.asarray(x, held.dtype) for x in numbers])
    start = jnp.zeros(6, held.dtype).at[4].set(episode + 1)
    held = jnp.where(begins, start, jnp.where(goes_on, after, held))
    inner = jnp.where(begins, first, jnp.where(goes_on, later, inner))
    step.remember("state", inner)
    shown = jnp.ravel(dynamics.observe(inner))
    if shown.shape != seen.shape:
        raise ValueError(
            f"{process}: observe must return an array of shape {seen.shape} when "
            f"flattened (got {shown.shape}); correct its Dynamics"
        )
    seen = scale(process.observation_range, shown).astype(seen.dtype)
    step[state["held"]], step[state["observation"]] = held, seen
    step[state["steps"]] = count + 1
    signals = slot_signals(phase, process.steps_per_action, *held)
    return jnp.stack([*seen, *(x.astype(seen.dtype) for x in signals)])


def find(process):
    """Return the `Dynamics` of an `Environment`, and its time limit."""
    name, arguments = process.environment, dict(process.arguments)
    # an argument of Gymnasium's make; a constructor may use it otherwise
    limit = arguments.pop("max_episode_steps", None) if isinstance(name, str) else None
    if name not in ENVIRONMENTS or arguments or process.info_function is not None:
        known = ", ".join(str(known) for known in ENVIRONMENTS)
        raise NotTranslatedError(
            f"{process} runs in Python; use one of {known}, without arguments but "
            "max_episode_steps, or add its dynamics to functional.ENVIRONMENTS"
        )
    if limit is None and isinstance(name, str):
        limit = check_gymnasium().spec(name).max_episode_steps
    return ENVIRONMENTS[name], math.inf if limit is None else limit


def choose(space, numbers):
    """Return the action for an input, see `Environment`."""
    spaces = check_gymnasium().spaces
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return numbers.argmax()
    bounded = isinstance(space, spaces.Box) and space.is_bounded()
    if not bounded or space.dtype.kind != "f" or space.shape != numbers.shape:
        raise NotTranslatedError(
            f"actions of {space} have no translation; use Discrete without start, or a "
            "bounded Box of one dimension"
        )
    centre, reach = (space.high + space.low) / 2, (space.high - space.low) / 2
    return jnp.clip(centre + reach * numbers, space.low, space.high)


def scale(ranges, observation):
    """Scale an observation to [-1, 1] and clip it, if there are ranges."""
    if ranges is None:
        return observation
    low, high = ranges.T
    return jnp.clip((2 * observation - high - low) / (high - low), -1.0, 1.0)
