"""GaussianREINFORCE: climb a reward at the decoders of a Gaussian policy.

Told in order: what you write (`GaussianREINFORCE`), and how it meets what runs
(`build_gaussian_reinforce`), which is `nengo_epes.learning_rules.reinforce_sim`. The
arithmetic is that of `nengo_epes.gaussian`.
"""

from __future__ import annotations

import warnings

import numpy as np
from nengo.builder import Builder
from nengo.exceptions import BuildError, NengoWarning
from nengo.learning_rules import LearningRuleType
from nengo.params import (
    BoolParam,
    Default,
    EnumParam,
    IntParam,
    NumberParam,
)
from nengo.synapses import Lowpass, SynapseParam

from nengo_epes import gaussian
from nengo_epes.learning_rules.activities import build_activities
from nengo_epes.learning_rules.forms import replace_copy
from nengo_epes.learning_rules.params import BoundsParam
from nengo_epes.learning_rules.reinforce_sim import (
    ApplyGradient,
    GaussianREINFORCESim,
)
from nengo_epes.learning_rules.reinforce_state import HELD, build_state
from nengo_epes.learning_rules.signals import (
    build_port,
    learned_shape,
)


class GaussianREINFORCE(LearningRuleType):
    r"""REINFORCE at the decoders of a Gaussian policy.

    Use it on the connection from an ensemble to a
    `~nengo_epes.networks.GaussianPolicy`, where the reward is known in the step of the
    decision, or where whole episodes are rewarded. For rewards that come some time
    after the action, use `EPES`, whose trace fades, with the policy's score.

    .. math::

       \Delta W = \frac{\kappa}{n}\,k\,r\,E, \qquad
       E = s\,a^T \;\text{(immediate)}, \quad
       E = \sum_t s_t a_t^T \;\text{(episodic)}

    with the reward less a baseline :math:`r`, the score :math:`s` of a decision (the
    derivative of its log density, held by the policy), the filtered presynaptic
    activities :math:`a` in hertz, the learning rate :math:`\kappa`, the number of
    presynaptic neurons :math:`n` and the scale :math:`k` of the objective. Learning
    goes by decisions, not by time, so that ``dt`` does not matter.

    Parameters
    ----------
    learning_rate : float, optional
        Per decision and presynaptic neuron, as that of EPES.
    pre_synapse : Synapse or float or None, optional
        Filters the presynaptic activities.
    n_actions : int, optional
        Dimensions of the action.
    learned_std : bool, optional
        Whether half of the rows of the weights decode the log standard deviations.
    regime : {"immediate", "episodic"}, optional
        Whether the reward of a step meets that step's score, or scores add up, free of
        any reward, until the gate opens at the end of an episode, when the return
        multiplies them and they are forgotten.
    average : bool, optional
        Whether an episode's scores are averaged instead of summed.
    objective_scale : float, optional
        k; 0.01 in ngc-learn.
    weight_bounds : tuple of float or None, optional
        (low, high), within which all weights are kept; (0, w_bound) in ngc-learn.
    decay : float, optional
        Of the accumulated gradients, which are there only where they are probed.

    Raises
    ------
    ValidationError
        If a parameter is not of its kind, or the weight bounds are crossed.
    BuildError
        When the model is built, if the weights do not have as many rows as the actions
        need.
    SimulationError
        When a reward, a score or an activity is not finite.

    See Also
    --------
    EPES : with a fading trace; with none and the reward as TD error it is this rule

    Notes
    -----
    The port has the reward, the gate (0 to 1: how much of what could be learned is
    learned; what has been learned leaves the eligibility) and what the policy says of
    its decision; `reward`, `gate` and `decision` are the slices to connect to.

    References
    ----------
    .. [1] Williams, R. J. (1992). Simple statistical gradient-following algorithms
       for connectionist reinforcement learning. Machine Learning, 8, 229-256;
       equations 4 (immediate) and 11 (episodic).
    .. [2] ngc-learn 3.2, ``REINFORCESynapse``, whose results it gives.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes import GaussianREINFORCE
    >>> from nengo_epes.networks import GaussianPolicy
    >>> rule = GaussianREINFORCE(learning_rate=1e-3)
    >>> with nengo.Network(seed=0) as net:
    ...     policy = GaussianPolicy(n_actions=1, period=0.05)
    ...     state = nengo.Ensemble(50, dimensions=1)
    ...     conn = nengo.Connection(
    ...         state, policy.input, function=lambda x: [0, 0], learning_rule_type=rule
    ...     )
    ...     port = conn.learning_rule
    ...     reward = nengo.Node(lambda t, a: -((a - 0.6) ** 2), size_in=1)
    ...     to_reward = nengo.Connection(policy.action, reward, synapse=None)
    ...     learn = nengo.Connection(reward, port[rule.reward], synapse=None)
    ...     always = nengo.Connection(nengo.Node(1), port[rule.gate], synapse=None)
    ...     what = nengo.Connection(policy.decision, port[rule.decision], synapse=None)
    ...     probe = nengo.Probe(conn.learning_rule, "action")
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.1)
    >>> sim.data[probe].shape
    (100, 1)
    """

    modifies = "decoders"
    probeable = (
        "reward",
        *HELD,
        "objective",
        "activities",
        "eligibility",
        "gradient",
        "accumulated_gradients",
        "step_count",
        "delta",
    )

    learning_rate = NumberParam("learning_rate", low=0, readonly=True, default=1e-3)
    pre_synapse = SynapseParam("pre_synapse", default=Lowpass(0.005), readonly=True)
    n_actions = IntParam("n_actions", low=1, readonly=True, default=1)
    learned_std = BoolParam("learned_std", readonly=True, default=True)
    regime = EnumParam(
        "regime", values=("immediate", "episodic"), readonly=True, default="immediate"
    )
    average = BoolParam("average", readonly=True, default=False)
    objective_scale = NumberParam("objective_scale", readonly=True, default=1.0)
    weight_bounds = BoundsParam(
        "weight_bounds", optional=True, readonly=True, default=None
    )
    decay = NumberParam("decay", low=0, high=1, readonly=True, default=1.0)

    def __init__(
        self,
        learning_rate=Default,
        pre_synapse=Default,
        n_actions=Default,
        learned_std=Default,
        regime=Default,
        average=Default,
        objective_scale=Default,
        weight_bounds=Default,
        decay=Default,
    ):
        self.n_actions = n_actions
        self.learned_std = learned_std
        super().__init__(learning_rate, size_in=self.decision.stop)
        self.pre_synapse = pre_synapse
        self.regime = regime
        self.average = average
        self.objective_scale = objective_scale
        self.weight_bounds = weight_bounds
        self.decay = decay

    @property
    def n_rows(self):
        """(int) Rows of the weights, and length of the score."""
        return self.n_actions * (2 if self.learned_std else 1)

    @property
    def reward(self):
        """(slice) Where the reward less its baseline stands on the port."""
        return slice(0, 1)

    @property
    def gate(self):
        """(slice) Where the learning gate stands on the port."""
        return slice(1, 2)

    @property
    def decision(self):
        """(slice) Where the port takes a policy's ``decision``."""
        layout = gaussian.decision_layout(self.n_rows, self.n_actions)
        return slice(2, 2 + layout["log_density"].stop)


def _warn_of_filtered_decisions(model, rule):
    """Tell where the pulse of a decision would arrive smeared out, and never count."""
    conns = [] if model.toplevel is None else model.toplevel.all_connections
    for conn in conns:
        if conn.post_obj == rule and conn.synapse is not None:
            arrives = np.zeros(rule.size_in, dtype=bool)
            arrives[conn.post_slice] = True
            if arrives[rule.learning_rule_type.decision.start]:
                warnings.warn(
                    f"{conn} filters decisions with {conn.synapse}, but they are told "
                    "in single steps, and would be missed; use synapse=None",
                    NengoWarning,
                    stacklevel=2,
                )


@Builder.register(GaussianREINFORCE)
def build_gaussian_reinforce(model, rule_type, rule):
    """Build a `GaussianREINFORCE` rule into a model.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    rule_type : GaussianREINFORCE
        The rule type.
    rule : nengo.connection.LearningRule
        The rule on its connection.

    Raises
    ------
    BuildError
        If the weights do not have one row for each decoded value of the policy.

    Notes
    -----
    Does not modify ``model.params``, so that rule types can be shared.

    Examples
    --------
    The builder of a model calls it, for each rule that it meets:

    >>> import nengo
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
    >>> model.sig[conn.learning_rule]["activities"].shape
    (20,)
    """
    conn = rule.connection
    shape = learned_shape(model, conn)
    if shape[0] != rule_type.n_rows:
        raise BuildError(
            f"{conn}: its weights have {shape[0]} rows, but n_actions="
            f"{rule_type.n_actions} with learned_std={rule_type.learned_std} need "
            f"{rule_type.n_rows}: the means, then, unless learned_std is False, as "
            "many log standard deviations"
        )
    inputs = {name: getattr(rule_type, name) for name in ("reward", "gate", "decision")}
    port = build_port(model, rule, inputs)
    _warn_of_filtered_decisions(model, rule)
    activities = build_activities(model, conn, rule_type.pre_synapse)
    state, formed = build_state(model, rule)
    weights = model.sig[conn]["weights"]
    reads = {
        "activities": activities,
        "port": port,
        "weights": weights,
        "time": model.time,
    }
    tag = str(rule)
    replace_copy(model, model.sig[rule]["delta"])
    clock = model.time, model.step
    model.add_op(ApplyGradient(weights, state, clock, rule_type, tag=tag))
    model.add_op(GaussianREINFORCESim(reads, state, formed, rule_type, tag=tag))
    model.sig[rule]["reward"] = port[rule_type.reward]
    model.sig[rule]["activities"] = activities
