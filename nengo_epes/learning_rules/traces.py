"""Eligibility traces: the state of each kind, and its functions in a step.

`build_trace` makes the signals, `make_trace` the functions that advance and clear them.
The formulas of the three kinds are in `nengo_epes.arithmetic.updates`.
"""

from __future__ import annotations

from collections import namedtuple
from functools import partial
from typing import Any

import numpy as np
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError, SimulationError
from nengo.rc import rc
from nengo.synapses import Lowpass

from nengo_epes.arithmetic import updates

KINDS = ("accumulating", "replacing", "dutch")

# Blocks of a larger matrix stay in the cache between its three passes: 1000 x 1000
# takes 2.7 ms a step in blocks, 3.1 ms without.
BLOCK_SIZE = 65_536

Trace = namedtuple("Trace", ["advance", "clear", "change", "decay", "forget"])
Trace.__doc__ = """The functions of one simulator step.

``advance(n_steps, eligibility, activities)`` adds the contribution of this step, the
``n_steps``-th of the simulation. The activities are (n_pre,), or (n_post, n_pre) if
each post neuron has its own. ``clear()`` sets the trace and its further state to 0.
``change(factor, out)`` writes the weight change to ``out``; a dutch trace stores it.
``decay`` is the decay factor of one step, or None if the trace does not decay
exponentially. ``forget(n_steps)`` is called in every step and sets small entries to 0:
arithmetic with subnormal numbers is slow.
"""


def is_exponential(synapse):
    """Return whether a synapse is a Lowpass that decays by exp(-dt / tau) in a step."""
    # a subclass may do anything, and other discretisations have another decay
    return type(synapse) is Lowpass and synapse.analog and synapse.method == "zoh"


def check_trace(model, rule, adapts=False):
    """Validate the trace synapse against the kind of trace and the simulator's step.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    rule : nengo.connection.LearningRule
        Rule of a type with ``trace_synapse``, ``trace_type``, ``step`` and
        ``controls``.
    adapts : bool, optional
        Whether the trace takes the adaptation of the post neurons into account.

    Raises
    ------
    BuildError
        If the time constant is shorter than ``dt`` and the trace cannot be held, or is
        so long that a step adds nothing. If the kind of trace or the bounded step needs
        an exponential decay and the synapse has none. If a dutch trace has a bounded
        step. If the post neurons adapt and the trace is not an accumulating one without
        a bounded step.
    """
    conn, rule_type = rule.connection, rule.learning_rule_type
    synapse, kind = rule_type.trace_synapse, rule_type.trace_type
    tau: Any = getattr(synapse, "tau", None)
    # a trace that is held advances in some steps only, which may be far apart
    can_be_held = is_exponential(synapse) and tau > 0 and "hold" in rule_type.controls
    if tau is not None and tau < model.dt and not can_be_held:
        raise BuildError(
            f"{conn}: the trace's time constant tau={tau:g} s is shorter than the "
            f"simulator's step dt={model.dt:g} s; use trace_synapse=None for no "
            "memory, a longer tau, or a Lowpass that can be held, controls='hold'"
        )
    if is_exponential(synapse) and updates.trace_decay(tau, model.dt) == 1.0:
        raise BuildError(
            f"{conn}: trace_synapse has the time constant tau={tau:g} s, and a step of "
            f"dt={model.dt:g} s adds nothing to such a trace; use a shorter tau"
        )
    if kind != "accumulating" and not is_exponential(synapse):
        raise BuildError(
            f"{conn}: a {kind} trace decays exponentially, but trace_synapse is "
            f"{synapse}; use nengo.Lowpass(tau), or trace_type='accumulating'"
        )
    if rule_type.step is not None and kind == "dutch":
        raise BuildError(
            f"{conn}: a dutch trace has its own step size and cannot be combined with "
            f"step={rule_type.step}; use step=None, or another trace_type"
        )
    if rule_type.step is not None and synapse is not None:
        if not is_exponential(synapse):
            raise BuildError(
                f"{conn}: step={rule_type.step} needs a trace that decays "
                f"exponentially, but trace_synapse is {synapse}; use "
                "nengo.Lowpass(tau) or None"
            )
    if adapts and (kind != "accumulating" or rule_type.step is not None):
        raise BuildError(
            f"{conn}: traces of adapting neurons cannot be combined with "
            f"trace_type={kind!r} and step={rule_type.step}; use "
            "trace_type='accumulating' and step=None, or nengo.LIF neurons"
        )


def build_trace(rule_type, shape, dt, label):
    """Make the signals of an eligibility trace.

    Parameters
    ----------
    rule_type : EPES
        Has ``trace_synapse`` and ``trace_type``.
    shape : tuple
        Shape (n_post, n_pre) of the trace; (1, n_pre) if all rows are equal.
    dt : float
        Simulator step in seconds.
    label : str
        Prefix of the names of the signals.

    Returns
    -------
    trace : Signal
        The trace.
    state : dict of str to Signal
        Further signals of the trace, by name.
    """
    trace = Signal(shape=shape, name=f"{label}.eligibility_trace")
    synapse, size = rule_type.trace_synapse, (trace.size,)
    if rule_type.trace_type == "dutch":
        shapes = {"contribution": shape, "last_change": shape, "surprise": shape[:1]}
        arrays = {name: np.zeros(shapes[name]) for name in shapes}
    elif synapse is None or is_exponential(synapse):
        arrays = {}
    else:
        arrays = synapse.make_state(size, size, dt, dtype=trace.dtype)
    state = {name: as_signal(arrays[name], f"{label}.{name}") for name in arrays}
    return trace, state


def as_signal(array, name):
    """Make a signal of an array; floats take the simulation's precision."""
    is_float = array.dtype.kind == "f"
    return Signal(array.astype(rc.float_dtype) if is_float else array, name=name)


def make_trace(rule_type, trace, state, delta, dt, rng, tag):
    """Make the functions of one step of an eligibility trace.

    Parameters
    ----------
    rule_type : EPES
        The rule type that was given to `build_trace`.
    trace : (n_post, n_pre) array
        The trace, changed in place.
    state : dict of str to array
        Further state of the trace, changed in place.
    delta : (n_post, n_pre) array
        Weight change, overwritten as working memory before it is computed.
    dt : float
        Simulator step in seconds.
    rng : numpy.random.RandomState
        Generator for synapses that draw random numbers.
    tag : str
        Name of the rule in error messages.

    Returns
    -------
    Trace
    """
    synapse = rule_type.trace_synapse
    if rule_type.trace_type == "dutch":
        return _dutch(rule_type, trace, state, dt, tag)
    if synapse is None or is_exponential(synapse):
        decay = 0.0 if synapse is None else updates.trace_decay(synapse.tau, dt)
        return _exponential(rule_type.trace_type, trace, decay, delta, dt, tag)
    return _any_synapse(synapse, trace, state, dt, rng)


def _exponential(kind, trace, decay, delta, dt, tag):
    add = updates.replace if kind == "replacing" else updates.accumulate
    height = max(1, min(len(trace), BLOCK_SIZE // trace.shape[1]))
    places = [slice(i, i + height) for i in range(0, len(trace), height)]
    scratch = delta[: len(trace)]
    blocks = [(rows, trace[rows], scratch[rows]) for rows in places]
    smallest, period = updates.subnormal_guard(decay, trace.dtype)
    factor = np.array(decay, trace.dtype)  # numpy multiplies faster by it than by float

    def advance(n_steps, eligibility, activities):
        if kind == "replacing":
            _check_not_negative(tag, n_steps * dt, eligibility, activities)
        for rows, block, space in blocks:
            of_rows = activities if activities.ndim == 1 else activities[rows]
            add(block, factor, eligibility[rows], of_rows, space)

    def forget(n_steps):
        if decay and n_steps % period == 0:
            for _, block, space in blocks:
                block[np.abs(block, out=space) < smallest] = 0.0

    clear, change = partial(trace.fill, 0.0), partial(np.multiply, trace)
    return Trace(advance, clear, change, decay, forget)


def _check_not_negative(tag, t, eligibility, activities):
    lowest = min(eligibility.min(), activities.min())
    if lowest < 0.0:
        raise SimulationError(
            f"{tag}: a replacing trace is not defined for negative features or "
            f"eligibilities (got {lowest:g} at t={t:g} s); use "
            "trace_type='accumulating'"
        )


def _any_synapse(synapse, trace, state, dt, rng):
    # linear filters are faster on one long vector than on a matrix
    size = (trace.size,)
    step = synapse.make_step(size, size, dt, synapse.get_rng(rng), state)

    def advance(n_steps, eligibility, activities):
        # a new array, because a synapse may store the array that it receives
        contribution = eligibility[:, None] * activities
        trace[...] = step(n_steps * dt, contribution.reshape(-1)).reshape(trace.shape)

    def clear():
        trace[...] = 0.0
        initial = synapse.make_state(size, size, dt, dtype=trace.dtype)
        for name, value in initial.items():
            state[name][...] = value

    return Trace(advance, clear, partial(np.multiply, trace), None, _forget_nothing)


def _forget_nothing(n_steps):
    """Do nothing: the synapse has a state of its own."""


def _dutch(rule_type, trace, state, dt, tag):
    decay = updates.trace_decay(rule_type.trace_synapse.tau, dt)
    rate = rule_type.learning_rate / trace.shape[1]
    contribution, last_change, surprise = (
        state[name] for name in ("contribution", "last_change", "surprise")
    )

    def advance(n_steps, eligibility, activities):
        np.multiply.outer(eligibility, activities, out=contribution)
        size = rate * (contribution**2).sum(axis=1).max()
        if size > 1.0:
            t = n_steps * dt
            raise SimulationError(
                f"{tag}: a dutch trace is not stable if learning_rate / n times the "
                f"square of a visit is above 1 (got {size:g} at t={t:g} s); use a "
                f"learning_rate below {rule_type.learning_rate / size:g}"
            )
        # how much the last change moved the value of the present state
        surprise[...] = (last_change * contribution).sum(axis=1)
        last_change[...] = 0.0
        updates.dutch(trace, decay, rate, contribution)

    def clear():
        for array in (trace, contribution, last_change, surprise):
            array[...] = 0.0

    def change(factor, out):
        np.multiply(trace, factor, out=out)
        if factor != 0.0:
            out += rate * surprise[:, None] * (trace - contribution)
            last_change[...] = out

    return Trace(advance, clear, change, decay, _forget_nothing)
