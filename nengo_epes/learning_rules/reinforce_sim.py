"""What runs where `GaussianREINFORCE` learns: its two operators."""

from __future__ import annotations

import numpy as np
from nengo.builder.operator import Operator

from nengo_epes import gaussian, updates
from nengo_epes.learning_rules.looking import watch
from nengo_epes.learning_rules.reinforce_state import (
    FORMED,
    LEARNED,
    REWARD,
    REWARDED,
    SHOWN,
    make_forms,
    make_multiply,
)
from nengo_epes.learning_rules.signals import explain_overflow, make_finite_check
from nengo_epes.learning_rules.trace_steps import blocks


class GaussianREINFORCESim(Operator):
    """One step of GaussianREINFORCE: hold the decision, then tell what is learned.

    Parameters
    ----------
    reads : dict of str to Signal
        ``activities`` (n_pre,), ``port`` (size_in,), ``weights`` (R, n_pre), ``time``.
    state, formed : dict of str to Signal
        See `nengo_epes.learning_rules.reinforce_state.build_state`.
    rule_type : GaussianREINFORCE
        The parameters.
    tag : str, optional
        The name of the rule in error messages.

    Notes
    -----
    1. sets ``[]``
    2. incs ``[]``
    3. reads ``[activities, port, weights, time]``
    4. updates the state

    Examples
    --------
    One stands in every model with a `GaussianREINFORCE`, and says what it reads and
    changes:

    >>> import nengo
    >>> from nengo_epes import GaussianREINFORCE
    >>> rule = GaussianREINFORCE(n_actions=1)
    >>> with nengo.Network() as net:
    ...     pre, post = nengo.Ensemble(20, 1), nengo.Node(size_in=2)
    ...     conn = nengo.Connection(
    ...         pre, post, function=lambda x: [0, 0], learning_rule_type=rule
    ...     )
    ...     constant = nengo.Node([0] * conn.learning_rule.size_in)
    ...     signals = nengo.Connection(constant, conn.learning_rule, synapse=None)
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> (operator,) = (
    ...     op for op in model.operators if isinstance(op, GaussianREINFORCESim)
    ... )
    >>> operator.reads[2].shape
    (2, 20)
    """

    def __init__(self, reads, state, formed, rule_type, tag=None):
        super().__init__(tag=tag)
        self.rule_type = rule_type
        self.formed = formed
        self.state_names = tuple(state)
        self.sets = []
        self.incs = []
        self.reads = [reads[k] for k in ("activities", "port", "weights", "time")]
        self.updates = list(state.values())

    @property
    def _descstr(self):
        return f"{self.reads[0]}, {self.reads[1]} -> {self.updates[0]}"

    def make_step(self, signals, dt, rng):
        """Make the function of one step; it holds no state of its own."""
        activities, port, weights, time = (signals[sig] for sig in self.reads)
        arrays = {
            name: signals[sig]
            for name, sig in zip(self.state_names, self.updates, strict=True)
        }
        functions = make_forms(self.rule_type, arrays, weights)
        looks = {sig: functions[name] for name, sig in self.formed.items()}
        watched = watch(signals, self, {}, looks)
        kept = signals.held if watched else ()
        written = [(arrays[name], functions[name]) for name in FORMED if name in arrays]
        remember, recall = self._make_memory(arrays, activities)
        rule, numbers, count = self.rule_type, arrays["numbers"], arrays["step_count"]
        rate, scale = rule.learning_rate / len(activities), rule.objective_scale
        decision, decided = port[rule.decision], rule.decision.start
        episodic = rule.regime == "episodic"
        averages = episodic and rule.average
        check_finite = make_finite_check(
            self.tag, time, port=port, activities=activities
        )

        def step_gaussian_reinforce():
            check_finite()
            reward, gate = port.item(0), min(max(port.item(1), 0.0), 1.0)
            decides = port.item(decided) > 0.5
            recall()
            if decides:
                remember(decision, reward)
            if not (decides or episodic):  # as in most steps
                numbers[:REWARD] = 0.0
            else:
                factor = scale * reward
                if averages:
                    factor /= max(count.item(), 1.0)
                numbers[SHOWN] = 1.0 - gate if episodic else 1.0
                numbers[REWARDED] = factor
                numbers[LEARNED] = gate * rate * factor
                count[0] *= 1.0 - gate
            for array, form in written:
                array[...] = form()
            if kept:
                signals.keep_up()

        return step_gaussian_reinforce

    def _make_memory(self, arrays, activities):
        """Make what takes a decision in, and what makes ready for the next one."""
        rule = self.rule_type
        names = ("held", "seen", "numbers", "step_count")
        held, seen, numbers, count = (arrays[name] for name in names)
        total, accumulated = arrays.get("total"), arrays.get("accumulated_gradients")
        score = held[: rule.n_rows]
        parts = [] if total is None else blocks(total, score[:, None])

        def remember(decision, reward):
            held[...] = decision[1:]
            seen[...] = activities
            numbers[REWARD] = reward
            for (rows, column), scratch in parts:
                np.dot(column, seen[None], scratch)
                np.add(rows, scratch, rows)
            if accumulated is not None:
                scale = rule.objective_scale
                change = gaussian.weight_change(score, seen, reward, scale)
                now = gaussian.accumulate(accumulated, count, change, rule.decay)
                accumulated[...] = now[0]
            count[0] += 1.0

        def recall():
            # what was learned leaves the total only now: the weights get it at the
            # beginning of a step
            if parts and numbers[SHOWN] != 1.0:
                np.multiply(total, numbers[SHOWN], total)
                numbers[SHOWN] = 1.0

        return remember, recall


class ApplyGradient(Operator):
    """Adds what was learned in the last step to the weights.

    Parameters
    ----------
    weights : Signal
        Shape (R, n_pre).
    state : dict of str to Signal
        See `nengo_epes.learning_rules.reinforce_state.build_state`.
    clock : tuple of Signal
        The time in seconds, and the number of the step.
    rule_type : GaussianREINFORCE
        The parameters.
    tag : str, optional
        The name of the rule in error messages.

    Notes
    -----
    1. sets ``[]``
    2. incs ``[weights]``
    3. reads time, step, the numbers and what M is made of
    4. updates ``[]``
    """

    def __init__(self, weights, state, clock, rule_type, tag=None):
        super().__init__(tag=tag)
        self.rule_type = rule_type
        self.names = ("total",) if "total" in state else ("held", "seen")
        self.sets = []
        self.incs = [weights]
        self.reads = [*clock, state["numbers"], *(state[name] for name in self.names)]
        self.updates = []

    def make_step(self, signals, dt, rng):
        """Make the function of one step."""
        weights = signals[self.incs[0]]
        time, step, numbers, *arrays = (signals[sig] for sig in self.reads)
        arrays = dict(zip(self.names, arrays, strict=True))
        m, multiply = make_multiply(self.rule_type, arrays)
        bounds = self.rule_type.weight_bounds
        parts = blocks(weights, m)

        def apply_gradient():
            factor = numbers.item(LEARNED)
            # as in most steps; and before the first one nothing was learned
            if factor == 0.0 and (bounds is None or step.item() == 1):
                return
            for (weight, rows), change in parts:
                multiply(rows, factor, change)
                if bounds is not None:
                    updates.limit_change(change, weight, bounds, 0.0)
                np.add(weight, change, weight)

        return explain_overflow(apply_gradient, self.tag, time)
