"""What runs where `GaussianREINFORCE` learns: its operators, and what they keep.

What can be probed and has the shape of the weights is not kept but formed when it is
looked at, from a matrix M and a few numbers. In the immediate regime M is the outer
product of a decision's score and activities, which is never written out; in the
episodic regime it is the sum of them, and has an array.
"""

from __future__ import annotations

import numpy as np
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from nengo_epes import gaussian, updates
from nengo_epes.learning_rules.looking import is_probed, reads_every_step, watch
from nengo_epes.learning_rules.signals import explain_overflow, make_finite_check
from nengo_epes.learning_rules.traces import blocks

FORMED = ("delta", "eligibility", "gradient", "objective")
# places in the signal of numbers: by what M is to be multiplied to give the
# eligibility, the gradient, and the change of the weights; the reward of the decision
SHOWN, REWARDED, LEARNED, REWARD = range(4)


def build_state(model, rule):
    """Make the signals of what a rule remembers, and of what can be looked at.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    rule : nengo.connection.LearningRule
        A `GaussianREINFORCE` on its connection.

    Returns
    -------
    state : dict of str to Signal
        What the rule's operator updates, by name.
    formed : dict of str to Signal
        Those of `FORMED` that have no array, but are formed when they are looked at.
    """
    rule_type, delta = rule.learning_rule_type, model.sig[rule]["delta"]
    layout = gaussian.decision_layout(rule_type.n_rows, rule_type.n_actions)
    shapes = {
        "held": (layout["log_density"].stop - 1,),
        "seen": delta.shape[1:],
        "numbers": (4,),
        "step_count": (1,),
    }
    if rule_type.regime == "episodic":
        shapes["total"] = delta.shape
    if is_probed(model, rule, ("accumulated_gradients",)):
        shapes["accumulated_gradients"] = delta.shape
    state = {name: Signal(shape=shapes[name], name=f"{rule}.{name}") for name in shapes}
    formed = {"delta": delta}
    for name in FORMED[1:]:
        shape = (1,) if name == "objective" else delta.shape
        formed[name] = Signal(shape=shape, name=f"{rule}.{name}")
    for name in FORMED:
        if reads_every_step(model, rule, (name,)):
            state[name] = formed.pop(name)
    return state, formed


class GaussianREINFORCESim(Operator):
    """One step of GaussianREINFORCE: hold the decision, then tell what is learned.

    Parameters
    ----------
    reads : dict of str to Signal
        ``activities`` (n_pre,), ``port`` (size_in,), ``weights`` (R, n_pre), ``time``.
    state, formed : dict of str to Signal
        From `build_state`.
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
        functions = self._make_forms(arrays, weights)
        looks = {sig: functions[name] for name, sig in self.formed.items()}
        watch(signals, self, {}, looks)
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

    def _make_forms(self, arrays, weights):
        """Make the functions that form what can be looked at, by name."""
        rule, numbers, held = self.rule_type, arrays["numbers"], arrays["held"]
        m, multiply = make_multiply(rule, arrays)
        layout = gaussian.decision_layout(rule.n_rows, rule.n_actions)
        log_density = held[layout["log_density"].start - 1 :]

        def delta():
            change = multiply(m, numbers[LEARNED])
            updates.limit_change(change, weights, rule.weight_bounds, 0.0)
            return change

        return {
            "delta": delta,
            "eligibility": lambda: multiply(m, numbers[SHOWN]),
            "gradient": lambda: multiply(m, numbers[REWARDED]),
            "objective": lambda: gaussian.objective(
                log_density, numbers[REWARD], rule.objective_scale
            ),
        }


def make_multiply(rule_type, arrays):
    """Make what multiplies M by a number.

    Parameters
    ----------
    rule_type : GaussianREINFORCE
        The parameters.
    arrays : dict of str to array
        The state, see `build_state`.

    Returns
    -------
    m : array
        What has a row for each row of M.
    multiply : callable
        ``multiply(rows, factor, out)`` takes rows of m and writes those of M times
        the factor.
    """
    if "total" in arrays:
        return arrays["total"], np.multiply
    seen = arrays["seen"][None]

    def multiply(rows, factor, out=None):
        return np.dot(rows * factor, seen, out)

    return arrays["held"][: rule_type.n_rows, None], multiply


class ApplyGradient(Operator):
    """Adds what was learned in the last step to the weights.

    Parameters
    ----------
    weights : Signal
        Shape (R, n_pre).
    state : dict of str to Signal
        From `build_state`.
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
