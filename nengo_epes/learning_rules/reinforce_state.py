"""What `GaussianREINFORCE` remembers, and what is formed from it when looked at.

What can be probed and has the shape of the weights is not kept but formed when it is
looked at, from a matrix M and a few numbers. In the immediate regime M is the outer
product of a decision's score and activities, which is never written out; in the
episodic regime it is the sum of them, and has an array.
"""

from __future__ import annotations

import numpy as np
from nengo.builder.signal import Signal

from nengo_epes import gaussian, updates
from nengo_epes.learning_rules.looking import is_probed, reads_every_step

HELD = ("score", "action", "mean", "standard_deviation", "log_density")
INNER = ("held", "seen", "numbers", "total")
FORMED = ("delta", "eligibility", "gradient", "objective")
# places in the signal of numbers: by what M is to be multiplied to give the
# eligibility, the gradient, and the change of the weights; the reward of the decision
SHOWN, REWARDED, LEARNED, REWARD = range(4)


def build_state(model, rule):
    """Make the signals of what a rule remembers, and of what can be looked at.

    There are accumulated gradients only where they are probed.

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
    probeable = {name: state[name] for name in state if name not in INNER}
    model.sig[rule].update(probeable | formed)
    for name in HELD:
        where = layout[name]
        model.sig[rule][name] = state["held"][where.start - 1 : where.stop - 1]
    return state, formed


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


def make_forms(rule_type, arrays, weights):
    """Make the functions that form what can be looked at.

    Parameters
    ----------
    rule_type, arrays
        As in `make_multiply`.
    weights : (R, n_pre) array
        As they are before the change of the step.

    Returns
    -------
    dict of str to callable
        By the names of `FORMED`.
    """
    numbers, held = arrays["numbers"], arrays["held"]
    m, multiply = make_multiply(rule_type, arrays)
    layout = gaussian.decision_layout(rule_type.n_rows, rule_type.n_actions)
    log_density = held[layout["log_density"].start - 1 :]

    def delta():
        change = multiply(m, numbers[LEARNED])
        updates.limit_change(change, weights, rule_type.weight_bounds, 0.0)
        return change

    return {
        "delta": delta,
        "eligibility": lambda: multiply(m, numbers[SHOWN]),
        "gradient": lambda: multiply(m, numbers[REWARDED]),
        "objective": lambda: gaussian.objective(
            log_density, numbers[REWARD], rule_type.objective_scale
        ),
    }
