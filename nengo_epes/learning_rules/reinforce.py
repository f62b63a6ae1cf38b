"""GaussianREINFORCE: the rule type, its operator and its builder."""

from __future__ import annotations

import warnings

import numpy as np
from nengo.builder import Builder
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError, NengoWarning
from nengo.learning_rules import LearningRuleType
from nengo.params import (
    BoolParam,
    Default,
    EnumParam,
    IntParam,
    NumberParam,
)
from nengo.synapses import Lowpass

from nengo_epes.arithmetic import gaussian, updates
from nengo_epes.learning_rules import parameters
from nengo_epes.learning_rules.builder_tools import (
    build_activities,
    build_port,
    connections_to,
    learned_shape,
)
from nengo_epes.learning_rules.divergence import make_check

DECISION = ("score", "action", "mean", "standard_deviation", "log_density")


class GaussianREINFORCE(LearningRuleType):
    r"""REINFORCE at the decoders of a Gaussian policy.

    Use it on the connection from an ensemble to a
    `~nengo_epes.networks.GaussianPolicy`. The reward must arrive in the step of the
    decision, or at the end of an episode. For rewards that arrive some time after the
    action, use `~nengo_epes.EPES` with the policy's score: its trace decays.

    .. math::

       \Delta W = \frac{\kappa}{n}\,k\,r\,E, \qquad
       E = s\,a^T \;\text{(immediate)}, \quad
       E = \sum_t s_t a_t^T \;\text{(episodic)}

    :math:`r` is the reward minus a baseline. :math:`s` is the score of a decision: the
    derivative of its log density, stored by the policy. :math:`a` are the filtered
    presynaptic activities in hertz, :math:`\kappa` the learning rate, :math:`n` the
    number of pre neurons and :math:`k` the scale of the objective. Each decision is one
    update, for any ``dt``. The update is written to ``delta`` in the step of the
    decision, and acts one step later.

    Parameters
    ----------
    learning_rate : float, optional
        Learning rate of an update; it is divided by the number of pre neurons.
    pre_synapse : Synapse or float or None, optional
        Filter of the presynaptic activities; a number is the time constant of a
        `nengo.Lowpass` in seconds.
    n_actions : int, optional
        Dimensions of the action.
    learned_std : bool, optional
        Whether the second half of the decoded values are log standard deviations.
    regime : {"immediate", "episodic"}, optional
        "immediate": the reward of a step multiplies the score of that step.
        "episodic": scores add up, without a reward, until the gate opens at the end of
        an episode; then the return multiplies them and they are cleared.
    average : bool, optional
        Whether an episode's scores are averaged instead of summed.
    objective_scale : float, optional
        k; 0.01 in ngc-learn.
    weight_bounds : tuple of float or None, optional
        (low, high): bounds of all weights, applied in every step; (0, w_bound) in
        ngc-learn.
    decay : float, optional
        Decay of the accumulated gradients, which are for probes only.

    Raises
    ------
    ValidationError
        If a parameter is invalid.
    BuildError
        When the model is built, if the weights do not have one row for each decoded
        value.
    SimulationError
        If a reward, a score or an activity diverges.

    See Also
    --------
    EPES : the same rule with a decaying trace

    Notes
    -----
    The port has the reward, the gate (0 to 1: the fraction of the update that is
    applied, and that leaves the eligibility) and the policy's ``decision``; `reward`,
    `gate` and `decision` are the slices to connect to.

    References
    ----------
    .. [1] Williams, R. J. (1992). Simple statistical gradient-following algorithms
       for connectionist reinforcement learning. Machine Learning, 8, 229-256;
       equations 4 (immediate) and 11 (episodic).
    .. [2] ngc-learn 3.2, ``REINFORCESynapse``, with the same results.

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
        *DECISION,
        "objective",
        "activities",
        "eligibility",
        "gradient",
        "accumulated_gradients",
        "step_count",
        "delta",
    )

    learning_rate = parameters.FiniteParam("learning_rate", default=1e-3)
    pre_synapse = parameters.FilterParam("pre_synapse", default=Lowpass(0.005))
    n_actions = IntParam("n_actions", low=1, readonly=True, default=1)
    learned_std = BoolParam("learned_std", readonly=True, default=True)
    regime = EnumParam(
        "regime", values=("immediate", "episodic"), readonly=True, default="immediate"
    )
    average = BoolParam("average", readonly=True, default=False)
    objective_scale = NumberParam("objective_scale", readonly=True, default=1.0)
    weight_bounds = parameters.BoundsParam("weight_bounds")
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
        """(int) Number of decoded values, and length of the score."""
        return self.n_actions * (2 if self.learned_std else 1)

    @property
    def reward(self):
        """(slice) The reward minus its baseline on the port."""
        return slice(0, 1)

    @property
    def gate(self):
        """(slice) The learning gate on the port."""
        return slice(1, 2)

    @property
    def decision(self):
        """(slice) The policy's ``decision`` on the port."""
        layout = gaussian.decision_layout(self.n_rows, self.n_actions)
        return slice(2, 2 + layout["log_density"].stop)


class GaussianREINFORCESim(Operator):
    """One simulator step of GaussianREINFORCE.

    Parameters
    ----------
    reads : dict of str to Signal
        ``activities`` (n_pre,), ``port`` (size_in,), ``reward`` (1,), ``weights``
        (n_rows, n_pre).
    state : dict of str to Signal
        ``delta``, ``eligibility``, ``gradient``, ``accumulated_gradients`` (n_rows,
        n_pre); ``score`` (n_rows,) and ``action``, ``mean``, ``standard_deviation``,
        ``log_density`` (n_actions,) of the last decision; ``objective`` and
        ``step_count`` (1,); ``n_steps`` (1,).
    rule_type : GaussianREINFORCE
        The rule type.
    tag : str, optional
        Name of the rule in error messages.

    Notes
    -----
    1. sets ``[]``
    2. incs ``[]``
    3. reads ``[activities, port, reward, weights]``, the weights only if they have
       bounds
    4. updates the state

    Examples
    --------
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
    >>> operator.delta.shape
    (2, 20)
    """

    NAMES = (
        "delta",
        "eligibility",
        "gradient",
        "accumulated_gradients",
        "objective",
        "step_count",
        "n_steps",
        *DECISION,
    )

    def __init__(self, reads, state, rule_type, tag=None):
        super().__init__(tag=tag)
        self.rule_type = rule_type
        self.sets = []
        self.incs = []
        self.reads = [reads[name] for name in ("activities", "port", "reward")]
        if rule_type.weight_bounds is not None:
            self.reads.append(reads["weights"])
        self.updates = [state[name] for name in self.NAMES]

    @property
    def activities(self):
        """(Signal) Filtered presynaptic activities."""
        return self.reads[0]

    @property
    def port(self):
        """(Signal) All inputs of the rule."""
        return self.reads[1]

    @property
    def weights(self):
        """(Signal or None) Weights, if they have bounds."""
        return self.reads[3] if len(self.reads) > 3 else None

    @property
    def delta(self):
        """(Signal) Weight change that Nengo adds in the next step."""
        return self.updates[0]

    @property
    def _descstr(self):
        return f"{self.activities}, {self.port} -> {self.delta}"

    def make_step(self, signals, dt, rng):
        """Make the function of one simulator step."""
        activities, port = signals[self.activities], signals[self.port]
        weights = None if self.weights is None else signals[self.weights]
        state = dict(zip(self.NAMES, (signals[s] for s in self.updates), strict=True))
        delta, eligibility = state["delta"], state["eligibility"]
        gradient, accumulated = state["gradient"], state["accumulated_gradients"]
        objective, count = state["objective"], state["step_count"]
        score, n_steps = state["score"], state["n_steps"]
        rule_type = self.rule_type
        rate, scale = (
            rule_type.learning_rate / activities.size,
            rule_type.objective_scale,
        )
        episodic, averages = rule_type.regime == "episodic", rule_type.average
        mean_decay = rule_type.decay
        decided = rule_type.decision.start
        layout = gaussian.decision_layout(rule_type.n_rows, rule_type.n_actions)
        arriving = [(state[x], port[rule_type.decision][layout[x]]) for x in DECISION]
        check = make_check(
            self.tag,
            rule_type.learning_rate,
            lambda: n_steps.item() * dt,
            port=port,
            activities=activities,
        )

        def take_decision(reward):
            for array, value in arriving:
                array[...] = value
            objective[...] = gaussian.objective(state["log_density"], reward, scale)
            # delta is working memory: new arrays of its size would take more time
            contribution = np.multiply.outer(score, activities, out=delta)
            if episodic:
                eligibility[...] += contribution
            else:
                eligibility[...] = contribution
            # the running mean of `gaussian.average_gradient`, in place
            before = count.item()
            contribution *= scale * reward / (before + 1.0)
            np.multiply(accumulated, before / (before + 1.0) * mean_decay, accumulated)
            np.add(accumulated, contribution, accumulated)
            count[0] = before + 1.0

        def step_gaussian_reinforce():
            n_steps[0] += 1
            check()
            reward, gate = port.item(0), min(max(port.item(1), 0.0), 1.0)
            decides = port.item(decided) > 0.5
            if decides:
                take_decision(reward)
            elif not episodic:
                eligibility.fill(0.0)
            factor = scale * reward
            if episodic and averages:
                factor /= max(count.item(), 1.0)
            np.multiply(eligibility, factor, gradient)
            np.multiply(gradient, gate * rate, delta)
            if weights is not None:
                updates.limit_change(delta, weights, rule_type.weight_bounds, 0.0)
            if decides or episodic:
                count[...] *= 1.0 - gate
            if episodic:
                np.multiply(eligibility, 1.0 - gate, eligibility)

        return step_gaussian_reinforce


@Builder.register(GaussianREINFORCE)
def build_gaussian_reinforce(model, rule_type, rule):
    """Build a `~nengo_epes.GaussianREINFORCE` rule into a model.

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
    _check_decisions(model, rule)
    activities = build_activities(model, conn, rule_type.pre_synapse)
    delta = model.sig[rule]["delta"]
    shapes = {
        "eligibility": delta.shape,
        "gradient": delta.shape,
        "accumulated_gradients": delta.shape,
        "objective": (1,),
        "step_count": (1,),
        **dict.fromkeys(DECISION, (rule_type.n_actions,)),
        "score": (rule_type.n_rows,),
    }
    state = {name: Signal(shape=shapes[name], name=f"{rule}.{name}") for name in shapes}
    reward = port[rule_type.reward]
    model.sig[rule].update(state, reward=reward, activities=activities)
    state["delta"] = delta
    state["n_steps"] = Signal(np.zeros(1, np.int64), name=f"{rule}.n_steps")
    weights = model.sig[conn]["weights"]
    reads = dict(activities=activities, port=port, reward=reward, weights=weights)
    model.add_op(GaussianREINFORCESim(reads, state, rule_type, tag=str(rule)))


def _check_decisions(model, rule):
    """Warn of a synapse that would filter the pulse of a decision."""
    start = rule.learning_rule_type.decision.start
    for conn in connections_to(model, rule):
        arrives = np.zeros(rule.size_in, dtype=bool)
        arrives[conn.post_slice] = True
        if conn.synapse is not None and arrives[start]:
            warnings.warn(
                f"{conn} filters decisions with {conn.synapse}, but a decision lasts "
                "one simulator step and would be missed; use synapse=None",
                NengoWarning,
                stacklevel=2,
            )
