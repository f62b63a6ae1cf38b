"""One trace for each eligibility on the port, instead of one for each weight."""

from __future__ import annotations

import numpy as np
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from nengo_epes import updates
from nengo_epes.learning_rules.forms import (
    Form,
    FormSteps,
    as_foreign,
    foreign,
    replace_copy,
    replace_product,
)
from nengo_epes.learning_rules.looking import array_of
from nengo_epes.learning_rules.signals import explain_overflow
from nengo_epes.learning_rules.trace_steps import blocks, make_trace_steps
from nengo_epes.learning_rules.traces import build_trace


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
            **as_foreign(state),
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
        steps = make_trace_steps(rule_type, filtered, foreign(arrays), dt, rng, tag)
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
