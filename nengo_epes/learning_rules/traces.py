"""The eligibility trace: a memory on every weight that can be held and emptied.

What it may be, and what it remembers; what a step does with it is told in
`nengo_epes.learning_rules.trace_steps`.
"""

from __future__ import annotations

import numpy as np
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError
from nengo.rc import rc

from nengo_epes.learning_rules.activities import is_exponential

# unlike the name of any state that a synapse may have of its own
STEP_STATE = "of the bounded step"
KINDS = ("accumulating", "replacing", "dutch")


def check_trace(model, rule):
    """Refuse what a trace cannot be.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    rule : nengo.connection.LearningRule
        Its type has ``trace_synapse``, ``trace_type`` and ``step``.

    Raises
    ------
    BuildError
        If the synapse has a time constant ``tau`` that is shorter than a step, and the
        trace cannot be held; or is not exponential where the kind of trace needs it.
    """
    conn, rule_type = rule.connection, rule.learning_rule_type
    synapse, kind = rule_type.trace_synapse, rule_type.trace_type
    tau = getattr(synapse, "tau", None)
    # a trace that is held takes in some steps only, which may be far apart
    held = is_exponential(synapse) and tau > 0 and "hold" in rule_type.controls
    if tau is not None and tau < model.dt and not held:
        raise BuildError(
            f"{conn}: the trace's time constant tau={tau:g} s is shorter than the "
            f"simulator's step dt={model.dt:g} s; use trace_synapse=None for no "
            "memory, a longer tau, or a Lowpass that can be held, controls='hold'"
        )
    if kind != "accumulating" and not is_exponential(synapse):
        raise BuildError(
            f"{conn}: a {kind} trace decays exponentially, but trace_synapse is "
            f"{synapse}; use nengo.Lowpass(tau), or trace_type='accumulating'"
        )
    if rule_type.step is not None:
        _check_step(conn, rule_type)


def _check_step(conn, rule_type):
    if rule_type.trace_type == "dutch":
        raise BuildError(
            f"{conn}: a dutch trace has its step size built in, so that it cannot be "
            f"bounded by step={rule_type.step}; use step=None, or another trace_type"
        )
    synapse = rule_type.trace_synapse
    if synapse is not None and not is_exponential(synapse):
        raise BuildError(
            f"{conn}: step={rule_type.step} needs a trace that decays exponentially, "
            f"but trace_synapse is {synapse}; use nengo.Lowpass(tau) or None"
        )


def build_trace(rule_type, shape, dt, label):
    """Make the signals of an eligibility trace.

    Parameters
    ----------
    rule_type : EPES
        Has ``trace_synapse`` and ``trace_type``.
    shape : tuple
        Shape (rows, n_pre) of the trace.
    dt : float
        The step in seconds.
    label : str
        The beginning of the signals' names.

    Returns
    -------
    trace : Signal
        Shape (rows, n_pre).
    state : dict of str to Signal
        What is remembered besides.
    """
    trace = Signal(shape=shape, name=f"{label}.eligibility_trace")
    state = _trace_state(rule_type, trace, dt)
    return trace, {name: as_signal(value, name) for name, value in state.items()}


def as_signal(value, name):
    """Make a signal of an array: floats in the simulation's precision, counters not."""
    is_float = value.dtype.kind == "f"
    return Signal(value.astype(rc.float_dtype) if is_float else value, name=name)


def _trace_state(rule_type, trace, dt):
    """Return the initial values of what a trace remembers besides itself."""
    synapse, kind = rule_type.trace_synapse, rule_type.trace_type
    shape = trace.shape
    if kind == "dutch":
        shapes = {"contribution": shape, "last_change": shape, "surprise": shape[:1]}
        return {name: np.zeros(s) for name, s in shapes.items()}
    if is_exponential(synapse) or synapse is None:
        return {}
    return synapse.make_state(
        flat_shape(trace), flat_shape(trace), dt, dtype=trace.dtype
    )


def flat_shape(trace):
    """Return the shape in which a synapse filters a trace."""
    # linear filters are quicker on one long vector than on a matrix
    return (trace.size,)
