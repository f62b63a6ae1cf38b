"""The eligibility trace: a memory on every weight that can be held and emptied."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError, SimulationError
from nengo.rc import rc
from nengo.synapses import Lowpass

from nengo_epes import updates

# unlike the name of any state that a synapse may have of its own
STEP_STATE = "of the bounded step"
KINDS = ("accumulating", "replacing", "dutch")

TraceSteps = namedtuple("TraceSteps", ["advance", "clear", "change", "decay"])
TraceSteps.__doc__ = """What one step does with a trace, as functions.

``advance(t, eligibility, activities)`` takes the step's activities in, ``clear()``
empties it, and ``change(step)`` writes what a TD error makes of the weights; ``step``
is the product of learning rate, dt / n and TD error. ``decay`` is the part of the trace
that a step leaves; None where it is not exponential.
"""


def build_trace(model, conn, rule_type, shape):
    """Make the signals of an eligibility trace.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    conn : nengo.Connection
        The connection that learns.
    rule_type : EPES
        Has ``trace_synapse`` and ``trace_type``.
    shape : tuple
        Shape (rows, n_pre) of the weights.

    Returns
    -------
    trace : Signal
        Shape (rows, n_pre).
    state : dict of str to Signal
        What is remembered besides.

    Raises
    ------
    BuildError
        If the synapse has a time constant ``tau`` that is shorter than a step, or is
        not exponential where the kind of trace needs it to be.
    """
    synapse, kind = rule_type.trace_synapse, rule_type.trace_type
    tau = getattr(synapse, "tau", None)
    if tau is not None and tau < model.dt:
        raise BuildError(
            f"{conn}: the trace's time constant tau={tau:g} s is shorter than the "
            f"simulator's step dt={model.dt:g} s; use trace_synapse=None for no "
            "memory, or a longer tau"
        )
    if kind != "accumulating" and not _is_exponential(synapse):
        raise BuildError(
            f"{conn}: a {kind} trace decays exponentially, but trace_synapse is "
            f"{synapse}; use nengo.Lowpass(tau), or trace_type='accumulating'"
        )
    if rule_type.step is not None:
        _check_step(conn, rule_type)
    trace = Signal(shape=shape, name=f"{conn}.eligibility_trace")
    state = _trace_state(rule_type, trace, model.dt)
    if rule_type.step is not None:
        state[STEP_STATE] = rule_type.step.initial_state()
    return trace, {name: _signal(value, name) for name, value in state.items()}


def _check_step(conn, rule_type):
    if rule_type.trace_type == "dutch":
        raise BuildError(
            f"{conn}: a dutch trace has its step size built in, so that it cannot be "
            f"bounded by step={rule_type.step}; use step=None, or another trace_type"
        )
    synapse = rule_type.trace_synapse
    if synapse is not None and not _is_exponential(synapse):
        raise BuildError(
            f"{conn}: step={rule_type.step} needs a trace that decays exponentially, "
            f"but trace_synapse is {synapse}; use nengo.Lowpass(tau) or None"
        )


def _signal(value, name):
    # floats in the precision of the simulation, counters as they are
    is_float = value.dtype.kind == "f"
    return Signal(value.astype(rc.float_dtype) if is_float else value, name=name)


def _trace_state(rule_type, trace, dt):
    """Return the initial values of what a trace remembers besides itself."""
    synapse, kind = rule_type.trace_synapse, rule_type.trace_type
    shape = trace.shape
    if kind == "dutch":
        shapes = {"contribution": shape, "last_change": shape, "surprise": shape[:1]}
        return {name: np.zeros(s) for name, s in shapes.items()}
    if _is_exponential(synapse) or synapse is None:
        return {}
    return synapse.make_state(_flat(trace), _flat(trace), dt, dtype=trace.dtype)


def make_trace_steps(rule_type, trace, state, delta, dt, rng, tag):
    """Make the functions that advance, empty and use a trace, in place.

    Parameters
    ----------
    rule_type : EPES
        As given to `build_trace`.
    trace : (rows, n_pre) array
        The trace.
    state : dict of str to array
        What is remembered besides.
    delta : (rows, n_pre) array
        Where the change of the weights is written; scratch before that.
    dt : float
        The step in seconds.
    rng : numpy.random.RandomState
        For synapses that draw.
    tag : str
        The name of the rule in error messages.

    Returns
    -------
    TraceSteps
    """

    def clear():
        trace[...] = 0.0

    def change(step):
        updates.weight_change(trace, step, out=delta)

    synapse, decay = rule_type.trace_synapse, None
    if synapse is None:
        decay = 0.0

        def advance(t, eligibility, activities):
            np.multiply.outer(eligibility, activities, out=trace)

    elif rule_type.trace_type == "dutch":
        return _dutch_steps(rule_type, trace, state, delta, dt, tag)
    elif rule_type.trace_type == "replacing":
        decay = updates.trace_decay(synapse.tau, dt)

        def advance(t, eligibility, activities):
            if eligibility.min() < 0.0 or activities.min() < 0.0:
                raise SimulationError(
                    f"{tag}: a replacing trace is not defined for negative features or "
                    f"eligibilities (got {min(eligibility.min(), activities.min()):g} "
                    f"at t={t:g} s); use trace_type='accumulating'"
                )
            updates.replace(trace, decay, eligibility, activities, scratch=delta)

    elif _is_exponential(synapse):
        decay = updates.trace_decay(synapse.tau, dt)

        def advance(t, eligibility, activities):
            updates.accumulate(trace, decay, eligibility, activities, scratch=delta)

    else:
        return _synapse_steps(synapse, trace, state, change, dt, rng)
    return TraceSteps(advance, clear, change, decay)


def _synapse_steps(synapse, trace, state, change, dt, rng):
    shape = _flat(trace)
    step = synapse.make_step(shape, shape, dt, synapse.get_rng(rng), state)

    def advance(t, eligibility, activities):
        # a fresh array, because a synapse may keep what it is given
        pulse = np.multiply.outer(eligibility, activities)
        trace[...] = step(t, pulse.reshape(-1)).reshape(trace.shape)

    def clear():
        trace[...] = 0.0
        fresh = synapse.make_state(shape, shape, dt, dtype=trace.dtype)
        for name, value in fresh.items():
            state[name][...] = value

    return TraceSteps(advance, clear, change, None)


def _dutch_steps(rule_type, trace, state, delta, dt, tag):
    decay = updates.trace_decay(rule_type.trace_synapse.tau, dt)
    rate = rule_type.learning_rate / trace.shape[1]
    contribution, last_change, surprise = (
        state[name] for name in ("contribution", "last_change", "surprise")
    )

    def advance(t, eligibility, activities):
        np.multiply.outer(eligibility, activities, out=contribution)
        size = rate * (contribution**2).sum(axis=1).max()
        if size > 1.0:
            raise SimulationError(
                f"{tag}: a dutch trace is not stable where learning_rate / n times the "
                f"square of a visit is above 1 (got {size:g} at t={t:g} s); use a "
                f"learning_rate below {rule_type.learning_rate / size:g}"
            )
        # how much the last change moved the value of where the agent is now
        surprise[...] = (last_change * contribution).sum(axis=1)
        last_change[...] = 0.0
        updates.dutch(trace, decay, rate, contribution)

    def clear():
        trace[...] = 0.0
        contribution[...] = 0.0
        last_change[...] = 0.0
        surprise[...] = 0.0

    def change(step):
        updates.weight_change(trace, step, out=delta)
        if step != 0.0:
            delta[...] += rate * surprise[:, None] * (trace - contribution)
            last_change[...] = delta

    return TraceSteps(advance, clear, change, decay)


def _flat(trace):
    # linear filters are quicker on one long vector than on a matrix
    return (trace.size,)


def _is_exponential(synapse):
    # subclasses may do anything; other discretisations differ from exp(-dt / tau)
    return type(synapse) is Lowpass and synapse.analog and synapse.method == "zoh"
