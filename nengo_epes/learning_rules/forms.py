"""How weights and trace are kept: as cheaply as what is learned allows.

A form decides which arrays there are, and what a step does to them. None changes what
is learned, and whoever looks at weights, trace or change finds them up to date:

* `Direct`: weights and trace are written in every step;
* `nengo_epes.learning_rules.factored.Factored`: few eligibilities reach many rows
  through a fixed matrix, and there is one trace for each of them;
* `nengo_epes.learning_rules.deferred.Deferred`: what the last steps add is kept as
  vectors, and a matrix is written only now and then.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from nengo.builder.operator import Copy, DotInc, Operator
from nengo.builder.signal import Signal

from nengo_epes import updates
from nengo_epes.learning_rules.looking import array_of
from nengo_epes.learning_rules.signals import explain_overflow
from nengo_epes.learning_rules.trace_steps import blocks, make_trace_steps
from nengo_epes.learning_rules.traces import build_trace

FOREIGN = "of the trace's synapse"

FormSteps = namedtuple(
    "FormSteps", ["advance", "clear", "change", "decay", "trace", "delta"]
)
FormSteps.__doc__ = """What one step does, as functions.

``advance(t, eligibility, activities)`` takes the step's activities into the trace,
``clear()`` empties it, ``change(step)`` has the weights changed by step times trace
before the next step; ``trace()`` and ``delta()`` return the trace and that change, both
(rows, n_pre). ``decay`` is the part of the trace that a step leaves; None where it is
not exponential.
"""


class Form:
    """What is common to all forms.

    Parameters
    ----------
    state : dict of str to Signal
        What the rule's operator updates, by name.
    formed : dict of str to Signal
        ``"trace"``, ``"delta"``, ``"characteristic_eligibility"``: those of them that
        have no array of their own, but are formed when they are looked at.

    weights : Signal, optional
        The weights, if they are read in every step.

    Notes
    -----
    A form is ``thin`` where its trace takes the eligibility on the port, before it is
    spread to the rows.
    """

    thin = False

    def __init__(self, state, formed, weights=None):
        self.state = state
        self.formed = formed
        self.weights = weights

    def make_steps(self, arrays, rule_type, dt, rng, tag):
        """Make the functions of a step; arrays are those of ``state``, by name."""
        raise NotImplementedError

    def looks(self, arrays, steps, eligibility):
        """Return what brings weights up to date, and functions for ``formed``."""
        raise NotImplementedError


class Direct(Form):
    """Weights and trace are written in every step.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    rule : nengo.connection.LearningRule
        The rule on its connection.
    keeps_delta : bool
        Whether the change is written to an array of its own in every step.
    """

    def __init__(self, model, rule, keeps_delta):
        conn, rule_type = rule.connection, rule.learning_rule_type
        weights = model.sig[conn]["weights"]
        delta = model.sig[rule]["delta"]
        trace, state = build_trace(rule_type, delta.shape, model.dt, str(conn))
        state = {"trace": trace, **as_foreign(state)}
        if keeps_delta:
            super().__init__({"delta": delta, **state}, {}, weights)
        else:
            step = Signal(shape=(1,), name=f"{conn}.step")
            super().__init__({"step": step, **state}, {"delta": delta}, weights)
            replace_copy(model, delta)
            reads = trace, step, model.time
            model.add_op(ApplyChange(weights, reads, rule_type, tag=str(rule)))
        model.sig[rule]["eligibility_trace"] = trace

    def make_steps(self, arrays, rule_type, dt, rng, tag):
        """Make the functions of a step."""
        trace = arrays["trace"]
        delta, step = arrays.get("delta"), arrays.get("step")
        steps = make_trace_steps(rule_type, trace, foreign(arrays), dt, rng, tag)
        weights = arrays["weights"]

        def change(value):
            step[0] = value

        def change_with_delta(value):
            steps.change(value, delta)
            updates.limit_change(delta, weights, *limits(rule_type, dt))

        def form_delta():
            formed = trace * step
            updates.limit_change(formed, weights, *limits(rule_type, dt))
            return formed

        change = change if delta is None else change_with_delta
        return FormSteps(
            steps.advance, steps.clear, change, steps.decay, lambda: trace, form_delta
        )

    def looks(self, arrays, steps, eligibility):
        """Return nothing to bring up to date; the change is formed."""
        if "delta" not in self.formed:
            return None, {}
        return None, {"delta": steps.delta}


class ApplyChange(Operator):
    """Adds what was learned in the last step to the weights.

    Parameters
    ----------
    weights : Signal
        Shape (rows, n_pre).
    reads : tuple of Signal
        The trace, (rows, n_pre), what it is multiplied by, (1,), and the time, (1,).
    rule_type : EPES
        Has ``weight_bounds`` and ``weight_decay``.
    tag : str, optional
        A label for debugging.

    Notes
    -----
    1. sets ``[]``
    2. incs ``[weights]``
    3. reads ``[trace, step, time]``
    4. updates ``[]``
    """

    def __init__(self, weights, reads, rule_type, tag=None):
        super().__init__(tag=tag)
        self.rule_type = rule_type
        self.sets = []
        self.incs = [weights]
        self.reads = list(reads)
        self.updates = []

    def make_step(self, signals, dt, rng):
        """Make the function of one step."""
        weights = array_of(signals, self.incs[0])
        trace, step, time = (array_of(signals, sig) for sig in self.reads)
        bounds, shrinkage = limits(self.rule_type, dt)
        limited = bounds is not None or shrinkage != 0.0
        parts = blocks(trace, weights)
        factor = step.reshape(())

        def apply_change():
            if factor == 0.0 and not limited:
                return
            for (traces, weight), scratch in parts:
                updates.weight_change(traces, factor, out=scratch)
                if limited:
                    updates.limit_change(scratch, weight, bounds, shrinkage)
                np.add(weight, scratch, weight)

        return explain_overflow(apply_change, self.tag, time)


def as_foreign(state):
    """Rename what a synapse remembers: it may use any name, also one of a form's."""
    return {(FOREIGN, name): signal for name, signal in state.items()}


def foreign(arrays):
    """Return what a synapse remembers, by its own names."""
    return {name[1]: array for name, array in arrays.items() if name[0] == FOREIGN}


def limits(rule_type, dt):
    """Return the bounds of the weights, and what part of them a step loses."""
    return rule_type.weight_bounds, rule_type.weight_decay * dt


def replace_copy(model, delta):
    """Take out Nengo's own addition of a rule's change to the weights."""
    copy = next(
        op for op in reversed(model.operators) if type(op) is Copy and op.src is delta
    )
    model.operators.remove(copy)


def find_product(model, conn):
    """Return the operator that multiplies a connection's weights, or None."""
    weights = model.sig[conn]["weights"]
    products = (
        op for op in reversed(model.operators) if type(op) is DotInc and op.A is weights
    )
    return next(products, None)


def replace_product(model, conn):
    """Take out the operator that multiplies by a connection's weights.

    Returns
    -------
    y : Signal
        What it adds the product to.
    reads : tuple of Signal
        The weights, and what it multiplies them by.
    """
    product = find_product(model, conn)
    model.operators.remove(product)
    return product.Y, (product.A, product.X)
