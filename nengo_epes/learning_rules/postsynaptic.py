"""Postsynaptic activities and pseudo-derivatives."""

from __future__ import annotations

import numpy as np
from nengo.builder.operator import ElementwiseInc, Operator, Reset
from nengo.builder.signal import Signal
from nengo.ensemble import Neurons
from nengo.exceptions import BuildError
from nengo.neurons import AdaptiveLIF

from nengo_epes.arithmetic import surrogates, updates
from nengo_epes.learning_rules.builder_tools import take_part


def build_post_activities(model, conn, synapse):
    """Filter the activities of the neurons on the post side of a connection.

    Use it in rules of the Hebbian kind. Unlike `nengo.BCM` it takes only the neurons
    that the connection goes to, where these are a part of the ensemble.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    conn : nengo.Connection
        To Neurons, which may be sliced, or to an Ensemble by a solver with
        ``weights=True``.
    synapse : nengo.synapses.Synapse or None
        The filter; None for none.

    Returns
    -------
    Signal
        Shape ``(n_post,)``, in hertz.

    Raises
    ------
    BuildError
        If the connection is decoded, so that there are no post neurons.

    Examples
    --------
    >>> import nengo
    >>> with nengo.Network() as net:
    ...     pre, post = nengo.Ensemble(8, 1), nengo.Ensemble(6, 1)
    ...     conn = nengo.Connection(
    ...         pre.neurons, post.neurons[::2], transform=[[0] * 8] * 3
    ...     )
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> build_post_activities(model, conn, None).shape
    (3,)
    """
    if not conn._to_neurons:
        raise BuildError(
            f"{conn}: there are no postsynaptic neurons, "
            "because it is decoded; connect to neurons, or use a solver with "
            "weights=True"
        )
    if isinstance(conn.post_obj, Neurons):
        output = model.sig[conn.post_obj]["out"]
        activities = take_part(model, output, conn.post_slice)
    else:
        activities = model.sig[conn.post_obj.neurons]["out"]
    return activities if synapse is None else model.build(synapse, activities)


class PostDerivativeSim(Operator):
    """Sets the pseudo-derivative of the postsynaptic neurons.

    Parameters
    ----------
    surrogate : VoltageSurrogate or RateDerivative
        The function psi.
    sources : list of Signal
        Voltage, refractory time and output for a VoltageSurrogate; the input current
        for a RateDerivative; each (n_post,).
    psi : Signal
        Shape (n_post,).
    tag : str, optional
        A label for debugging.

    Notes
    -----
    1. sets ``[psi]``
    2. incs ``[]``
    3. reads ``sources``, after the neurons' step
    4. updates ``[]``
    """

    def __init__(self, surrogate, sources, psi, tag=None):
        super().__init__(tag=tag)
        self.surrogate = surrogate
        self.sets = [psi]
        self.incs = []
        self.reads = list(sources)
        self.updates = []

    def make_step(self, signals, dt, rng):
        """Make the function of one step."""
        sources = [signals[sig] for sig in self.reads]
        psi = signals[self.sets[0]]
        surrogate = self.surrogate

        def step_of_voltage():
            voltage, refractory_time, spiked = sources
            psi[...] = surrogates.from_lif_state(
                surrogate, voltage, refractory_time, spiked, dt
            )

        def step_of_current():
            psi[...] = surrogate(sources[0])

        return step_of_voltage if len(sources) == 3 else step_of_current


def build_post_derivative(model, conn, surrogate, spread):
    r"""Multiply the eligibility by the pseudo-derivative of the post neurons.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    conn : nengo.Connection
        The connection that learns.
    surrogate : VoltageSurrogate, RateDerivative, "auto" or None
        See `nengo_epes.EPES`.
    spread : Signal
        Shape (n_post,), the eligibility at the post neurons.

    Returns
    -------
    eligibility : Signal
        Shape (n_post,); ``spread`` itself without a surrogate.
    psi : Signal or None
        Shape (n_post,).

    Raises
    ------
    BuildError
        If there are no post neurons, or the surrogate does not fit their type.
    """
    if surrogate is None:
        return spread, None
    if not conn._to_neurons:
        raise BuildError(
            f"{conn}: post_derivative={surrogate!r} needs postsynaptic neurons, "
            "and this connection is decoded; connect to neurons, use a solver "
            "with weights=True, or post_derivative=None"
        )
    is_direct = isinstance(conn.post_obj, Neurons)
    ensemble = conn.post_obj.ensemble if is_direct else conn.post_obj
    rows = conn.post_slice if is_direct else slice(None)
    try:
        surrogate = surrogates.suitable(surrogate, ensemble.neuron_type)
    except ValueError as error:
        raise BuildError(f"{conn}: {error}") from error
    names = ("voltage", "refractory_time", "out")
    if isinstance(surrogate, surrogates.RateDerivative):
        names = ("in",)
    signals = model.sig[ensemble.neurons]
    sources = [take_part(model, signals[name], rows) for name in names]
    psi = Signal(shape=spread.shape, name=f"{conn}.post_derivative")
    model.add_op(PostDerivativeSim(surrogate, sources, psi, tag=str(conn)))
    eligibility = Signal(shape=spread.shape, name=f"{conn}.eligibility")
    model.add_op(Reset(eligibility))
    model.add_op(ElementwiseInc(psi, spread, eligibility, tag=f"{conn}.post"))
    return eligibility, psi


class AdaptedActivitiesSim(Operator):
    """Subtracts the derivative of the post neurons' adaptation from pre activities.

    Parameters
    ----------
    neuron_type : nengo.AdaptiveLIF
        Type of the post neurons.
    activities : Signal
        Shape (n_pre,).
    psi : Signal
        Pseudo-derivative of the post neurons, shape (n_post,).
    n_steps : Signal
        Number of simulator steps, shape ().
    adaptation : Signal
        Derivative of the adaptation with respect to the weights, (n_post, n_pre).
    adapted : Signal
        The difference, shape (n_post, n_pre).
    tag : str, optional
        A label for debugging.

    Notes
    -----
    1. sets ``[adapted]``
    2. incs ``[]``
    3. reads ``[activities, psi, n_steps]``
    4. updates ``[adaptation]``
    """

    def __init__(
        self, neuron_type, activities, psi, n_steps, adaptation, adapted, tag=None
    ):
        super().__init__(tag=tag)
        self.neuron_type = neuron_type
        self.sets = [adapted]
        self.incs = []
        self.reads = [activities, psi, n_steps]
        self.updates = [adaptation]

    def make_step(self, signals, dt, rng):
        """Make the function of one simulator step."""
        activities, psi, n_steps = (signals[signal] for signal in self.reads)
        adapted, adaptation = signals[self.sets[0]], signals[self.updates[0]]
        tau, amplitude = self.neuron_type.tau_n, self.neuron_type.amplitude
        # in the precision of the simulation, in which numpy multiplies
        decay = np.array(1 - dt / tau, adaptation.dtype)
        by_spike = np.array(amplitude * self.neuron_type.inc_n / tau, adaptation.dtype)
        # psi makes the derivative decay faster, but not by more than half in a step
        smallest, period = updates.subnormal_guard(0.5, adaptation.dtype)

        def step_adapted_activities():
            if n_steps.item() % period == 0:
                # adapted is overwritten below
                adaptation[np.abs(adaptation, out=adapted) < smallest] = 0.0
            updates.adapt(adapted, adaptation, decay, by_spike * psi, activities)

        return step_adapted_activities


def build_adapted_activities(model, conn, surrogate, psi, activities):
    """Subtract the derivative of the post neurons' adaptation from pre activities.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    conn : nengo.Connection
        The connection that learns.
    surrogate : VoltageSurrogate, RateDerivative, "auto" or None
        See `nengo_epes.EPES`.
    psi : Signal or None
        Pseudo-derivative of the post neurons, from `build_post_derivative`.
    activities : Signal
        Presynaptic activities, shape (n_pre,).

    Returns
    -------
    Signal or None
        Shape (n_post, n_pre); None without psi, or if the neurons do not adapt.

    Raises
    ------
    BuildError
        If the adaptation is so strong that its derivative would diverge.
    """
    post = (
        conn.post_obj.ensemble if isinstance(conn.post_obj, Neurons) else conn.post_obj
    )
    if psi is None or not isinstance(post.neuron_type, AdaptiveLIF):
        return None
    kind = post.neuron_type
    peak = float(surrogates.suitable(surrogate, kind)(1.0))
    strength = peak * kind.amplitude * kind.inc_n / kind.tau_n
    # a step multiplies the derivative by this much less than its decay
    if strength > 2 - model.dt / kind.tau_n:
        raise BuildError(
            f"{conn}: the adaptation of {kind} is too strong for a trace: pseudo-"
            f"derivative times amplitude * inc_n / tau_n must be below 2 (got "
            f"{strength:g}); use a smaller inc_n, a larger tau_n, or a surrogate with "
            "a smaller gamma"
        )
    shape = (psi.size, activities.size)
    adaptation = Signal(shape=shape, name=f"{conn}.adaptation_derivative")
    adapted = Signal(shape=shape, name=f"{conn}.adapted_activities")
    signals = activities, psi, model.step, adaptation, adapted
    model.add_op(AdaptedActivitiesSim(kind, *signals, tag=str(conn)))
    return adapted
