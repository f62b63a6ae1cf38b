"""Translations of an agent's operators."""

from __future__ import annotations

import math

import numpy as np

from nengo_epes.arithmetic.distributions import Softmax
from nengo_epes.functional.model import jax, jnp, translates
from nengo_epes.networks.actor_critic import ActorCriticProcess
from nengo_epes.networks.normalization import (
    TINY,
    ObservationNormalization,
    RewardScaling,
)


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
    seed = step.memory("seed", np.int32(process.seed or 0))
    key = jax.random.fold_in(jax.random.PRNGKey(seed), decision)
    return (jax.random.uniform if uniform else jax.random.normal)(key, (size,))


@translates(ActorCriticProcess)
def actor_critic(op, step, u):
    """Decide, and send TD errors.

    The noise is drawn by JAX, and so differs from that of `nengo.Simulator`, unless it
    was given.
    """
    process, n, state = op.process, op.process.size, op.state
    distribution = process.distribution
    decoded, (value, evaluates, ended, resets, learns, decides, reward) = u[:n], u[n:]
    evaluates, learns, decides = evaluates > 0.5, learns > 0.5, decides > 0.5
    output, last = step[state["output"]], step[state["last"]]
    starts = jnp.where(resets > 0.5, 1, step[state["starts"]][0])
    which = step[state["decisions"]][0]
    learns = learns & ~evaluates & (starts == 0)
    target = reward + last[1] + jnp.where(ended > 0.5, 0.0, process.discount * value)
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
