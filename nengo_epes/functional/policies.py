"""Translations of policies, `GaussianREINFORCE` and TD errors."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np

from nengo_epes.arithmetic.gaussian.density import LOG_SQRT_2PI
from nengo_epes.functional.agents import draw_softmax, noise_of
from nengo_epes.functional.model import NotTranslatedError, jax, jnp, translates
from nengo_epes.functional.rules import limited
from nengo_epes.learning_rules.reinforce import GaussianREINFORCESim
from nengo_epes.networks.action_sampling import DecisionProcess, SoftmaxSampling
from nengo_epes.networks.td_error import ContinuousTDError, DiscreteTDError


def decide_softmax(policy, decoded, noise, greedy):
    """Return a decision without its first entry, as `SoftmaxSampling.decide`."""
    sizes = SimpleNamespace(sizes=[policy.n_rows])
    action, score, _, _ = draw_softmax(sizes, decoded, noise, None, None)
    chances = action - score
    action = jnp.where(greedy, jax.nn.one_hot(chances.argmax(), chances.size), action)
    return jnp.concatenate([action - chances, action, chances])


def decide_gaussian(policy, decoded, noise, greedy):
    """Return a decision without its first entry, as `GaussianSampling.decide`."""
    spec, z = policy.spec, jnp.where(greedy, 0.0, noise)
    if spec.mean_activation != "identity" or spec.clip_before_score:
        raise NotTranslatedError(
            "policies with a mean_activation or clip_before_score have no translation"
        )
    mean, log_std = decoded[: spec.n_actions], decoded[spec.n_actions :]
    std = jnp.full(mean.shape, spec.fixed_std or 1.0, mean.dtype)
    if spec.fixed_std is None:
        std = jnp.exp(jnp.clip(log_std, *spec.log_std_bounds))
    score = z * std if spec.variance_scaled else z / std
    if log_std.size:
        inside = log_std == jnp.clip(log_std, *spec.log_std_bounds)
        for_std = (z**2 - 1) * (inside if spec.stop_at_bounds else 1.0)
        score = jnp.append(score, for_std if spec.fixed_std is None else 0 * for_std)
    action = jnp.clip(mean + std * z, spec.action_low, spec.action_high)
    log_density = -0.5 * z**2 - (jnp.log(std) + LOG_SQRT_2PI)
    return jnp.concatenate([score, action, mean, std, log_density])


@translates(DecisionProcess)
def decisions(op, step, u):
    """Decide; the noise is drawn by JAX unless it was given."""
    process, policy, state = op.process, op.process.policy, op.state
    n, size = policy.n_rows, policy.size_decision
    if process.period is None:
        due = (u[-1] > 0.5) & (step[state["trigger"]][0] <= 0.5)
        step[state["trigger"]] = u[-1]
    else:
        step[state["steps"]] += 1
        due = step[state["steps"]][0] % round(process.period / step.dt) == 0
    which, greedy = step[state["decisions"]][0], u[n] > 0.5
    is_softmax = isinstance(policy, SoftmaxSampling)
    decide = decide_softmax if is_softmax else decide_gaussian
    noise = noise_of(process, step, which, policy.n_noise, is_softmax)
    held = decide(policy, u[:n], noise, greedy)
    # a greedy decision was not drawn: nothing can be learned from it
    held = held.at[:n].multiply(jnp.where(greedy, 0.0, 1.0))
    held = jnp.where(due, held, step[state["output"]][1:size])
    pulse = jnp.where(due, held[:n] / step.dt, 0.0)
    decided = jnp.where(due, 1.0, 0.0)[None]
    step[state["output"]] = jnp.concatenate([decided, held, pulse])
    step[state["decisions"]] += due
    return step[state["output"]]


@translates(GaussianREINFORCESim)
def gaussian_reinforce(op, step):
    """Do a step of `~nengo_epes.GaussianREINFORCE`."""
    rule, activities, port = op.rule_type, step[op.activities], step[op.port]
    old = dict(zip(op.NAMES, (step[signal] for signal in op.updates), strict=True))
    reward, gate = port[0], jnp.clip(port[1], 0.0, 1.0)
    decision = port[rule.decision]
    decides, scale = decision[0] > 0.5, rule.objective_scale
    new = dict(old, n_steps=old["n_steps"] + 1)
    parts = jnp.split(decision, np.cumsum([1, rule.n_rows, *[rule.n_actions] * 3]))[1:]
    arriving = dict(zip(op.NAMES[-5:], parts, strict=True))
    objective = -scale * reward * arriving["log_density"].sum()
    count = old["step_count"]
    change = scale * reward * arriving["score"][:, None] * activities
    accumulated = count / (count + 1) * rule.decay * old["accumulated_gradients"]
    arriving |= {
        "objective": objective[None],
        "accumulated_gradients": accumulated + change / (count + 1),
        "step_count": count + 1,
    }
    for name, value in arriving.items():
        new[name] = jnp.where(decides, value, old[name])
    episodic = rule.regime == "episodic"
    eligibility = old["eligibility"] if episodic else 0 * old["eligibility"]
    contribution = new["score"][:, None] * activities
    eligibility += jnp.where(decides, contribution, 0.0)
    factor = scale * reward
    if episodic and rule.average:
        factor /= jnp.maximum(new["step_count"][0], 1.0)
    new["gradient"] = eligibility * factor
    new["delta"] = new["gradient"] * (gate * rule.learning_rate / activities.size)
    if op.weights is not None:
        new["delta"] = limited(new["delta"], step[op.weights], rule, 0.0)
    restarts = jnp.where(decides | episodic, 1.0 - gate, 1.0)
    new["step_count"] = new["step_count"] * restarts
    new["eligibility"] = eligibility * (1.0 - gate) if episodic else eligibility
    for signal, name in zip(op.updates, op.NAMES, strict=True):
        step[signal] = new[name]


@translates(DiscreteTDError)
def discrete_td_error(op, step, u):
    """Send the TD error of a transition."""
    reward, terminated, value, learns, decides = u
    last = step[op.state["value"]][0]
    follows = jnp.where(terminated > 0.5, 0.0, op.process.discount * value)
    step[op.state["value"]] = jnp.where(decides > 0.5, value, last)
    return jnp.where(learns > 0.5, (reward + follows - last) / step.dt, 0.0)[None]


@translates(ContinuousTDError)
def continuous_td_error(op, step, u):
    """Send the TD error in continuous time."""
    reward, value, terminated, resets = u
    smoothing = op.process.smoothing
    keep = math.exp(-step.dt / smoothing) if smoothing else 0.0
    value = jnp.where(terminated > 0.5, 0.0, value)
    begins = (resets > 0.5) | (step[op.state["begun"]][0] == 0)
    filtered = jnp.where(begins, value, step[op.state["filtered"]][0])
    slope = (1.0 - keep) * (value - filtered) / step.dt
    step[op.state["filtered"]] = keep * filtered + (1.0 - keep) * value
    step[op.state["begun"]] = 1
    return (reward - value / op.process.tau + slope)[None]
