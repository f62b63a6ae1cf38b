"""Translations of an agent's operators, and environments of gymnax."""

from __future__ import annotations

import math

import numpy as np

from nengo_epes.arithmetic.distributions import Softmax
from nengo_epes.functional.model import NotTranslatedError, jax, jnp, translates
from nengo_epes.networks.actor_critic import ActorCriticProcess
from nengo_epes.networks.normalization import (
    TINY,
    ObservationNormalization,
    RewardScaling,
)
from nengo_epes.optional import load
from nengo_epes.rl.environment import Environment


@translates(ObservationNormalization)
def normalization(op, step, u):
    """Normalize observations by running statistics."""
    process, point = op.process, step[op.state["point"]]
    mean, squares, count = step[op.state["statistics"]]
    x, is_new = u, True
    if process.statistics is None:
        x, is_new = u[:-1], u[-1] > 0.5
        later = count + 1
        difference = x - mean
        center = mean + difference / later
        samples = center, squares + difference * (x - center), later
        mean, squares, count = (
            jnp.where(is_new, new, old)
            for new, old in zip(samples, (mean, squares, count), strict=True)
        )
        step[op.state["statistics"]] = jnp.stack([mean, squares, count])
    y = x
    if process.normalized:
        several = count >= 2
        deviation = jnp.sqrt(squares / jnp.where(several, count - 1, 1) + TINY)
        y = jnp.where(several, (x - mean) / deviation, 0.0)
    y = jnp.append(jnp.clip(y, -process.clip, process.clip), 1.0)
    point = jnp.where(is_new, y / jnp.sqrt(y @ y), point).astype(u.dtype)
    step[op.state["point"]] = point
    return point


@translates(RewardScaling)
def reward_scaling(op, step, u):
    """Scale rewards by running statistics."""
    observes, reward, truncated, terminated, starts = u
    old = step[op.state["statistics"]]
    discounted, mean, squares, count = old
    over = (truncated > 0.5) | (terminated > 0.5)
    discounted = reward + jnp.where(over, 0.0, op.process.discount * discounted)
    difference = discounted - mean
    center = mean + difference / (count + 1)
    squares += difference * (discounted - center)
    new = jnp.stack([discounted, center, squares, count + 1])
    counts = (observes > 0.5) & (starts <= 0.5)
    new = step[op.state["statistics"]] = jnp.where(counts, new, old)
    variance = jnp.where(new[3] > 1, new[2] / jnp.maximum(new[3] - 1, 1), 1.0)
    return (reward / jnp.sqrt(variance + TINY))[None]


def draw_softmax(distribution, decoded, noise, memory, starts):
    """Draw an action, as `Softmax.decide`; return it, score, entropy and memory."""
    actions, scores, entropy, first = [], [], 0.0, 0
    for size, uniform in zip(distribution.sizes, noise, strict=True):
        preferences = decoded[first : first + size]
        grown = jnp.exp(preferences - preferences.max())
        rungs, chances = jnp.cumsum(grown), grown / grown.sum()
        # rounding: the last possible action takes the rest
        last = size - 1 - jnp.argmax(grown[::-1] > 0)
        chosen = jnp.minimum((rungs <= uniform * rungs[-1]).sum(), last)
        actions.append(jax.nn.one_hot(chosen, size, dtype=decoded.dtype))
        scores.append(actions[-1] - chances)
        logs = jnp.log(jnp.where(chances > 0, chances, 1.0))
        entropy -= chances @ logs
        first += size
    return jnp.concatenate(actions), jnp.concatenate(scores), entropy, memory


def draw_gaussian(distribution, decoded, noise, memory, starts):
    """Draw an action, as `BoundedGaussian.decide`."""
    d = distribution
    fresh, fast = noise[: d.size], noise[d.size :]
    later = d.kept * memory + math.sqrt(1 - d.kept**2) * fresh
    memory = jnp.where(starts, fresh, later)
    epsilon = math.sqrt(d.slow) * memory + math.sqrt(1 - d.slow) * fast
    mean = jnp.clip(decoded, -d.reach, d.reach)
    score = (epsilon - (decoded - mean)) / d.std
    return mean + d.std * epsilon, score, 0.0, memory


def best(distribution, decoded):
    """Return the most probable action."""
    if not isinstance(distribution, Softmax):
        return decoded
    parts = jnp.split(decoded, np.cumsum(distribution.sizes)[:-1])
    return jnp.concatenate([jax.nn.one_hot(x.argmax(), x.size) for x in parts])


def noise_of(process, step, decision, size, uniform):
    """Return the noise of a decision: given, or drawn by JAX."""
    if process.noise is not None:  # what was not given is NaN
        given = step.memory("noise", process.noise)
        return given.at[decision].get(mode="fill", fill_value=np.nan)
    draw = jax.random.uniform if uniform else jax.random.normal
    return draw(step.random_key(decision), (size,))


@translates(ActorCriticProcess)
def actor_critic(op, step, u):
    """Decide, and send TD errors.

    The noise is drawn by JAX, and so differs from that of `nengo.Simulator`, unless it
    was given.
    """
    process, n, state = op.process, op.process.size, op.state
    distribution = process.distribution
    decoded, (value, evaluates, ended, resets, learns, decides, reward) = u[:n], u[n:]
    evaluates, ended, learns, decides = (
        x > 0.5 for x in (evaluates, ended, learns, decides)
    )
    output, last = step[state["output"]], step[state["last"]]
    starts = jnp.where(resets > 0.5, 1, step[state["starts"]][0])
    which = step[state["decisions"]][0]
    learns = learns & ~evaluates & (starts == 0)
    target = reward + last[1] + jnp.where(ended, 0.0, process.discount * value)
    td_error = jnp.where(learns, (target - last[0]) / step.dt, 0.0)
    draws = decides & ~evaluates & ~learns
    is_softmax = isinstance(distribution, Softmax)
    noise = noise_of(process, step, which, distribution.n_noise, is_softmax)
    draw = draw_softmax if is_softmax else draw_gaussian
    memory = step[state["memory"]]
    action, score, entropy, later = draw(
        distribution, decoded, noise, memory, starts == 1
    )
    step[state["memory"]] = jnp.where(draws, later, memory)
    new = jnp.stack([value, process.entropy_bonus * entropy])
    step[state["last"]] = jnp.where(draws, new, last)
    step[state["decisions"]] += draws
    shows = decides & evaluates
    step[state["starts"]] = jnp.where(draws, 0, jnp.where(shows, 1, starts))
    action = jnp.where(shows, best(distribution, decoded), action)
    action = jnp.where(draws | shows, action, output[:n])
    score = jnp.where(draws, score, jnp.where(shows, 0.0, output[n + 1 : 2 * n + 1]))
    hold = jnp.where(draws, 0.0, 1.0)
    rest = jnp.stack([hold, resets, td_error, hold, resets, value])
    output = jnp.concatenate([action, td_error[None], score, rest]).astype(u.dtype)
    step[state["output"]] = output
    return output


@translates(Environment)
def environment(op, step, u):
    """Do a step of an environment of gymnax with the same id.

    Episodes start in other states than those of Gymnasium, drawn by JAX.
    """
    process, state = op.process, op.state
    env, params = find_environment(process)
    count, held, seen = (step[state[x]] for x in ("steps", "held", "observation"))
    key, every = step.random_key(count[0]), process.steps_per_action
    _, shapes = jax.eval_shape(env.reset_env, key, params)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    inner = step.memory("env", zeros)
    phase = count[0] % every
    begins = (phase == 0) & ((held[1] > 0) | (held[2] > 0) | (count[0] == 0))
    goes_on = (phase == 0) & ~begins
    first = env.reset_env(key, params)
    later, after, reward, ended, _ = env.step_env(
        key, inner, choose(process.action_space, u), params
    )
    over = ended, env.is_truncated(after, params) & ~ended

    def select(new, old, start):
        return jnp.where(begins, start, jnp.where(goes_on, new, old))

    _, _, _, length, episode, total = held
    numbers = reward, *over, length + 1, episode, total + reward
    start = jnp.stack([0.0, 0.0, 0.0, 0.0, episode + 1, 0.0])
    held = select(jnp.stack([jnp.asarray(x, held.dtype) for x in numbers]), held, start)
    ranges = process.observation_range
    first_seen, later = (scale(ranges, x.ravel()) for x in (first[0], later))
    seen = select(later, seen, first_seen).astype(seen.dtype)
    inner = jax.tree.map(select, after, inner, first[1])
    step.remember("env", inner)
    step[state["held"]], step[state["observation"]] = held, seen
    step[state["steps"]] = count + 1
    reward, terminated, truncated, length, episode, total = held
    starts, over = length == 0, (terminated > 0) | (truncated > 0)
    signals = (  # in the order of `nengo_epes.rl.environment.SIGNALS`
        phase == 0,
        reward,
        truncated,
        terminated,
        (phase == 0) & starts,
        (phase == every - 2) & ~starts,
        (phase == every - 1) & ~over,
        length,
        episode,
        total,
    )
    return jnp.stack([*seen, *(jnp.asarray(x, seen.dtype) for x in signals)])


def find_environment(process):
    """Return gymnax's environment with the id of an `Environment`, and parameters."""
    gymnax = load("gymnax", "jax")
    name, known = process.environment, gymnax.registered_envs
    if name not in known or process.arguments or process.info_function is not None:
        raise NotTranslatedError(
            f"{process} is made by Python; use one of {', '.join(known)}, without "
            "arguments and info, or nengo.Simulator"
        )
    return gymnax.make(name)


def choose(space, numbers):
    """Return the action for an input, see `Environment`."""
    if not hasattr(space, "low"):
        return numbers.argmax()
    centre, reach = (space.high + space.low) / 2, (space.high - space.low) / 2
    return jnp.clip(centre + reach * numbers, space.low, space.high)


def scale(ranges, observation):
    """Scale an observation to [-1, 1] and clip it, if there are ranges."""
    if ranges is None:
        return observation
    low, high = ranges.T
    return jnp.clip((2 * observation - high - low) / (high - low), -1.0, 1.0)
