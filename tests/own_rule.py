"""Example of a learning rule: exploratory Hebbian learning (Legenstein et al. 2010).

dW_ij = learning_rate dt / n R (x_i - mean x_i) a_j: the rule reinforces the deviation
of neuron i from its mean activity while R, reward minus baseline, is positive.
"""

import numpy as np
from nengo.builder import Builder, Operator, Signal
from nengo.learning_rules import LearningRuleType
from nengo.params import Default, NumberParam
from nengo.synapses import Lowpass, SynapseParam

from nengo_epes import learning_rules, updates


class ExploratoryHebb(LearningRuleType):
    modifies = "weights"
    probeable = ("reward", "activities", "post_activities", "mean", "delta")

    synapse = SynapseParam("synapse", default=Lowpass(0.005), readonly=True)
    tau = NumberParam("tau", low=0, low_open=True, readonly=True, default=0.1)
    reward = property(lambda self: slice(0, 1))

    def __init__(self, learning_rate=Default, synapse=Default, tau=Default):
        super().__init__(learning_rate, size_in=1)
        self.synapse, self.tau = synapse, tau


class ExploratoryHebbSim(Operator):
    def __init__(self, reads, delta, mean, rule_type, tag=None):
        super().__init__(tag=tag)
        self.rule_type, self.sets, self.incs = rule_type, [], []
        self.reads, self.updates = reads, [delta, mean]

    def make_step(self, signals, dt, rng):
        reward, pre, post, time = (signals[sig] for sig in self.reads)
        delta, mean = (signals[sig] for sig in self.updates)
        kappa, tau = self.rule_type.learning_rate, self.rule_type.tau
        rate, gain = kappa * dt / len(pre), 1.0 - updates.trace_decay(tau, dt)
        check = learning_rules.make_check(self.tag, kappa, time.item, reward=reward)

        def step_exploratory_hebb():
            check()
            np.multiply.outer(rate * reward * (post - mean), pre, out=delta)
            mean[...] += gain * (post - mean)

        return step_exploratory_hebb


@Builder.register(ExploratoryHebb)
def build_exploratory_hebb(model, rule_type, rule):
    conn, sig = rule.connection, model.sig[rule]
    reward = learning_rules.build_port(model, rule, {"reward": rule_type.reward})
    pre = learning_rules.build_activities(model, conn, rule_type.synapse)
    post = learning_rules.build_post_activities(model, conn, rule_type.synapse)
    rows, _ = learning_rules.learned_shape(model, conn)
    mean = Signal(shape=(rows,), name=f"{rule}.mean")
    sig.update(reward=reward, activities=pre, post_activities=post, mean=mean)
    reads = [reward, pre, post, model.time]
    model.add_op(ExploratoryHebbSim(reads, sig["delta"], mean, rule_type, str(rule)))
