"""EPES: error and eligibility, the prescribed sensitivity with a memory.

This is what you write. How it meets a model is `nengo_epes.learning_rules.build_epes`,
and what runs is `nengo_epes.learning_rules.EPESSim`.
"""

from __future__ import annotations

from nengo.learning_rules import LearningRuleType
from nengo.params import Default, EnumParam, IntParam, NumberParam
from nengo.synapses import Lowpass, SynapseParam

from nengo_epes.learning_rules.params import (
    BoundsParam,
    ControlsParam,
    FeedbackParam,
    PostDerivativeParam,
    Probeable,
    StepParam,
)
from nengo_epes.learning_rules.traces import KINDS


class EPES(LearningRuleType):
    r"""Three-factor learning: a late TD error meets an eligibility trace.

    Use it instead of `nengo.PES` where the error is a reward or another scalar
    that comes after the activities that earned it. For an error that arrives at
    once, PES is the same and needs no trace.

    .. math::

       c_i(t) = \psi_i(t)\,(B\,g(t))_i, \qquad
       e_{ij}(t) = \big(h * c_i a_j\big)(t), \qquad
       \Delta w_{ij} = \frac{\kappa\,dt}{n}\,\delta(t)\,e_{ij}(t)

    with the TD error :math:`\delta` (better than expected is positive, so that the
    weights *ascend*), the characteristic eligibility :math:`g` as it came in and
    :math:`c` at the rows of the weights, the feedback :math:`B`, the postsynaptic
    neurons' pseudo-derivative :math:`\psi` (1 unless asked for), the filtered
    presynaptic activities :math:`a` in hertz, the trace's impulse response
    :math:`h`, the learning rate :math:`\kappa` and the number of presynaptic neurons
    :math:`n`. Within a step the trace comes first, with this step's activities, then
    the change, with this step's TD error; the new weights act one step later.

    Parameters
    ----------
    learning_rate : float, optional
        As that of PES; 1e-4 unless given.
    pre_synapse : Synapse or float or None, optional
        Filters the presynaptic activities; a number is the time constant of a
        `nengo.Lowpass` in seconds; 5 ms unless given.
    trace_synapse : Synapse or float or None, optional
        The eligibility trace: any synapse, a Lowpass of 0.1 s unless given; None for
        no memory. A Lowpass has a gain
        of 1 for constant input, whatever its time constant, so that neither it nor
        ``dt`` changes the scale of learning.
    size_eligibility : int, optional
        Dimensions of the characteristic eligibility on the port; 1 unless given.
    feedback : str, array_like, Distribution or None, optional
        B, how the eligibility reaches the rows: ``"broadcast"``, one value for all;
        ``"rows"``, one for each; ``"encoders"``, through the postsynaptic encoders
        as PES's error; a matrix (rows, size_eligibility); a Distribution of one,
        sampled with the connection's seed, and on neurons scaled so that its effect
        has the size of the encoders'. None: on a connection to neurons "encoders"
        where ``size_eligibility`` is the dimension of the postsynaptic ensemble; else
        "rows" where it is the number of rows; else "broadcast" where it is 1.
    post_derivative : VoltageSurrogate or RateDerivative or "auto" or None, optional
        psi, the postsynaptic neurons' pseudo-derivative, by which the eligibility at
        the rows is multiplied, see `nengo_epes.surrogates`; "auto" takes what suits
        the neurons. Only on connections to neurons.
    trace_type : {"accumulating", "replacing", "dutch"}, optional
        How a trace takes contributions in; see `nengo_epes.updates`. The last two need
        a Lowpass as ``trace_synapse``. "replacing" is for contributions that are not
        negative. "dutch", for the linear critic of true online TD(lambda), takes one
        visit a transition: hold the trace in all other steps. A TD error of exactly 0
        passes for none. It is stable where the step size (learning rate / n) times the
        square of a visit's activities is at most 1.
    step : ObGD or Intentional or None, optional
        Bounds the step of every TD error, see `nengo_epes.steps`. None: learning rate
        times TD error, whatever it is. With Intentional the learning rate does not
        matter: its eta takes the place.
    weight_bounds : tuple of float or None, optional
        (low, high), within which all weights are kept.
    weight_decay : float, optional
        Part of every weight that is lost, per second.
    deferred_steps : int or None, optional
        After how many steps a full trace and its weights are written; until then what
        is added is kept as vectors, and the connection's output is corrected. It
        changes the speed and nothing else. 1: everything is written in every step;
        None: as it was measured to be quick.
    controls : tuple of str, optional
        Further inputs on the port, in this order: ``"hold"`` (above 0.5 it freezes
        the trace: no decay, no input) and ``"reset"`` (above 0.5 it empties the
        trace, and keeps it empty).

    Raises
    ------
    ValidationError
        If a parameter is not of its kind.
    BuildError
        When the model is built, if ``size_eligibility`` and ``feedback`` do not fit
        the connection, a trace that cannot be held is shorter than ``dt``, the weights
        are no matrix, or the postsynaptic side is indexed by a list.
    SimulationError
        When a TD error, an eligibility or an activity is not finite, or a replacing
        trace gets a negative one.

    See Also
    --------
    nengo.PES : for errors that arrive at once

    Notes
    -----
    The port, ``conn.learning_rule``, has the TD error first, then the eligibility,
    then the controls; `td_error`, `eligibility`, `hold` and `reset` are the slices to
    connect to. To switch learning off, send a TD error of 0 (weights still decay if
    they are told to). After the build,
    ``sim.data[conn.learning_rule].feedback`` is the matrix B.

    With a TD error of -1, PES's error as eligibility and no trace synapse, EPES is
    PES; with eligibility 1 and minus the error as TD error, it is
    ``PES(pre_synapse=Lowpass(tau_e))`` (one dimension).

    References
    ----------
    .. [1] Williams, R. J. (1992). Simple statistical gradient-following algorithms
       for connectionist reinforcement learning. Machine Learning, 8, 229-256.
    .. [2] Sutton, R. S., & Barto, A. G. (2018). Reinforcement Learning, chapters 12
       and 13.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes import EPES
    >>> rule = EPES(learning_rate=1e-3, trace_synapse=0.5)
    >>> with nengo.Network() as net:
    ...     reward = nengo.Node(1.0)
    ...     one = nengo.Node(1.0)
    ...     pre = nengo.Ensemble(50, dimensions=1)
    ...     post = nengo.Node(size_in=1)
    ...     conn = nengo.Connection(
    ...         pre, post, function=lambda x: 0, learning_rule_type=rule
    ...     )
    ...     td = nengo.Connection(reward, conn.learning_rule[rule.td_error])
    ...     g = nengo.Connection(one, conn.learning_rule[rule.eligibility])
    ...     probe = nengo.Probe(conn.learning_rule, "eligibility_trace")
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.01)
    >>> sim.data[probe].shape
    (10, 1, 50)
    """

    modifies = "decoders"
    probeable = Probeable()

    learning_rate = NumberParam("learning_rate", low=0, readonly=True, default=1e-4)
    pre_synapse = SynapseParam("pre_synapse", default=Lowpass(0.005), readonly=True)
    trace_synapse = SynapseParam("trace_synapse", default=Lowpass(0.1), readonly=True)
    size_eligibility = IntParam("size_eligibility", low=1, readonly=True, default=1)
    feedback = FeedbackParam("feedback")
    post_derivative = PostDerivativeParam(
        "post_derivative", default=None, optional=True, readonly=True
    )
    trace_type = EnumParam(
        "trace_type", values=KINDS, readonly=True, default="accumulating"
    )
    step = StepParam("step", default=None, optional=True, readonly=True)
    weight_bounds = BoundsParam(
        "weight_bounds", optional=True, readonly=True, default=None
    )
    weight_decay = NumberParam("weight_decay", low=0, readonly=True, default=0.0)
    deferred_steps = IntParam(
        "deferred_steps", low=1, optional=True, readonly=True, default=None
    )
    controls = ControlsParam("controls", readonly=True, default=())

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
        deferred_steps=Default,
        controls=Default,
    ):
        self.size_eligibility = size_eligibility
        self.controls = controls
        super().__init__(
            learning_rate, size_in=1 + self.size_eligibility + len(self.controls)
        )
        self.pre_synapse = pre_synapse
        self.trace_synapse = trace_synapse
        self.feedback = feedback
        self.post_derivative = post_derivative
        self.trace_type = trace_type
        self.step = step
        self.weight_bounds = weight_bounds
        self.weight_decay = weight_decay
        self.deferred_steps = deferred_steps

    @property
    def td_error(self):
        """(slice) Where the TD error stands on the port."""
        return slice(0, 1)

    @property
    def eligibility(self):
        """(slice) Where the characteristic eligibility stands on the port."""
        return slice(1, 1 + self.size_eligibility)

    @property
    def hold(self):
        """(slice) Where the port takes what freezes the trace, if asked for."""
        return self._control("hold")

    @property
    def reset(self):
        """(slice) Where the port takes what empties the trace, if asked for."""
        return self._control("reset")

    def _control(self, name):
        if name not in self.controls:
            raise AttributeError(
                f"{self} has no input {name!r}; "
                f"ask for it by EPES(controls={(*self.controls, name)})"
            )
        start = 1 + self.size_eligibility + self.controls.index(name)
        return slice(start, start + 1)
