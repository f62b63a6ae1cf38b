"""Populations that represent a state such that a value can be decoded from them."""

from __future__ import annotations

import math

import nengo
import numpy as np
from nengo.exceptions import ValidationError
from nengo.params import NumberParam

# Hz; the few local neurons that are active count as much as the many global ones
SPIKING_RATES = (100.0, 300.0)


class NormalizedExponential(nengo.neurons.NeuronType):
    r"""Rate neurons that share out a sum of rates: a softmax of their currents.

    .. math:: a_i = A\, e^{J_i} / \sum_j e^{J_j}

    The neurons act as if they strongly inhibited each other, so the neuron with the
    largest current is the most active. `place_cells` uses them.

    Parameters
    ----------
    amplitude : float, optional
        A, the sum of all rates in hertz.
    initial_state : dict, optional
        Not used: these neurons have no state.

    Examples
    --------
    >>> neurons = NormalizedExponential(amplitude=100)
    >>> rates = np.zeros(2)
    >>> neurons.step(dt=0.001, J=np.log([1.0, 3.0]), output=rates)
    >>> rates
    array([25., 75.])
    """

    negative = False
    amplitude = NumberParam("amplitude", low=0, low_open=True)

    def __init__(self, amplitude=200.0, initial_state=None):
        super().__init__(initial_state)
        self.amplitude = amplitude

    def gain_bias(self, max_rates, intercepts):
        """Refuse: no neuron has a rate of its own."""
        raise ValidationError(
            "the rate of a neuron depends on all others, so that gain and bias do not "
            "follow from max_rates and intercepts; give gain and bias, or use "
            "nengo_epes.networks.place_cells",
            attr="neuron_type",
            obj=self,
        )

    def max_rates_intercepts(self, gain, bias):
        """Return None for both, see `gain_bias`."""
        return None, None

    def step(self, dt, J, output):
        """Write the rates that the currents J make."""
        np.exp(J - J.max(axis=-1, keepdims=True), out=output)
        output *= self.amplitude / output.sum(axis=-1, keepdims=True)


def grid(*axes):
    """Return all combinations of coordinates, as centres of `place_cells`.

    Parameters
    ----------
    *axes : (n,) array_like
        The coordinates in every dimension.

    Returns
    -------
    (cells, dimensions) array

    Examples
    --------
    >>> grid([0, 1], [5, 6]).tolist()
    [[0.0, 5.0], [0.0, 6.0], [1.0, 5.0], [1.0, 6.0]]
    """
    axes = [np.asarray(axis, dtype=float) for axis in axes]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def place_cells(centres, width, rate=200.0, label="place cells", seed=None):
    r"""Make a population of place cells, each active around a centre of its own.

    .. math:: a_i(x) = A\, \frac{e^{-|x - c_i|^2 / 2\sigma^2}}
       {\sum_j e^{-|x - c_j|^2 / 2\sigma^2}}

    Use them for states of at most three dimensions. The value function may have any
    shape, because learning at one place changes nothing far away. The number of cells
    grows exponentially with the dimensions; use `random_features` for more dimensions.

    These are encoders and biases: as :math:`|x|^2` cancels, the currents are
    :math:`J_i = x \cdot c_i / \sigma^2 - |c_i|^2 / 2\sigma^2`.

    Parameters
    ----------
    centres : (cells, dimensions) array_like
        c, for example from `grid`. An angle seen as its cosine and sine has its centres
        on the circle.
    width : float or (dimensions,) array_like
        :math:`\sigma`, about the distance of neighbours.
    rate : float, optional
        A, the sum of all rates in hertz.
    label, seed : optional
        See `nengo.Ensemble`.

    Returns
    -------
    nengo.Ensemble

    Raises
    ------
    ValidationError
        If the centres are not 2-D, or the widths are neither one number nor one for
        each dimension, all above 0.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes.networks import grid, place_cells
    >>> with nengo.Network() as net:
    ...     fifteen = np.linspace(-1, 1, 15)
    ...     cells = place_cells(grid(fifteen, fifteen), width=0.15)
    >>> cells.n_neurons
    225
    """
    centres = np.asarray(centres, dtype=float)
    if centres.ndim != 2 or not np.isfinite(centres).all():
        raise ValidationError(
            "must be finite, of the shape (cells, dimensions), for example from grid() "
            f"(got shape {centres.shape})",
            attr="centres",
        )
    width = np.asarray(width, dtype=float)
    if width.shape not in ((), (centres.shape[1],)):
        raise ValidationError(
            f"must be one number, or one for each of the {centres.shape[1]} dimensions "
            f"(got {width.tolist()})",
            attr="width",
        )
    width = np.broadcast_to(width, centres.shape[1])
    if not (width > 0).all():
        raise ValidationError(f"must be above 0 (got {width.tolist()})", attr="width")
    directions = centres / width**2
    lengths = np.linalg.norm(directions, axis=1)
    # a cell at the origin has no direction, and a gain of 0
    directions[lengths == 0, 0] = 1.0
    return nengo.Ensemble(
        len(centres),
        centres.shape[1],
        neuron_type=NormalizedExponential(rate),
        # whatever a network's config has for ensembles
        radius=1.0,
        normalize_encoders=True,
        encoders=directions,
        gain=lengths,
        bias=-np.sum((centres / width) ** 2, axis=1) / 2,
        label=label,
        seed=seed,
    )


def random_features(
    n_neurons,
    dimensions,
    neuron_type=None,
    intercepts=(-0.5, 0.5),
    label="state",
    seed=None,
):
    """Make a population of neurons with random encoders, for states of any dimension.

    Only the intercepts differ from Nengo's defaults: they are near 0, as most scaled
    observations are. Values generalise far: learning in one state changes the values of
    many others.

    Parameters
    ----------
    n_neurons, dimensions : int
        Some hundreds for four dimensions; more are better.
    neuron_type : nengo.neurons.NeuronType, optional
        None for `nengo.RectifiedLinear`, the easiest to learn from. Spiking neurons
        need a ``pre_synapse`` in critic and actor.
    intercepts : (low, high), optional
        Range in [-1, 1] of the intercepts, above which neurons become active.
    label, seed : optional
        Parameters of `nengo.Ensemble`. The seed determines encoders, intercepts and
        rates.

    Returns
    -------
    nengo.Ensemble

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes.networks import random_features
    >>> with nengo.Network() as net:
    ...     state = random_features(1000, dimensions=4, seed=0)
    >>> state.intercepts
    Uniform(low=-0.5, high=0.5)
    """
    return nengo.Ensemble(
        n_neurons,
        dimensions,
        neuron_type=nengo.RectifiedLinear() if neuron_type is None else neuron_type,
        intercepts=nengo.dists.Uniform(*intercepts),
        label=label,
        seed=seed,
    )


def to_sphere(observation):
    r"""Map points to the unit sphere of one more dimension.

    .. math:: u = [x, 1] / |[x, 1]|

    The length of x becomes an angle, so a neuron with an encoder on the sphere can
    respond to one region of x only. This is all that `sphere_features` needs outside of
    neurons.

    Parameters
    ----------
    observation : (..., dimensions) array_like
        Points x, of the order of 1.

    Returns
    -------
    (..., dimensions + 1) array

    Examples
    --------
    >>> to_sphere([0.0]).tolist(), to_sphere([1.0]).round(3).tolist()
    ([0.0, 1.0], [0.707, 0.707])
    """
    observation = np.asarray(observation, dtype=float)
    one = np.ones_like(observation[..., :1])
    point = np.concatenate([observation, one], axis=-1)
    return point / np.linalg.norm(point, axis=-1, keepdims=True)


def sphere_features(
    n_neurons,
    dimensions,
    neuron_type=None,
    max_rates=None,
    seed=0,
    n_active=16,
    local_share=0.5,
    label="state",
):
    """Make one ensemble of global and local features of normalised observations.

    Outside of neurons only `to_sphere` is computed: connect its result to the ensemble.
    Half of the neurons are *global*: encoders in all directions, so that a value
    generalises far. The other half are *local*: each responds to the surroundings of
    one point, so that what is learned there changes little elsewhere. Both halves have
    the same mean square activity for normally distributed observations.

    Parameters
    ----------
    n_neurons : int
        Number of neurons, for example 1000.
    dimensions : int
        Dimensions of an observation; the ensemble has one more.
    neuron_type : nengo.neurons.NeuronType, optional
        Type of the neurons; `nengo.RectifiedLinear` by default.
    max_rates : (float, float), optional
        Largest rates of global and local neurons in hertz. None: rates at which both
        halves have the same mean square activity, for neurons that are not spiking;
        and (100, 300) for spiking neurons.
    seed : int, optional
        Seed of encoders and intercepts.
    n_active : int, optional
        How many local neurons are active for a typical observation.
    local_share : float, optional
        Share of the neurons that are local, from 0 to 1.
    label : str, optional
        Label of the ensemble.

    Returns
    -------
    nengo.Ensemble
        Ensemble of ``dimensions + 1`` dimensions. For rectified linear neurons, the
        mean of the sum of squares of all activities is 100^2 Hz^2.

    Raises
    ------
    ValidationError
        If there are not more than ``n_active`` local neurons.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes.networks import sphere_features, to_sphere
    >>> with nengo.Network() as net:
    ...     observation = nengo.Node(size_in=4)
    ...     state = sphere_features(200, dimensions=4)
    ...     on_sphere = nengo.Node(lambda t, x: to_sphere(x), size_in=4)
    ...     see = nengo.Connection(observation, on_sphere, synapse=None)
    ...     feed = nengo.Connection(on_sphere, state, synapse=None)
    """
    n_local = round(n_neurons * local_share)
    n_global = n_neurons - n_local
    if not 0.0 <= local_share <= 1.0:
        raise ValidationError(
            f"must be from 0 to 1 (got {local_share})", attr="local_share"
        )
    if 0 < n_local <= n_active:
        raise ValidationError(
            f"must be more than {math.ceil(n_active / local_share)}, because "
            f"{n_active} local neurons are active at a time (got {n_neurons})",
            attr="n_neurons",
        )
    rng = np.random.RandomState(seed)
    directions = rng.randn(n_global, dimensions + 1)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # a wider cloud than the observations, so that its edge has neurons around it
    centres = to_sphere(1.2 * rng.randn(n_local, dimensions))
    typical = to_sphere(np.clip(rng.randn(400, dimensions), -3, 3))
    width = _widths(centres, typical, n_active) if n_local else np.zeros(0)
    encoders = np.concatenate([directions, centres])
    intercepts = np.concatenate([rng.uniform(-0.5, 0.5, n_global), 1 - width])
    slopes = np.concatenate([np.ones(n_global), 1 / width])
    activities = np.maximum(slopes * (typical @ encoders.T - intercepts), 0)
    parts = np.split((activities**2).mean(axis=0), [n_global])
    shares = sum(part.size > 0 for part in parts)
    scales = [(shares * part.sum()) ** -0.5 if part.size else 0.0 for part in parts]
    neuron_type = nengo.RectifiedLinear() if neuron_type is None else neuron_type
    if max_rates is None and not neuron_type.spiking:
        scale = np.repeat(scales, [n_global, n_local])
        max_rates = 100.0 * scale * slopes * (1 - intercepts)
    else:
        max_rates = SPIKING_RATES if max_rates is None else max_rates
        max_rates = np.repeat(np.asarray(max_rates, float), [n_global, n_local])
    return nengo.Ensemble(
        n_neurons,
        dimensions + 1,
        neuron_type=neuron_type,
        # whatever a network's config has for ensembles
        radius=1.0,
        normalize_encoders=True,
        encoders=encoders,
        intercepts=intercepts,
        max_rates=max_rates,
        label=label,
        seed=seed,
    )


def _widths(centres, typical, n_active):
    """Return widths at which about n_active local neurons are active."""

    def nearest(distances):
        return np.partition(distances, n_active, axis=1)[:, n_active]

    # the distance to the n_active-th neighbour, times what makes n_active overlap
    width = nearest(1 - centres @ centres.T)
    return width * np.median(nearest((1 - typical @ centres.T) / width))


def state_cells(n_states, neuron_type=None, label="state", seed=None):
    """Make a population with one neuron for each of several discrete states.

    Connect the one-hot observation to its neurons, which multiply it by their gain.

    Parameters
    ----------
    n_states : int
        Number of states, and of neurons.
    neuron_type : nengo.neurons.NeuronType, optional
        Type of the neurons; `nengo.RectifiedLinear` by default.
    label, seed : optional
        Parameters of `nengo.Ensemble`.

    Returns
    -------
    nengo.Ensemble
        The neuron of the observed state has its largest rate, 100 Hz, or 200 Hz if the
        neurons are spiking; the others are silent.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes.networks import state_cells
    >>> with nengo.Network() as net:
    ...     one_hot, state = nengo.Node([0, 1, 0]), state_cells(3)
    ...     feed = nengo.Connection(one_hot, state.neurons, synapse=None)
    ...     probe = nengo.Probe(state.neurons)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run_steps(1)
    >>> sim.data[probe][0].tolist()
    [0.0, 100.0, 0.0]
    """
    neuron_type = nengo.RectifiedLinear() if neuron_type is None else neuron_type
    rates = np.full(n_states, 200.0 if neuron_type.spiking else 100.0)
    gain, bias = neuron_type.gain_bias(rates, np.zeros(n_states))
    return nengo.Ensemble(
        n_states,
        1,
        neuron_type=neuron_type,
        encoders=np.ones((n_states, 1)),
        radius=1.0,
        normalize_encoders=True,
        gain=gain,
        bias=bias,
        label=label,
        seed=seed,
    )
