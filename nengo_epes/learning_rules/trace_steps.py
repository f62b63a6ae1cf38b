"""What a step does with an eligibility trace."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from nengo.exceptions import SimulationError

from nengo_epes import updates
from nengo_epes.learning_rules.activities import is_exponential
from nengo_epes.learning_rules.traces import flat_shape

TraceSteps = namedtuple("TraceSteps", ["advance", "clear", "change", "decay"])
TraceSteps.__doc__ = """What one step does with a trace, as functions.

``advance(t, eligibility, activities)`` takes the step's activities in, ``clear()``
empties it, and ``change(step, out)`` writes what a TD error makes of the weights;
``step`` is the product of learning rate, dt / n and TD error. ``decay`` is the part of
the trace that a step leaves; None where it is not exponential.
"""

# entries of a block that stays in a processor's cache
BLOCK = 32_768


def blocks(*matrices):
    """Cut matrices of equally many rows into blocks that fit a cache.

    Parameters
    ----------
    *matrices : (rows, any) arrays
        The first has the width that counts.

    Returns
    -------
    list of tuple
        ``((block, ...), scratch)``: a view of each matrix, and an array in the shape
        of the first one's block, shared by all blocks.
    """
    rows, columns = matrices[0].shape
    height = max(1, min(rows, BLOCK // columns))
    scratch = np.empty((height, columns), matrices[0].dtype)
    starts = range(0, rows, height)
    return [
        (
            tuple(matrix[start : start + height] for matrix in matrices),
            scratch[: min(height, rows - start)],
        )
        for start in starts
    ]


def make_trace_steps(rule_type, trace, state, dt, rng, tag):
    """Make the functions that advance, empty and use a trace, in place.

    Parameters
    ----------
    rule_type : EPES
        As given to `nengo_epes.learning_rules.traces.build_trace`.
    trace : (rows, n_pre) array
        The trace.
    state : dict of str to array
        What is remembered besides.
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

    def change(step, out):
        updates.weight_change(trace, step, out=out)

    synapse = rule_type.trace_synapse
    if synapse is None:

        def advance(t, eligibility, activities):
            np.multiply.outer(eligibility, activities, out=trace)

        return TraceSteps(advance, clear, change, 0.0)
    if rule_type.trace_type == "dutch":
        return _dutch_steps(rule_type, trace, state, dt, tag)
    if not is_exponential(synapse):
        return _synapse_steps(synapse, trace, state, change, dt, rng)

    decay = updates.trace_decay(synapse.tau, dt)
    factor = np.array(decay, trace.dtype)  # multiplied quicker than a float
    parts = [(rows, scratch) for (rows,), scratch in blocks(trace)]
    height = len(parts[0][1])
    places = [
        (slice(i * height, (i + 1) * height), rows, scratch)
        for i, (rows, scratch) in enumerate(parts)
    ]
    forget = _make_forgetting(parts, decay, dt)
    accumulate, scratch = updates.accumulate, parts[0][1]

    def advance(t, eligibility, activities):
        for place, rows, scratch in places:
            accumulate(rows, factor, eligibility[place], activities, scratch)
        forget(t)

    def advance_in_one(t, eligibility, activities):
        accumulate(trace, factor, eligibility, activities, scratch)
        forget(t)

    def advance_replacing(t, eligibility, activities):
        _check_not_negative(tag, t, eligibility, activities)
        for place, rows, scratch in places:
            updates.replace(rows, factor, eligibility[place], activities, scratch)
        forget(t)

    if rule_type.trace_type == "replacing":
        advance = advance_replacing
    elif len(places) == 1:  # the same, and quicker
        advance = advance_in_one
    return TraceSteps(advance, clear, change, decay)


def _make_forgetting(parts, decay, dt):
    """Make what sets a trace to 0 where arithmetic with it would get slow."""
    smallest, period = updates.subnormal_guard(decay, parts[0][0].dtype)

    def forget(t):
        if round(t / dt) % period == 0:
            for rows, scratch in parts:
                np.abs(rows, out=scratch)
                rows[scratch < smallest] = 0.0

    return forget


def _check_not_negative(tag, t, eligibility, activities):
    lowest = min(eligibility.min(), activities.min())
    if lowest < 0.0:
        raise SimulationError(
            f"{tag}: a replacing trace is not defined for negative features or "
            f"eligibilities (got {lowest:g} at t={t:g} s); use "
            "trace_type='accumulating'"
        )


def _synapse_steps(synapse, trace, state, change, dt, rng):
    shape = flat_shape(trace)
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


def _dutch_steps(rule_type, trace, state, dt, tag):
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

    def change(step, out):
        updates.weight_change(trace, step, out=out)
        if step != 0.0:
            out += rate * surprise[:, None] * (trace - contribution)
            last_change[...] = out

    return TraceSteps(advance, clear, change, decay)
