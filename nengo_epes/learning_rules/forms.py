"""How weights and trace are kept: as cheaply as what is learned allows.

A form decides which arrays there are, and what a step does to them. None changes what
is learned, and whoever looks at weights, trace or change finds them up to date:

* `Direct`: weights and trace are written in every step;
* `Factored`: few eligibilities reach many rows through a fixed matrix, and there is
  one trace for each of them;
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
from nengo_epes.learning_rules.traces import blocks, build_trace, make_trace_steps

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

    def __init__(self, state, formed, weights=None):
        self.state = state
        self.formed = formed
        self.weights = weights

    thin = False

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
        state = {"trace": trace, **_as_foreign(state)}
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
        steps = make_trace_steps(rule_type, trace, _foreign(arrays), dt, rng, tag)
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


class Factored(Form):
    r"""One trace for each eligibility on the port, instead of one for each weight.

    With a fixed matrix B the trace is :math:`e = B f`, where f (size_eligibility,
    n_pre) is that of :math:`g\,a^T`, and the weights are :math:`W + B u`, where u is
    the sum of what the TD errors made of f. `FactoredProduct` multiplies by both.
    u holds the change of the last step already, which a look at the weights is not to
    see.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    rule : nengo.connection.LearningRule
        The rule on its connection.
    feedback : Signal
        B, (rows, size_eligibility).
    """

    thin = True

    def __init__(self, model, rule, feedback):
        conn, rule_type = rule.connection, rule.learning_rule_type
        matrix = feedback.initial_value
        shape = (matrix.shape[1], model.sig[conn]["weights"].shape[1])
        filtered, state = build_trace(rule_type, shape, model.dt, str(conn))
        learned = Signal(shape=shape, name=f"{conn}.learned")
        state = {
            "weights": model.sig[conn]["weights"],
            "filtered": filtered,
            "learned": learned,
            "step": Signal(shape=(1,), name=f"{conn}.step"),
            **_as_foreign(state),
        }
        delta = model.sig[rule]["delta"]
        trace = Signal(shape=delta.shape, name=f"{conn}.eligibility_trace")
        super().__init__(state, {"trace": trace, "delta": delta})
        self.matrix = matrix
        replace_copy(model, delta)
        y, reads = replace_product(model, conn)
        reads = *reads, feedback, learned, model.time
        model.add_op(FactoredProduct(y, reads, tag=str(rule)))
        model.sig[rule]["eligibility_trace"] = trace

    def make_steps(self, arrays, rule_type, dt, rng, tag):
        """Make the functions of a step."""
        names = ("filtered", "learned", "step")
        filtered, learned, last = (arrays[name] for name in names)
        steps = make_trace_steps(rule_type, filtered, _foreign(arrays), dt, rng, tag)
        parts = blocks(filtered, learned)
        matrix = self.matrix
        factor = last.reshape(())

        def change(step):
            last[0] = step
            if step == 0.0:
                return
            for (trace, sums), scratch in parts:
                updates.weight_change(trace, factor, out=scratch)
                np.add(sums, scratch, sums)

        return FormSteps(
            steps.advance,
            steps.clear,
            change,
            steps.decay,
            lambda: matrix.dot(filtered),
            lambda: last[0] * matrix.dot(filtered),
        )

    def form_eligibility(self):
        """Make the signal of the eligibility at the rows, which is formed, too."""
        signal = Signal(shape=self.matrix.shape[:1], name="eligibility")
        self.formed["characteristic_eligibility"] = signal
        return signal

    def looks(self, arrays, steps, eligibility):
        """Return what brings weights up to date, and functions for ``formed``."""
        names = ("weights", "filtered", "learned", "step")
        weights, filtered, learned, last = (arrays[name] for name in names)

        def refresh():
            pending = last[0] * filtered
            learned[...] -= pending
            if learned.any():
                for (weight, rows), scratch in blocks(weights, self.matrix):
                    np.dot(rows, learned, out=scratch)
                    weight += scratch
            learned[...] = pending

        functions = {
            "trace": steps.trace,
            "delta": steps.delta,
            "characteristic_eligibility": lambda: self.matrix.dot(eligibility),
        }
        return refresh, {name: functions[name] for name in self.formed}


class FactoredProduct(Operator):
    """Multiplies by the weights, and by what they do not hold yet.

    It is one operator, so that nobody can look, and have the weights written, between
    the two.

    Parameters
    ----------
    y : Signal
        The product of weights and activities, (rows,).
    reads : tuple of Signal
        The weights, (rows, n_pre); what they are multiplied by, (n_pre,); B, (rows,
        size_eligibility); u, (size_eligibility, n_pre); and the time, (1,).
    tag : str, optional
        A label for debugging.

    Notes
    -----
    1. sets ``[]``
    2. incs ``[y]``
    3. reads ``[weights, x, feedback, learned, time]``
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
        weights, x, feedback, learned, time = (
            array_of(signals, sig) for sig in self.reads
        )

        def multiply():
            product = weights.dot(x)
            product += feedback.dot(learned.dot(x))
            y[...] += product

        return explain_overflow(multiply, self.tag, time)


def _as_foreign(state):
    # a synapse may call its state as it likes, also as a form does
    return {(FOREIGN, name): signal for name, signal in state.items()}


def _foreign(arrays):
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
