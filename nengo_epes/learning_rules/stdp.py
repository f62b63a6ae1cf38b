"""RewardSTDP: the rule type, its operator and its builder."""

from __future__ import annotations

import numpy as np
from nengo.builder import Builder
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.ensemble import Neurons
from nengo.exceptions import BuildError, ValidationError
from nengo.learning_rules import LearningRuleType
from nengo.params import Default, EnumParam
from nengo.synapses import Lowpass

from nengo_epes.arithmetic import updates
from nengo_epes.learning_rules import parameters
from nengo_epes.learning_rules.builder_tools import (
    build_activities,
    build_port,
    learned_shape,
)
from nengo_epes.learning_rules.divergence import check_factors, make_check
from nengo_epes.learning_rules.postsynaptic import build_post_activities


class RewardSTDP(LearningRuleType):
    r"""Reward-modulated spike-timing-dependent plasticity (STDP).

    Use it between spiking neurons, if a reward tells some time later whether what they
    did was good. Pairs of spikes leave an eligibility; the reward turns it into a
    change of the weights. In a simulator step in which the neurons emit :math:`s`
    spikes:

    .. math::

       x_j \leftarrow e^{-dt / \tau_+}\, x_j, \qquad
       y_i \leftarrow e^{-dt / \tau_-}\, y_i

       c_{ij} = A_+\, s_i x_j - A_-\, y_i s_j, \qquad
       x_j \leftarrow x_j + s_j, \qquad y_i \leftarrow y_i + s_i

       e_{ij}(t) = (h * c_{ij} / dt)(t), \qquad
       \Delta w_{ij} = \kappa\,dt\,r\,e_{ij}

    Neuron :math:`j` is presynaptic and neuron :math:`i` postsynaptic. :math:`x` and
    :math:`y` are the spike traces and :math:`c` the pairs of all spikes with all
    earlier spikes. :math:`h` is the impulse response of the trace, with an area of 1,
    :math:`\kappa` the learning rate and :math:`r` the reward.

    One pre spike and then, :math:`D` seconds later, one post spike change the weight
    by :math:`\kappa A_+ e^{-D / \tau_+}` in total, if the reward is 1 all the time;
    in the other order it is :math:`-\kappa A_- e^{-D / \tau_-}`. A reward at one time
    changes it by the part of the trace that is left.

    Parameters
    ----------
    learning_rate : float, optional
        kappa: weight change by a pair of two simultaneous spikes for a reward of 1. It
        is not divided by the number of neurons.
    pre_synapse : Lowpass or float, optional
        :math:`\tau_+` in seconds: how long a pre spike waits for a post spike.
    post_synapse : Lowpass or float, optional
        :math:`\tau_-` in seconds: how long a post spike waits for a pre spike.
    potentiation : float, optional
        :math:`A_+`, the weight of pairs in which the pre spike is first.
    depression : float, optional
        :math:`A_-`, the weight of pairs in which the post spike is first.
    trace_synapse : Lowpass or float or None, optional
        The eligibility trace; its time constant is as long as rewards are late. None
        for no memory: the reward must be there in the step of the second spike.
    weight_bounds : tuple of float or None, optional
        (low, high): bounds of all weights.
    weight_dependence : {"additive", "multiplicative"}, optional
        "multiplicative": an increase is multiplied by (high - w) / (high - low), and a
        decrease by (w - low) / (high - low). It needs finite ``weight_bounds``.
    controls : tuple of str, optional
        Control inputs on the port, in this order: ``"hold"`` (above 0.5 it freezes the
        eligibility trace: no decay, no pairs) and ``"reset"`` (above 0.5 it clears the
        eligibility trace in each step). The spike traces go on.

    Raises
    ------
    ValidationError
        If a parameter is invalid, or "multiplicative" has no finite bounds.
    BuildError
        When the model is built, if neurons of the connection do not spike, if its
        weights are not 2-D, or if a factor is too large for the precision.
    SimulationError
        If the reward diverges.

    See Also
    --------
    EPES : learning by activities instead of pairs of spikes
    nengo.BCM : Hebbian learning by rates, without a reward

    Notes
    -----
    The port, ``conn.learning_rule``, has the reward first, then the controls; `reward`,
    `hold` and `reset` are the slices to connect to. Send a reward of 1 and use
    ``trace_synapse=None`` for plain STDP.

    A spike meets the spikes of all earlier steps. Two spikes in one step are no pair. A
    spike counts in the step in which its neuron emits it: a delay of the connection's
    synapse delays the effect of the spike but not its pairs. The reward of a step
    multiplies the trace with the pairs of this step, and the new weights act one step
    later. Neurons that spike several times a step count as often.

    References
    ----------
    .. [1] Izhikevich, E. M. (2007). Solving the distal reward problem through linkage
       of STDP and dopamine signaling. Cerebral Cortex, 17, 2443-2452. Its trace has an
       impulse response of height 1 instead of area 1.
    .. [2] Florian, R. V. (2007). Reinforcement learning through modulation of
       spike-timing-dependent synaptic plasticity. Neural Computation, 19, 1468-1502.
    .. [3] van Rossum, M. C. W., Bi, G. Q., & Turrigiano, G. G. (2000). Stable Hebbian
       learning from spike timing-dependent plasticity. Journal of Neuroscience, 20,
       8812-8821 (multiplicative).

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes import RewardSTDP
    >>> rule = RewardSTDP(learning_rate=1e-5, weight_bounds=(0, 4e-3))
    >>> with nengo.Network(seed=0) as net:
    ...     pre, post = nengo.Ensemble(40, 1), nengo.Ensemble(10, 1)
    ...     conn = nengo.Connection(
    ...         pre.neurons,
    ...         post.neurons,
    ...         transform=[[1e-3] * 40] * 10,
    ...         learning_rule_type=rule,
    ...     )
    ...     reward = nengo.Node(lambda t: float(0.4 < t < 0.5))
    ...     learn = nengo.Connection(reward, conn.learning_rule, synapse=None)
    ...     probe = nengo.Probe(conn.learning_rule, "eligibility_trace")
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.1)
    >>> sim.data[probe].shape
    (100, 10, 40)
    """

    modifies = "weights"
    probeable = ("reward", "pre_trace", "post_trace", "eligibility_trace", "delta")

    learning_rate = parameters.FiniteParam("learning_rate", default=1e-4)
    pre_synapse = parameters.LowpassParam("pre_synapse", default=Lowpass(0.02))
    post_synapse = parameters.LowpassParam("post_synapse", default=Lowpass(0.02))
    potentiation = parameters.FiniteParam("potentiation", default=1.0)
    depression = parameters.FiniteParam("depression", default=1.5)
    trace_synapse = parameters.LowpassParam(
        "trace_synapse", default=Lowpass(1.0), optional=True
    )
    weight_bounds = parameters.BoundsParam("weight_bounds")
    weight_dependence = EnumParam(
        "weight_dependence",
        values=("additive", "multiplicative"),
        readonly=True,
        default="additive",
    )
    controls = parameters.ControlsParam("controls", default=())

    def __init__(
        self,
        learning_rate=Default,
        pre_synapse=Default,
        post_synapse=Default,
        potentiation=Default,
        depression=Default,
        trace_synapse=Default,
        weight_bounds=Default,
        weight_dependence=Default,
        controls=Default,
    ):
        self.controls = controls
        super().__init__(learning_rate, size_in=1 + len(self.controls))
        self.pre_synapse = pre_synapse
        self.post_synapse = post_synapse
        self.potentiation = potentiation
        self.depression = depression
        self.trace_synapse = trace_synapse
        self.weight_bounds = weight_bounds
        self.weight_dependence = weight_dependence
        bounds = self.weight_bounds
        if self.weight_dependence == "multiplicative" and (
            bounds is None or not np.isfinite(bounds).all()
        ):
            raise ValidationError(
                "'multiplicative' needs finite weight_bounds=(low, high) "
                f"(got {bounds})",
                attr="weight_dependence",
                obj=self,
            )

    @property
    def reward(self):
        """(slice) The reward on the port."""
        return slice(0, 1)

    hold = parameters.control("hold", "freezes the trace")
    reset = parameters.control("reset", "empties the trace")


class RewardSTDPSim(Operator):
    """One simulator step of RewardSTDP.

    Parameters
    ----------
    reads : dict of str to Signal
        ``pre`` (n_pre,) and ``post`` (n_post,), outputs of the neurons in hertz;
        ``port`` (size_in,); ``weights`` (n_post, n_pre).
    state : dict of str to Signal
        ``delta`` and ``eligibility_trace`` (n_post, n_pre), ``pre_trace`` (n_pre,),
        ``post_trace`` (n_post,), ``n_steps`` (1,).
    rule_type : RewardSTDP
        The rule type.
    areas : tuple of float
        Area of a spike of the pre and of the post neurons.
    tag : str, optional
        Name of the rule in error messages.

    Notes
    -----
    1. sets ``[]``
    2. incs ``[]``
    3. reads ``[pre, post, port, weights]``, the weights only if they have bounds
    4. updates ``[delta, eligibility_trace, pre_trace, post_trace, n_steps]``

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes import RewardSTDP
    >>> with nengo.Network() as net:
    ...     pre, post = nengo.Ensemble(20, 1), nengo.Ensemble(5, 1)
    ...     conn = nengo.Connection(
    ...         pre.neurons,
    ...         post.neurons,
    ...         transform=[[0] * 20] * 5,
    ...         learning_rule_type=RewardSTDP(),
    ...     )
    ...     reward = nengo.Connection(nengo.Node(1), conn.learning_rule)
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> (op,) = (op for op in model.operators if isinstance(op, RewardSTDPSim))
    >>> [signal.shape for signal in op.updates]
    [(5, 20), (5, 20), (20,), (5,), (1,)]
    """

    def __init__(self, reads, state, rule_type, areas, tag=None):
        super().__init__(tag=tag)
        self.rule_type = rule_type
        self.areas = areas
        self.sets = []
        self.incs = []
        self.reads = [reads[name] for name in ("pre", "post", "port")]
        if rule_type.weight_bounds is not None:
            self.reads.append(reads["weights"])
        names = ("delta", "eligibility_trace", "pre_trace", "post_trace", "n_steps")
        self.updates = [state[name] for name in names]

    def make_step(self, signals, dt, rng):
        """Make the function of one simulator step."""
        pre, post, port = (signals[signal] for signal in self.reads[:3])
        bounds = self.rule_type.weight_bounds
        weights = None if bounds is None else signals[self.reads[3]]
        delta, trace, pre_trace, post_trace, n_steps = (
            signals[signal] for signal in self.updates
        )
        rule_type = self.rule_type
        synapses = (
            rule_type.trace_synapse,
            rule_type.pre_synapse,
            rule_type.post_synapse,
        )
        decays = [
            0.0 if x is None else updates.trace_decay(x.tau, dt) for x in synapses
        ]
        decaying = []
        for array, decay in zip((trace, pre_trace, post_trace), decays, strict=True):
            # in the precision of the simulation, in which numpy multiplies
            factor = np.array(decay, array.dtype)
            guard = updates.subnormal_guard(decay, array.dtype)
            decaying.append((array, factor, *guard))
        gain = (1.0 - decays[0]) / dt
        strengths = gain * rule_type.potentiation, gain * rule_type.depression
        pre_area, post_area = self.areas
        hold = rule_type.hold.start if "hold" in rule_type.controls else None
        reset = rule_type.reset.start if "reset" in rule_type.controls else None
        check = make_check(
            self.tag, rule_type.learning_rate, lambda: n_steps.item() * dt, port=port
        )

        def step_reward_stdp():
            n_steps[0] += 1
            check()
            held = hold is not None and port.item(hold) > 0.5
            for array, factor, smallest, period in decaying[1 if held else 0 :]:
                array *= factor
                if n_steps.item() % period == 0:
                    array[np.abs(array) < smallest] = 0.0
            pre_spikes = np.rint(pre * (dt / pre_area))
            post_spikes = np.rint(post * (dt / post_area))
            if not held:
                spikes = pre_spikes, post_spikes
                updates.pair_spikes(trace, *spikes, pre_trace, post_trace, *strengths)
            if reset is not None and port.item(reset) > 0.5:
                trace.fill(0.0)
            pre_trace[...] += pre_spikes
            post_trace[...] += post_spikes
            np.multiply(trace, rule_type.learning_rate * dt * port.item(0), out=delta)
            if weights is not None:
                if rule_type.weight_dependence == "multiplicative":
                    updates.soften_bounds(delta, weights, bounds)
                updates.limit_change(delta, weights, bounds, 0.0)

        return step_reward_stdp


@Builder.register(RewardSTDP)
def build_reward_stdp(model, rule_type, rule):
    """Build a `~nengo_epes.RewardSTDP` rule into a model.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    rule_type : RewardSTDP
        The rule type.
    rule : nengo.connection.LearningRule
        The rule on its connection.

    Raises
    ------
    BuildError
        If neurons of the connection do not spike.

    Examples
    --------
    The builder of a model calls it for each rule:

    >>> import nengo
    >>> from nengo_epes import RewardSTDP
    >>> with nengo.Network() as net:
    ...     pre, post = nengo.Ensemble(20, 1), nengo.Ensemble(5, 1)
    ...     conn = nengo.Connection(
    ...         pre.neurons,
    ...         post.neurons,
    ...         transform=[[0] * 20] * 5,
    ...         learning_rule_type=RewardSTDP(),
    ...     )
    ...     reward = nengo.Connection(nengo.Node(1), conn.learning_rule)
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> model.sig[conn.learning_rule]["eligibility_trace"].shape
    (5, 20)
    """
    conn = rule.connection
    areas = tuple(_spike_area(conn, end) for end in (conn.pre_obj, conn.post_obj))
    shape = learned_shape(model, conn)
    names = "learning_rate", "potentiation", "depression"
    check_factors(conn, model.dt, **{name: getattr(rule_type, name) for name in names})
    port = build_port(model, rule, {"conn.learning_rule[rule.reward]": slice(0, 1)})
    shapes = {
        "eligibility_trace": shape,
        "pre_trace": shape[1:],
        "post_trace": shape[:1],
    }
    state = {name: Signal(shape=shapes[name], name=f"{rule}.{name}") for name in shapes}
    model.sig[rule].update(state, reward=port[rule_type.reward])
    state["delta"] = model.sig[rule]["delta"]
    state["n_steps"] = Signal(np.zeros(1, np.int64), name=f"{rule}.n_steps")
    reads = {
        "pre": build_activities(model, conn, None),
        "post": build_post_activities(model, conn, None),
        "port": port,
        "weights": model.sig[conn]["weights"],
    }
    model.add_op(RewardSTDPSim(reads, state, rule_type, areas, tag=str(rule)))


def _spike_area(conn, end):
    """Return the area of one spike: output times dt."""
    neuron_type = (end.ensemble if isinstance(end, Neurons) else end).neuron_type
    if not neuron_type.spiking:
        raise BuildError(
            f"{conn}: RewardSTDP learns from the times of spikes, and {neuron_type} "
            "has none; use spiking neurons such as nengo.LIF() before and after the "
            "connection, or nengo_epes.EPES, which learns from rates"
        )
    return getattr(neuron_type, "amplitude", 1.0)
