"""How an `EPES` rule meets a model."""

from __future__ import annotations

from collections import namedtuple

from nengo.builder import Builder
from nengo.exceptions import BuildError

from nengo_epes.learning_rules.activities import build_activities
from nengo_epes.learning_rules.choice import choose_form
from nengo_epes.learning_rules.epes import EPES
from nengo_epes.learning_rules.epes_sim import EPESSim
from nengo_epes.learning_rules.feedback import build_feedback, build_spread
from nengo_epes.learning_rules.looking import reads_every_step
from nengo_epes.learning_rules.post import build_post_derivative
from nengo_epes.learning_rules.signals import build_port, learned_shape
from nengo_epes.learning_rules.traces import check_trace

BuiltEPES = namedtuple("BuiltEPES", ["feedback"])
BuiltEPES.__doc__ = """What is fixed when the rule is built: the matrix ``feedback``.

Shape (rows, size_eligibility); None where the eligibility is taken as it is.
"""


@Builder.register(EPES)
def build_epes(model, epes, rule):
    """Build an `EPES` rule into a model.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    epes : EPES
        The rule type.
    rule : nengo.connection.LearningRule
        The rule on its connection.

    Raises
    ------
    BuildError
        See `EPES`.

    Notes
    -----
    Sets ``model.params[rule]``, which is ``sim.data[conn.learning_rule]``, to a
    `BuiltEPES`.

    Examples
    --------
    The builder of a model calls it, for each rule that it meets:

    >>> import nengo
    >>> with nengo.Network() as net:
    ...     pre, post = nengo.Ensemble(20, 1), nengo.Node(size_in=1)
    ...     conn = nengo.Connection(pre, post, learning_rule_type=EPES())
    ...     signals = nengo.Connection(nengo.Node([0, 1]), conn.learning_rule)
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> model.sig[conn.learning_rule]["eligibility_trace"].shape
    (1, 20)
    """
    conn = rule.connection
    if epes.weight_decay * model.dt > 1.0:
        raise BuildError(
            f"{conn}: weight_decay={epes.weight_decay:g} loses more than the whole "
            f"weight in a step of dt={model.dt:g} s; use at most {1 / model.dt:g}"
        )
    learned_shape(model, conn)  # refuses what is no matrix
    check_trace(model, rule)
    inputs = {"TD error": epes.td_error, "eligibility": epes.eligibility}
    port = build_port(model, rule, inputs)
    activities = build_activities(model, conn, epes.pre_synapse)
    g = port[epes.eligibility]
    feedback = build_feedback(model, conn, epes.feedback, epes.size_eligibility)
    form = choose_form(model, rule, feedback)
    if form.thin and epes.step is None and not _is_filtered(model, rule):
        eligibility, psi = form.form_eligibility(), None
        needed = g
    else:
        spread = build_spread(model, conn, feedback, g)
        eligibility, psi = build_post_derivative(
            model, conn, epes.post_derivative, spread
        )
        needed = eligibility
    reads = {
        "activities": activities,
        "port": port,
        "eligibility": needed,
        "contribution": g if form.thin else eligibility,
        "time": model.time,
    }
    model.add_op(EPESSim(reads, form, epes, tag=str(rule)))
    model.params[rule] = BuiltEPES(None if feedback is None else feedback.initial_value)
    model.sig[rule]["error"] = port
    model.sig[rule]["td_error"] = port[epes.td_error]
    model.sig[rule]["characteristic_eligibility"] = eligibility
    model.sig[rule]["activities"] = activities
    if psi is not None:
        model.sig[rule]["post_derivative"] = psi


def _is_filtered(model, rule):
    return reads_every_step(model, rule, ("characteristic_eligibility",))
