"""Which form keeps the weights and the trace of a rule."""

from __future__ import annotations

from nengo.utils.numpy import is_iterable

from nengo_epes.learning_rules.activities import is_exponential
from nengo_epes.learning_rules.deferred import Deferred
from nengo_epes.learning_rules.factored import Factored
from nengo_epes.learning_rules.forms import Direct, find_product
from nengo_epes.learning_rules.looking import reads_every_step
from nengo_epes.learning_rules.traces import STEP_STATE, as_signal

# as measured by benchmarks/deferred_steps.py
DEFERRED_STEPS = 96
MANY = 100  # rows and columns


def choose_form(model, rule, feedback):
    """Build the form that is the quickest for a rule.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    rule : nengo.connection.LearningRule
        An `EPES` rule on its connection.
    feedback : Signal or None
        B, see `build_feedback`.

    Returns
    -------
    nengo_epes.learning_rules.forms.Form
    """
    rule_type = rule.learning_rule_type
    can_wait = _can_wait(model, rule)
    if can_wait and _is_thin(model, rule, feedback):
        form = Factored(model, rule, feedback)
    elif can_wait and _can_be_deferred(model, rule):
        form = Deferred(model, rule, rule_type.deferred_steps or DEFERRED_STEPS)
    else:
        form = Direct(model, rule, _keeps_delta(model, rule))
    if rule_type.step is not None:
        state = as_signal(rule_type.step.initial_state(), STEP_STATE)
        form.state[STEP_STATE] = state
    return form


def _can_wait(model, rule):
    """Whether nobody needs the weights or the trace in every step."""
    conn, rule_type = rule.connection, rule.learning_rule_type
    return (
        rule_type.deferred_steps != 1
        and rule_type.trace_type == "accumulating"
        and rule_type.weight_bounds is None
        and rule_type.weight_decay == 0.0
        and not is_iterable(conn.learning_rule_type)
        and find_product(model, conn) is not None
        and not reads_every_step(model, conn, ("weights",))
        and not reads_every_step(model, rule, ("eligibility_trace", "delta"))
    )


def _is_thin(model, rule, feedback):
    """Whether few eligibilities reach many rows, through a matrix that stays."""
    if feedback is None or rule.learning_rule_type.post_derivative is not None:
        return False
    if feedback.is_view and _encoders_learn(model):  # a part of the encoders
        return False
    rows, size = feedback.shape
    return 2 * size <= rows


def _encoders_learn(model):
    """Whether a rule such as Voja changes encoders, which may be the feedback."""
    return any(
        rule.modifies == "encoders"
        for conn in model.toplevel.all_connections
        for rule in _rules(conn)
    )


def _rules(conn):
    rules = conn.learning_rule_type
    if isinstance(rules, dict):
        return list(rules.values())
    if is_iterable(rules):
        return list(rules)
    return [] if rules is None else [rules]


def _can_be_deferred(model, rule):
    rule_type = rule.learning_rule_type
    rows, n_pre = model.sig[rule.connection]["weights"].shape
    if rule_type.deferred_steps is None and min(rows, n_pre) < MANY:
        return False  # writing the vectors would cost as much as writing the matrix
    synapse = rule_type.trace_synapse
    return rule_type.step is None and (synapse is None or is_exponential(synapse))


def _keeps_delta(model, rule):
    rule_type = rule.learning_rule_type
    dutch = rule_type.trace_type == "dutch"
    # the change of another rule, which may be added first, must not decay
    decays = rule_type.weight_decay > 0.0 and len(_rules(rule.connection)) > 1
    return dutch or decays or reads_every_step(model, rule, ("delta",))
