"""EPES: the rule type, its operator and its builder."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from nengo.builder import Builder
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError, SimulationError, ValidationError
from nengo.learning_rules import LearningRuleType
from nengo.params import Default, EnumParam, IntParam
from nengo.rc import rc
from nengo.synapses import Lowpass

from nengo_epes.arithmetic import updates
from nengo_epes.learning_rules import parameters
from nengo_epes.learning_rules.builder_tools import (
    build_activities,
    build_port,
    learned_shape,
    repeat_rows,
)
from nengo_epes.learning_rules.divergence import check_factors, make_check
from nengo_epes.learning_rules.feedback import (
    build_feedback,
    build_spread,
    feedback_matrix,
)
from nengo_epes.learning_rules.postsynaptic import (
    build_adapted_activities,
    build_post_derivative,
)
from nengo_epes.learning_rules.traces import (
    KINDS,
    as_signal,
    build_trace,
    check_trace,
    make_trace,
)


class EPES(LearningRuleType):
    r"""Three-factor learning: a delayed third factor times an eligibility trace.

    Use it instead of `nengo.PES` if the error or reward arrives after the activities
    that caused it. For an error that arrives at once, PES is the same and needs no
    trace.

    .. math::

       c_i(t) = \psi_i(t)\,(B\,g(t))_i, \qquad
       e_{ij}(t) = \big(h * c_i a_j\big)(t), \qquad
       \Delta w_{ij} = \frac{\kappa\,dt}{n}\,L_i(t)\,e_{ij}(t)

    The feedback :math:`B` carries the characteristic eligibility :math:`g` from the
    port to the post side. :math:`\psi` is the pseudo-derivative of the post neurons (1
    by default), and :math:`a` are the filtered presynaptic activities in hertz.
    :math:`h` is the impulse response of the trace, :math:`L` the third factor,
    :math:`\kappa` the learning rate and :math:`n` the number of pre neurons. The third
    factor is a TD error, a reward minus its baseline, or target minus actual output.
    Weights *ascend*, so it has the opposite sign of PES's error. If it is a vector
    :math:`\delta`, then :math:`L = B\,\delta`, and :math:`g` is one number for all post
    dimensions.

    Each simulator step first updates the trace with the activities of this step. Then
    it computes the weight change with the third factor of this step. The new weights
    act one step later.

    Parameters
    ----------
    learning_rate : float, optional
        Learning rate, on the scale of PES's; 1e-4 by default.
    pre_synapse : Synapse or float or None, optional
        Filter of the presynaptic activities; a number is the time constant of a
        `nengo.Lowpass` in seconds. The default is a Lowpass of 5 ms.
    trace_synapse : Synapse or float or None, optional
        Eligibility trace, by default a Lowpass of 0.1 s; None for no memory. A Lowpass
        has a gain of 1 for constant input, so neither its time constant nor ``dt``
        changes the scale of learning.
    size_eligibility : int, optional
        Dimensions of the characteristic eligibility on the port; 1 by default, 0 for an
        eligibility of 1 that needs no input.
    feedback : str, array_like, Distribution or None, optional
        B. It carries the eligibility to the post side, or the third factor if
        ``size_td_error`` is above 1. ``"broadcast"``: one value for all post dimensions
        or neurons. ``"rows"``: one value for each. ``"encoders"``: through the encoders
        of the post neurons, as the error of PES. A matrix (n_post, size). A
        Distribution, sampled with the connection's seed; for post neurons it is scaled
        so that its effect has the size of the encoders'. None: the first of
        "encoders" (post neurons only), "rows", "broadcast" that fits the size.
    post_derivative : VoltageSurrogate or RateDerivative or "auto" or None, optional
        Pseudo-derivative :math:`\psi` of the post neurons; see
        `nengo_epes.arithmetic.surrogates`. "auto" chooses one for the neuron type. Only
        for connections to neurons. With `nengo.AdaptiveLIF` and a VoltageSurrogate, the
        trace takes the adaptation into account (Notes).
    trace_type : {"accumulating", "replacing", "dutch"}, optional
        Kind of trace; see `nengo_epes.arithmetic.updates`. "replacing" and
        "dutch" need a Lowpass as ``trace_synapse`` and one third factor. "replacing"
        is for contributions that are not negative. "dutch", for the linear critic of
        true online TD(lambda), takes one visit a transition: hold the trace in all
        other steps. It counts a third factor of exactly 0 as no transition, and
        changes as they were before ``weight_bounds`` and ``weight_decay``. It is stable
        if learning rate / n times the squared contributions of a visit is at most 1.
    step : ObGD or Intentional or None, optional
        Bounded step size; see `nengo_epes.arithmetic.step_sizes`. None: learning rate
        times third factor. The TD error of a bounded step is the third factor times
        ``dt``: send a TD error as a pulse of TD error / dt in one simulator step. With
        Intentional the learning rate has no effect.
    weight_bounds : tuple of float or None, optional
        (low, high): bounds of all weights.
    weight_decay : float, optional
        Rate of decay in 1/s: each step removes weight_decay * dt of every weight.
    controls : tuple of str, optional
        Control inputs on the port, in this order: ``"hold"`` (above 0.5 it freezes the
        trace: no decay, no input) and ``"reset"`` (above 0.5 it clears the trace in
        each step).
    size_td_error : int, optional
        Dimensions of the third factor on the port.

    Raises
    ------
    ValidationError
        If a parameter is invalid, or both inputs of the port are vectors.
    BuildError
        When the model is built, if the sizes, ``feedback`` or ``post_derivative`` do
        not fit the connection, or the weights are not 2-D. If the trace does not fit
        ``dt``, its kind, the bounded step or the adaptation of the post neurons. If the
        learning rate or the decay is too large. If the connection has an equal rule, or
        any other rule next to ``weight_bounds``.
    SimulationError
        If an input or an activity diverges, a dutch trace is unstable, or a replacing
        trace receives a negative eligibility or activity.

    See Also
    --------
    nengo.PES : learning from an error that arrives at once

    Notes
    -----
    The port, ``conn.learning_rule``, has the third factor first, then the eligibility,
    then the controls; `td_error`, `eligibility`, `hold` and `reset` are the slices to
    connect to. To stop learning, send a third factor of 0 (weights still decay).
    After the build, ``sim.data[conn.learning_rule].feedback`` is the matrix B.

    Let :math:`w` be the weights that the connection used in this step, and
    :math:`\lambda` the weight decay. Then each step adds :math:`\mathrm{clip}((1 -
    \lambda\,dt)\,w + \Delta w) - w`.

    For `nengo.AdaptiveLIF` post neurons with a surrogate of their voltage, the trace
    filters :math:`c_i (a_j - n_{ij})` instead of :math:`c_i a_j`. Here :math:`n` is the
    derivative of the adaptation with respect to the weights [3]_:

    .. math::

       n_{ij} \leftarrow (1 - dt / \tau_n)\, n_{ij}
       + (inc_n / \tau_n)\, \psi_i (a_j - n_{ij})

    for neurons of amplitude 1; other amplitudes multiply :math:`inc_n`.

    ``EPES(size_td_error=d, size_eligibility=0, pre_synapse=None, trace_synapse=h)`` is
    ``nengo.PES(pre_synapse=h)`` with the error negated. With a TD error of -1, PES's
    error as eligibility and no trace synapse, EPES is PES as well.

    References
    ----------
    .. [1] Williams, R. J. (1992). Simple statistical gradient-following algorithms
       for connectionist reinforcement learning. Machine Learning, 8, 229-256.
    .. [2] Sutton, R. S., & Barto, A. G. (2018). Reinforcement Learning, chapters 12
       and 13.
    .. [3] Bellec, G., et al. (2020). A solution to the learning dilemma for recurrent
       networks of spiking neurons. Nature Communications, 11, 3625.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes import EPES
    >>> rule = EPES(learning_rate=1e-3, trace_synapse=0.5, size_eligibility=0)
    >>> with nengo.Network() as net:
    ...     reward = nengo.Node(1.0)
    ...     pre = nengo.Ensemble(50, dimensions=1)
    ...     post = nengo.Node(size_in=1)
    ...     conn = nengo.Connection(
    ...         pre, post, function=lambda x: 0, learning_rule_type=rule
    ...     )
    ...     learn = nengo.Connection(reward, conn.learning_rule)
    ...     probe = nengo.Probe(conn.learning_rule, "eligibility_trace")
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.01)
    >>> sim.data[probe].shape
    (10, 1, 50)
    """

    modifies = "decoders"
    probeable = parameters.Probeable()

    learning_rate = parameters.FiniteParam("learning_rate", default=1e-4)
    pre_synapse = parameters.FilterParam("pre_synapse", default=Lowpass(0.005))
    trace_synapse = parameters.FilterParam("trace_synapse", default=Lowpass(0.1))
    size_eligibility = IntParam("size_eligibility", low=0, readonly=True, default=1)
    feedback = parameters.FeedbackParam("feedback")
    post_derivative = parameters.PostDerivativeParam("post_derivative")
    trace_type = EnumParam(
        "trace_type", values=KINDS, readonly=True, default="accumulating"
    )
    step = parameters.StepParam("step")
    weight_bounds = parameters.BoundsParam("weight_bounds")
    weight_decay = parameters.FiniteParam("weight_decay", default=0.0)
    controls = parameters.ControlsParam("controls", default=())
    size_td_error = IntParam("size_td_error", low=1, readonly=True, default=1)

    def __init__(
        self,
        learning_rate=Default,
        pre_synapse=Default,
        trace_synapse=Default,
        size_eligibility=Default,
        feedback=Default,
        post_derivative=Default,
        trace_type=Default,
        step=Default,
        weight_bounds=Default,
        weight_decay=Default,
        controls=Default,
        size_td_error=Default,
    ):
        self.size_eligibility = size_eligibility
        self.controls = controls
        self.size_td_error = size_td_error
        super().__init__(learning_rate, size_in=self._port_size())
        self.pre_synapse = pre_synapse
        self.trace_synapse = trace_synapse
        self.feedback = feedback
        self.post_derivative = post_derivative
        self.trace_type = trace_type
        self.step = step
        self.weight_bounds = weight_bounds
        self.weight_decay = weight_decay
        self._check_vector()

    def _port_size(self):
        """Return the size of the port, which lists its slices in Nengo's messages."""
        sizes = {
            "td_error": self.size_td_error,
            "eligibility": self.size_eligibility,
            **dict.fromkeys(self.controls, 1),
        }
        slices = " + ".join(f"{name} {size}" for name, size in sizes.items() if size)
        advice = "connect to a slice, such as conn.learning_rule[rule.td_error]"
        if self.size_eligibility:
            advice += ", or use EPES(size_eligibility=0) if there is no eligibility"
        elif not self.controls:  # the third factor alone
            advice = "set size_td_error= to the dimensions of the third factor"
        return parameters.PortSize(sum(sizes.values()), f"{slices}; {advice}")

    def _check_vector(self):
        """Refuse what is not defined for a third factor of several dimensions."""
        if self.size_td_error == 1:
            return
        problem = None
        if self.size_eligibility > 1:
            problem = f"size_eligibility={self.size_eligibility}; use 0 or 1"
        elif self.step is not None:
            problem = f"step={self.step}; use step=None"
        elif self.trace_type != "accumulating":
            problem = f"trace_type={self.trace_type!r}; use 'accumulating'"
        if problem is not None:
            raise ValidationError(
                f"{self.size_td_error} dimensions cannot be combined with {problem}, "
                "or one dimension",
                attr="size_td_error",
                obj=self,
            )

    @property
    def td_error(self):
        """(slice) The third factor on the port."""
        return slice(0, self.size_td_error)

    @property
    def eligibility(self):
        """(slice) The characteristic eligibility on the port."""
        return slice(self.size_td_error, self.size_td_error + self.size_eligibility)

    hold = parameters.control("hold", "freezes the trace")
    reset = parameters.control("reset", "empties the trace")


class EPESSim(Operator):
    """One simulator step of EPES: first the trace, then the weight change.

    Parameters
    ----------
    signals : dict of str to Signal
        ``activities`` (n_pre,), ``port`` (size_in,), ``td_error`` (size_td_error,),
        ``third_factor`` (1,) or (n_post,), ``eligibility`` (n_post,), ``trace``,
        ``weights`` and ``delta`` (n_post, n_pre), ``n_steps`` (1,), ``memory``, the
        state of a bounded step, and ``adapted`` (n_post, n_pre), the result of
        ``build_adapted_activities``, if there is one.
    trace_state : dict of str to Signal
        Further signals of the trace.
    rule_type : EPES
        The rule type.
    equal_rows : bool, optional
        Whether the trace is a view of one stored row, repeated for all post dimensions.
    tag : str, optional
        Name of the rule in error messages.

    Notes
    -----
    1. sets ``[]``
    2. incs ``[]``
    3. reads ``[activities, port, td_error, third_factor, eligibility, weights,
       adapted]``, the weights only if they decay or have bounds, the last only for
       post neurons that adapt
    4. updates ``[delta, trace, n_steps, *trace_state, memory]``, the memory only if
       there is a bounded step

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes import EPES
    >>> with nengo.Network() as net:
    ...     pre, post = nengo.Ensemble(20, 1), nengo.Node(size_in=1)
    ...     conn = nengo.Connection(pre, post, learning_rule_type=EPES())
    ...     signals = nengo.Connection(nengo.Node([0, 1]), conn.learning_rule)
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> (operator,) = (op for op in model.operators if isinstance(op, EPESSim))
    >>> operator.activities.shape, operator.trace.shape, operator.delta.shape
    ((20,), (1, 20), (1, 20))
    """

    def __init__(self, signals, trace_state, rule_type, equal_rows=False, tag=None):
        super().__init__(tag=tag)
        self.rule_type = rule_type
        self.equal_rows = equal_rows
        self.trace_state_names = tuple(trace_state)
        self.sets = []
        self.incs = []
        # td_error is a part of the port; an operator has to list it so that it exists
        names = ("activities", "port", "td_error", "third_factor", "eligibility")
        self.reads = [signals[name] for name in names]
        if rule_type.weight_bounds is not None or rule_type.weight_decay > 0.0:
            self.reads.append(signals["weights"])
        self.has_weights = len(self.reads) > len(names)
        self.adapts = "adapted" in signals
        if self.adapts:
            self.reads.append(signals["adapted"])
        self.updates = [signals[name] for name in ("delta", "trace", "n_steps")]
        self.updates.extend(trace_state.values())
        if rule_type.step is not None:
            self.updates.append(signals["memory"])

    @property
    def activities(self):
        """(Signal) Filtered presynaptic activities."""
        return self.reads[0]

    @property
    def port(self):
        """(Signal) All inputs of the rule."""
        return self.reads[1]

    @property
    def third_factor(self):
        """(Signal) Third factor at the post side."""
        return self.reads[3]

    @property
    def eligibility(self):
        """(Signal) Characteristic eligibility at the post side."""
        return self.reads[4]

    @property
    def weights(self):
        """(Signal or None) Weights, if the change depends on them."""
        return self.reads[5] if self.has_weights else None

    @property
    def adapted(self):
        """(Signal or None) Activities for each post neuron, if these neurons adapt."""
        return self.reads[-1] if self.adapts else None

    @property
    def delta(self):
        """(Signal) Weight change that Nengo adds in the next step."""
        return self.updates[0]

    @property
    def trace(self):
        """(Signal) Eligibility trace."""
        return self.updates[1]

    @property
    def n_steps(self):
        """(Signal) Number of simulator steps, so that the rule needs no clock."""
        return self.updates[2]

    @property
    def trace_state(self):
        """(dict of str to Signal) Further state of the trace, by name."""
        return dict(zip(self.trace_state_names, self.updates[3:], strict=False))

    @property
    def memory(self):
        """(Signal or None) State of the bounded step, if there is one."""
        return None if self.rule_type.step is None else self.updates[-1]

    @property
    def _descstr(self):
        return f"{self.activities}, {self.port} -> {self.delta}"

    def make_step(self, signals, dt, rng):
        """Make the function of one simulator step."""
        activities, port = signals[self.activities], signals[self.port]
        third, eligibility = signals[self.third_factor], signals[self.eligibility]
        delta, trace_array = signals[self.delta], signals[self.trace]
        if self.equal_rows:
            trace_array, eligibility = trace_array[:1], eligibility[:1]
        each = activities if self.adapted is None else signals[self.adapted]
        n_steps = signals[self.n_steps]
        weights = None if self.weights is None else signals[self.weights]
        memory = None if self.memory is None else signals[self.memory]
        state = {name: signals[signal] for name, signal in self.trace_state.items()}
        rule_type, tag = self.rule_type, self.tag
        trace = make_trace(rule_type, trace_array, state, delta, dt, rng, tag)
        rate = rule_type.learning_rate / activities.size
        hold = rule_type.hold.start if "hold" in rule_type.controls else None
        reset = rule_type.reset.start if "reset" in rule_type.controls else None
        scalar = rule_type.size_td_error == 1

        def seconds():
            return n_steps.item() * dt

        check = make_check(
            tag, rule_type.learning_rate, seconds, port=port, activities=activities
        )

        def step_epes():
            n_steps[0] += 1
            check()
            trace.forget(n_steps.item())
            advances = hold is None or not port.item(hold) > 0.5
            if reset is not None and port.item(reset) > 0.5:
                advances = False
                trace.clear()
            elif advances:
                trace.advance(n_steps.item(), eligibility, each)
            if not scalar:
                factor = (rate * dt) * third[:, None]
            elif memory is None:
                factor = rate * (dt * third.item())
            else:
                now = eligibility, activities, trace.decay if advances else 1.0
                pulse = dt * third.item()
                factor = rule_type.step(memory, rate, pulse, trace_array, *now)
            trace.change(factor, delta)
            if weights is not None:
                updates.limit_change(
                    delta, weights, rule_type.weight_bounds, rule_type.weight_decay * dt
                )

        def explained():
            try:
                step_epes()
            except FloatingPointError as error:
                raise SimulationError(
                    f"{tag}: {error} at t={seconds():g} s; the trace or the weight "
                    "change is too large. The learning rate is "
                    f"{rule_type.learning_rate:g}: use a smaller one, or check the "
                    "trace synapse"
                ) from error

        return explained


BuiltEPES = namedtuple("BuiltEPES", ["feedback"])
BuiltEPES.__doc__ = """Parameters of a built rule: the matrix ``feedback``, B.

Shape (n_post, size of the input that it carries).
"""


@Builder.register(EPES)
def build_epes(model, epes, rule):
    """Build an `~nengo_epes.EPES` rule into a model.

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
        The cases that `~nengo_epes.EPES` lists.

    Notes
    -----
    Sets ``model.params[rule]``, which is ``sim.data[conn.learning_rule]``, to a
    ``BuiltEPES``.

    Examples
    --------
    The builder of a model calls it for each rule:

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
    shape = learned_shape(model, conn)
    if epes.weight_decay * model.dt > 1.0:
        raise BuildError(
            f"{conn}: weight_decay={epes.weight_decay:g} removes more than the whole "
            f"weight in a step of dt={model.dt:g} s; use at most {1 / model.dt:g}"
        )

    check_factors(conn, model.dt, learning_rate=epes.learning_rate)

    inputs = {"conn.learning_rule[rule.td_error], the third factor": epes.td_error}
    if epes.size_eligibility:
        name = (
            "conn.learning_rule[rule.eligibility] (for an eligibility of 1 use "
            "size_eligibility=0)"
        )
        inputs[name] = epes.eligibility
    port = build_port(model, rule, inputs)
    third_factor = td_error = port[epes.td_error]
    if epes.size_eligibility:
        eligibility = port[epes.eligibility]
    else:
        one = np.ones(1, rc.float_dtype)
        eligibility = Signal(one, name=f"{conn}.eligibility", readonly=True)

    is_vector = epes.size_td_error > 1
    size = epes.size_td_error if is_vector else max(epes.size_eligibility, 1)
    parameter = "size_td_error" if is_vector else "size_eligibility"
    feedback = build_feedback(model, conn, epes.feedback, size, parameter)
    if is_vector:
        third_factor = build_spread(model, conn, feedback, third_factor)
    spread = build_spread(
        model, conn, "broadcast" if is_vector else feedback, eligibility
    )
    at_post, psi = build_post_derivative(model, conn, epes.post_derivative, spread)
    activities = build_activities(model, conn, epes.pre_synapse)
    adapted = build_adapted_activities(
        model, conn, epes.post_derivative, psi, activities
    )
    check_trace(model, rule, adapts=adapted is not None)

    # one eligibility for all post dimensions: all rows of the trace are equal
    equal_rows = (
        (is_vector or feedback == "broadcast")
        and psi is None
        and epes.step is None
        and epes.trace_type == "accumulating"
    )
    n_rows = 1 if equal_rows else shape[0]
    trace, state = build_trace(epes, (n_rows, shape[1]), model.dt, str(conn))
    signals = {
        "activities": activities,
        "port": port,
        "td_error": td_error,
        "third_factor": third_factor,
        "eligibility": at_post,
        "weights": model.sig[conn]["weights"],
        "delta": model.sig[rule]["delta"],
        "trace": repeat_rows(trace, shape[0]) if equal_rows else trace,
        "n_steps": Signal(np.zeros(1, np.int64), name=f"{conn}.n_steps"),
    }
    if adapted is not None:
        signals["adapted"] = adapted
    if epes.step is not None:
        signals["memory"] = as_signal(epes.step.initial_state(), f"{conn}.step")
    model.add_op(EPESSim(signals, state, epes, equal_rows, tag=str(rule)))

    model.params[rule] = BuiltEPES(feedback_matrix(feedback, shape[0]))
    model.sig[rule].update(
        error=port,
        td_error=td_error,
        characteristic_eligibility=at_post,
        activities=signals["activities"],
        eligibility_trace=signals["trace"],
    )
    if epes.step is not None:
        model.sig[rule]["step_state"] = signals["memory"]
    if psi is not None:
        model.sig[rule]["post_derivative"] = psi
