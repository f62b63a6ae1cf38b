"""Translations of the learning rules."""

from __future__ import annotations

from types import SimpleNamespace

import nengo

from nengo_epes.arithmetic import updates
from nengo_epes.arithmetic.step_sizes import SILENCE, Intentional
from nengo_epes.arithmetic.surrogates import PiecewiseLinear, RateDerivative
from nengo_epes.functional.model import (
    TRANSLATIONS,
    NotTranslatedError,
    jax,
    jnp,
    translates,
)
from nengo_epes.functional.operators import NEURONS, delay, linear
from nengo_epes.learning_rules.epes import EPESSim
from nengo_epes.learning_rules.postsynaptic import (
    AdaptedActivitiesSim,
    PostDerivativeSim,
)
from nengo_epes.learning_rules.stdp import RewardSTDPSim
from nengo_epes.learning_rules.traces import is_exponential


def control(rule_type, port, name):
    """Return whether an input of a rule is above 0.5; None if it has none."""
    if name not in rule_type.controls:
        return None
    return port[getattr(rule_type, name).start] > 0.5


def limited(change, weights, rule_type, shrinkage):
    """Return a change with weight decay and bounds, see `updates.limit_change`."""
    change = change - shrinkage * weights if shrinkage else change
    if rule_type.weight_bounds is None:
        return change
    return jnp.clip(weights + change, *rule_type.weight_bounds) - weights


@translates(EPESSim)
def epes(op, step):
    """Do a step of `~nengo_epes.EPES`, without a dutch trace or the step `ObGD`."""
    rule, dt, port = op.rule_type, step.dt, step[op.port]
    if rule.trace_type == "dutch" or type(rule.step) not in (type(None), Intentional):
        raise NotTranslatedError(
            "dutch traces and ObGD have no translation; use another trace_type or step"
        )
    activities, third = step[op.activities], step[op.third_factor]
    each = activities if op.adapted is None else step[op.adapted]
    rows = slice(0, 1) if op.equal_rows else slice(None)
    eligibility, old = step[op.eligibility][rows], step[op.trace][rows]
    contribution = eligibility[:, None] * each
    hold, clear = (control(rule, port, name) for name in ("hold", "reset"))
    synapse, decay = rule.trace_synapse, 0.0
    if synapse is None or is_exponential(synapse):
        decay = 0.0 if synapse is None else updates.trace_decay(synapse.tau, dt)
        if rule.trace_type == "replacing":
            trace = jnp.maximum(decay * old, contribution)
            # not defined for negative contributions; `run` finds what is not a number
            negative = (eligibility < 0).any() | (each < 0).any()
            trace = jnp.where(negative, jnp.nan, trace)
        else:
            trace = decay * old + (1 - decay) * contribution
    elif rule.controls or TRANSLATIONS.get(type(synapse)) not in (linear, delay):
        raise NotTranslatedError(
            f"a trace of {synapse} with controls {rule.controls} has no translation; "
            "use a Lowpass"
        )
    else:
        filters = SimpleNamespace(process=synapse, state=op.trace_state)
        trace = TRANSLATIONS[type(synapse)](filters, step, contribution.reshape(-1))
        trace = trace.reshape(old.shape)
    if hold is not None:
        trace = jnp.where(hold, old, trace)
    if clear is not None:
        trace = jnp.where(clear, 0.0, trace)
    step[op.n_steps] += 1
    rate = rule.learning_rate / activities.size
    if rule.size_td_error > 1:
        factor = (rate * dt) * third[:, None]
    elif rule.step is None:
        factor = rate * (dt * third[0])
    else:
        advances = jnp.ones((), bool)
        for stops in (hold, clear):
            advances = advances if stops is None else advances & ~stops
        decay = jnp.where(advances, decay, 1.0)
        squares = eligibility @ eligibility, activities @ activities, (trace**2).sum()
        memory, factor = intentional(
            rule.step, step[op.memory], decay, dt * third[0], *squares
        )
        step[op.memory] = memory
    change = factor * trace
    if op.weights is not None:
        change = limited(change, step[op.weights], rule, rule.weight_decay * dt)
    step[op.trace], step[op.delta] = trace, change


def intentional(rule, memory, decay, pulse, score, activity, squared):
    """Return the new memory of `Intentional` and the factor of the trace.

    Arguments: the step, its memory, the decay of the trace (1 if it is held), the TD
    error, the squared lengths of eligibility, activities and trace.
    """
    s = list(memory)
    terms = {0: score * activity, 1: 1.0}
    if rule.floor is not None:
        terms |= {5: score, 6: activity}
    for i, term in terms.items():
        s[i] = decay * s[i] + (1 - decay) * term
    is_pulse, keep, delta = pulse != 0, rule.delta_decay, pulse
    later = {4: keep * s[4] + (1 - keep), 2: keep * s[2] + (1 - keep) * pulse**2}
    if rule.clip is not None:
        largest = rule.clip * jnp.sqrt(later[2] / later[4])
        delta = jnp.clip(delta, -largest, largest)
    later[3] = keep * s[3] + (1 - keep) * jnp.abs(delta)
    if rule.normalize:
        mean = later[3] / later[4]
        delta = jnp.where(mean > 0, delta / jnp.where(mean > 0, mean, 1.0), 0.0)
    weight = jnp.where(s[1] == 0, 1.0, s[1])
    sigma = s[0] / weight
    if rule.floor is not None:
        sigma = jnp.maximum(s[5] / weight, rule.floor) * (s[6] / weight)
    norm = jnp.sqrt(jnp.where(s[1] == 0, 0.0, sigma)) * jnp.sqrt(squared)
    eta = rule.eta
    if rule.shrink is not None:
        later[7] = s[7] + 1
        eta /= jnp.sqrt(1 + later[7] / rule.shrink)
    for i, value in later.items():
        s[i] = jnp.where(is_pulse, value, s[i])
    large = is_pulse & (norm > SILENCE)
    factor = jnp.where(large, eta * delta / jnp.where(large, norm, 1.0), 0.0)
    return jnp.stack(s), factor


@translates(PostDerivativeSim)
def post_derivative(op, step):
    """Set the pseudo-derivative of post neurons."""
    psi, sources = op.surrogate, [step[signal] for signal in op.reads]
    if isinstance(psi, RateDerivative):
        (current,) = sources
        rates = NEURONS[getattr(nengo, psi.response)]
        # it has the parameters of the neurons
        slope = jax.grad(lambda J: rates(psi, J, {}, step.dt)[0].sum())
        step[op.sets[0]] = slope(current)
        return
    if type(psi) is not PiecewiseLinear:
        raise NotTranslatedError(f"{psi} has no translation; use PiecewiseLinear")
    voltage, refractory, spiked = sources
    bump = psi.gamma * jnp.maximum(1 - psi.beta * jnp.abs(voltage - 1), 0.0)
    bump = jnp.where(refractory >= step.dt, 0.0, bump)
    step[op.sets[0]] = jnp.where(spiked != 0, psi.gamma, bump)


@translates(AdaptedActivitiesSim)
def adapted_activities(op, step):
    """Subtract the derivative of the adaptation from activities, and advance it."""
    activities, psi, _ = op.reads
    (adapted,), (adaptation,), kind = op.sets, op.updates, op.neuron_type
    difference = step[activities] - step[adaptation]
    decay = 1 - step.dt / kind.tau_n
    by_spike = kind.amplitude * kind.inc_n / kind.tau_n
    step[adapted] = difference
    increase = by_spike * step[psi][:, None] * difference
    step[adaptation] = decay * step[adaptation] + increase


@translates(RewardSTDPSim)
def reward_stdp(op, step):
    """Do a step of `~nengo_epes.RewardSTDP`."""
    rule, dt = op.rule_type, step.dt
    pre, post, port = (step[signal] for signal in op.reads[:3])
    delta, trace, pre_trace, post_trace, n_steps = op.updates
    pre, post = (
        jnp.round(spikes * (dt / area))
        for spikes, area in zip((pre, post), op.areas, strict=True)
    )
    decay, pre_decay, post_decay = (
        0.0 if synapse is None else updates.trace_decay(synapse.tau, dt)
        for synapse in (rule.trace_synapse, rule.pre_synapse, rule.post_synapse)
    )
    x, y, old = pre_decay * step[pre_trace], post_decay * step[post_trace], step[trace]
    gain = (1 - decay) / dt
    new = decay * old + gain * rule.potentiation * post[:, None] * x
    new -= gain * rule.depression * y[:, None] * pre
    hold, clear = (control(rule, port, name) for name in ("hold", "reset"))
    new = new if hold is None else jnp.where(hold, old, new)
    new = new if clear is None else jnp.where(clear, 0.0, new)
    change = rule.learning_rate * dt * port[0] * new
    if rule.weight_bounds is not None:
        weights, (low, high) = step[op.reads[3]], rule.weight_bounds
        if rule.weight_dependence == "multiplicative":
            distance = jnp.where(change > 0, high - weights, weights - low)
            change *= distance / (high - low)
        change = limited(change, weights, rule, 0.0)
    step[trace], step[delta] = new, change
    step[pre_trace], step[post_trace] = x + pre, y + post
    step[n_steps] += 1
