"""The rule of the forum's draft, with its errors corrected.

Every step allocates arrays with the shape of the weights: the outer product, the trace
and the change. Corrections: the change is not applied twice, activities are not tiled,
and the gradient is read from the port.
"""

import numpy as np
from nengo.builder import Builder
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.learning_rules import LearningRuleType
from nengo.params import IntParam, NumberParam, Parameter
from nengo.synapses import Lowpass

from nengo_epes.learning_rules.builder_tools import build_activities, build_port
from nengo_epes.learning_rules.feedback import build_feedback, build_spread
from nengo_epes.learning_rules.postsynaptic import build_post_derivative


class Draft(LearningRuleType):
    """A rule with an eligibility trace on every weight."""

    modifies = "decoders"
    tau_e = NumberParam("tau_e", low=0, readonly=True, default=0.1)
    size_eligibility = IntParam("size_eligibility", low=1, readonly=True)
    post_derivative = Parameter("post_derivative", optional=True, readonly=True)

    def __init__(self, learning_rate, size_eligibility, post_derivative=None):
        super().__init__(learning_rate, size_in=1 + size_eligibility)
        self.size_eligibility = size_eligibility
        self.post_derivative = post_derivative


class DraftSim(Operator):
    """One step of the draft."""

    def __init__(self, reads, delta, trace, rule_type):
        super().__init__()
        self.rule_type = rule_type
        self.sets, self.incs = [], []
        self.reads, self.updates = list(reads), [delta, trace]

    def make_step(self, signals, dt, rng):
        """Make the function of one step."""
        activities, port, eligibility = (signals[sig] for sig in self.reads)
        delta, trace = (signals[sig] for sig in self.updates)
        decay = np.exp(-dt / self.rule_type.tau_e)
        rate = self.rule_type.learning_rate * dt / len(activities)

        def step_draft():
            trace[...] = decay * trace + (1 - decay) * np.outer(eligibility, activities)
            delta[...] = rate * port[0] * trace

        return step_draft


@Builder.register(Draft)
def build_draft(model, draft, rule):
    """Build the draft into a model."""
    conn = rule.connection
    port = build_port(model, rule, {"TD error": slice(0, 1)})
    activities = build_activities(model, conn, Lowpass(0.005))
    matrix = build_feedback(model, conn, None, draft.size_eligibility)
    spread = build_spread(model, conn, matrix, port[1:])
    eligibility, _ = build_post_derivative(model, conn, draft.post_derivative, spread)
    delta = model.sig[rule]["delta"]
    trace = Signal(shape=delta.shape, name="trace")
    model.add_op(DraftSim((activities, port, eligibility), delta, trace, draft))
