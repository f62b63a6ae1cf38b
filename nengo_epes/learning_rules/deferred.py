"""Weights and trace that are written only every so many steps, exactly."""

from __future__ import annotations

import numpy as np
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.rc import rc

from nengo_epes import updates
from nengo_epes.learning_rules.forms import (
    Form,
    FormSteps,
    replace_copy,
    replace_product,
)
from nengo_epes.learning_rules.looking import array_of
from nengo_epes.learning_rules.signals import explain_overflow

# entries of a block of products that stays in a processor's cache
BLOCK = 131_072
# share of active inputs up to which it is quicker to pick them out
SPARSE = 0.25


class Deferred(Form):
    r"""What the last steps add is kept as vectors, and written every K steps.

    With the contributions :math:`p_j a_j^T` of the steps since the matrices were
    written, j from 1 to k,

    .. math::

       e_k = r_0 E + \sum_j r_j p_j a_j^T, \qquad
       w_k = W + d_0 E + \sum_j d_j p_j a_j^T.

    A step multiplies all r by :math:`\rho`, appends :math:`r_k = 1 - \rho`, and adds
    the TD error's step times r to d: a few dozen numbers, whatever the number of
    weights. Until W and E are written, `DeferredProduct` adds what W does not hold
    yet. d has the change of the last step in it already, which a look at the weights
    is not to see.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    rule : nengo.connection.LearningRule
        The rule on its connection.
    n_steps : int
        K.
    """

    def __init__(self, model, rule, n_steps):
        conn = rule.connection
        weights = model.sig[conn]["weights"]
        rows, n_pre = weights.shape
        coefficients = np.zeros((2, n_steps + 1), rc.float_dtype)
        coefficients[1, 0] = 1.0
        state = {
            "weights": weights,
            # transposed, so that the columns of active inputs lie together
            "base": Signal(shape=(n_pre, rows), name=f"{conn}.base"),
            "left": Signal(shape=(n_steps, rows), name=f"{conn}.left"),
            "right": Signal(shape=(n_steps, n_pre), name=f"{conn}.right"),
            "coefficients": Signal(coefficients, name=f"{conn}.coefficients"),
            # of contributions since the last writing, and since the last forgetting
            "count": Signal(np.zeros(2, np.int64), name=f"{conn}.count"),
            "step": Signal(shape=(1,), name=f"{conn}.step"),
        }
        delta = model.sig[rule]["delta"]
        trace = Signal(shape=weights.shape, name=f"{conn}.eligibility_trace")
        super().__init__(state, {"trace": trace, "delta": delta})
        replace_copy(model, delta)
        y, reads = replace_product(model, conn)
        names = ("base", "left", "right", "coefficients", "count")
        reads = *reads, *(state[name] for name in names), model.time
        model.add_op(DeferredProduct(y, reads, tag=str(rule)))
        model.sig[rule]["eligibility_trace"] = trace

    def make_steps(self, arrays, rule_type, dt, rng, tag):
        """Make the functions of a step."""
        left, right, count = (arrays[name] for name in ("left", "right", "count"))
        learned, traced = arrays["coefficients"]
        last = arrays["step"]
        synapse = rule_type.trace_synapse
        decay = 0.0 if synapse is None else updates.trace_decay(synapse.tau, dt)

        guard = updates.subnormal_guard(decay or 0.5, left.dtype)

        def advance(t, eligibility, activities):
            if count[0] == len(left):
                write(arrays, guard)
            k = count[0]
            left[k] = eligibility
            right[k] = activities
            np.multiply(traced, decay, out=traced)
            traced[k + 1] = 1.0 - decay
            count[0] = k + 1

        def clear():
            traced[...] = 0.0

        def change(step):
            last[0] = step
            if step != 0.0:
                learned[...] += step * traced

        def trace():
            refresh(arrays, guard)
            return arrays["base"].T

        def delta():
            return last[0] * trace()

        return FormSteps(advance, clear, change, decay, trace, delta)

    def looks(self, arrays, steps, eligibility):
        """Return what brings weights up to date, and functions for ``formed``."""
        return steps.trace, {"trace": steps.trace, "delta": steps.delta}


def refresh(arrays, guard):
    """Write weights and trace as they are before the change of the last step."""
    learned, traced = arrays["coefficients"]
    last = arrays["step"][0]
    if arrays["count"][0] == 0 and traced[0] == 1.0 and learned[0] == last:
        return  # nothing has happened since
    learned -= last * traced
    write(arrays, guard)
    learned[0] = last


def write(arrays, guard):
    """Write weights and trace as they are, and start again with no contributions."""
    names = ("weights", "base", "left", "right")
    weights, base, left, right = (arrays[name] for name in names)
    learned, traced = arrays["coefficients"]
    k = arrays["count"][0]
    left, right = left[:k], right[:k].T
    keep, add = traced[0], traced[1 : k + 1]
    part, change = learned[0], learned[1 : k + 1]
    changes = learned.any()
    n_pre, rows = base.shape
    height = max(1, BLOCK // rows)
    product, scratch = np.empty((2, min(height, n_pre), rows), base.dtype)
    for start in range(0, n_pre, height):
        block = base[start : start + height]
        activities = right[start : start + height]
        product, scratch = product[: len(block)], scratch[: len(block)]
        if changes:
            np.dot(activities * change, left, out=product)
            if part != 0.0:
                np.multiply(block, part, out=scratch)
                product += scratch
            weights[:, start : start + height] += product.T
        np.dot(activities * add, left, out=product)
        block *= keep
        block += product
    learned[...] = 0.0
    traced[...] = 0.0
    traced[0] = 1.0
    count = arrays["count"]
    count[1] += k
    count[0] = 0
    smallest, period = guard
    if count[1] >= period:
        forget(base, smallest)
        count[1] = 0


def forget(base, smallest):
    """Set entries of the written trace to 0 that would make arithmetic slow."""
    height = max(1, BLOCK // base.shape[1])
    for start in range(0, len(base), height):
        block = base[start : start + height]
        block[np.abs(block) < smallest] = 0.0


class DeferredProduct(Operator):
    """Multiplies by the weights, and by what they do not hold yet.

    It is one operator, so that nobody can look, and have the weights written, between
    the two.

    Parameters
    ----------
    y : Signal
        The product of weights and activities, (rows,).
    reads : tuple of Signal
        The weights, (rows, n_pre); what they are multiplied by, (n_pre,); of the state
        of `Deferred` base, left, right, coefficients and count; and the time, (1,).
    tag : str, optional
        A label for debugging.

    Notes
    -----
    1. sets ``[]``
    2. incs ``[y]``
    3. reads ``[weights, x, base, left, right, coefficients, count, time]``
    4. updates ``[]``
    """

    def __init__(self, y, reads, tag=None):
        super().__init__(tag=tag)
        self.sets = []
        self.incs = [y]
        self.reads = list(reads)
        self.updates = []

    def make_step(self, signals, dt, rng):
        """Make the function of one step."""
        y = array_of(signals, self.incs[0])
        weights, x, base, left, right, coefficients, count, time = (
            array_of(signals, sig) for sig in self.reads
        )
        learned = coefficients[0]
        n_few = int(SPARSE * len(x))
        picked = np.empty((n_few, base.shape[1]), base.dtype)

        def multiply():
            product = weights.dot(x)
            if learned.any():
                product += not_written()
            y[...] += product

        def not_written():
            k = count[0]
            active = np.flatnonzero(x)
            if len(active) <= n_few:
                values = x[active]
                recent = right[:k].take(active, axis=1).dot(values)
                columns = picked[: len(active)]
                base.take(active, axis=0, out=columns, mode="clip")
            else:
                values, columns = x, base
                recent = right[:k].dot(x)
            change = (learned[1 : k + 1] * recent).dot(left[:k])
            if learned[0] != 0.0:
                change += learned[0] * values.dot(columns)
            return change

        return explain_overflow(multiply, self.tag, time)
