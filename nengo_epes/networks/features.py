"""Populations that represent a state such that a value can be decoded from them."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.exceptions import ValidationError
from nengo.params import NumberParam


class NormalizedExponential(nengo.neurons.NeuronType):
    r"""Rate neurons that share out a sum of rates: a softmax of their currents.

    .. math:: a_i = A\, e^{J_i} / \sum_j e^{J_j}

    Strong mutual inhibition, in other words, by which whoever is driven most is active
    most. The neurons of `place_cells`.

    Parameters
    ----------
    amplitude : float, optional
        A, the sum of all rates in hertz.
    initial_state : dict, optional
        There is none.

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

    For states of few dimensions, three at most, whose values may have any shape: what
    is learned at one place changes nothing far away. The number of cells grows
    exponentially with the dimensions; for more of them there is `random_features`.

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
        If the centres are no matrix, or there are other widths than one or one for each
        dimension, all above 0.

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

    Nengo's usual population but for its intercepts, which are drawn from the middle,
    where scaled observations mostly are. A value generalises far: what is learned in
    one state changes those of many others.

    Parameters
    ----------
    n_neurons, dimensions : int
        Some hundreds for four dimensions; more are better.
    neuron_type : nengo.neurons.NeuronType, optional
        None for `nengo.RectifiedLinear`, the easiest to learn from. Spiking neurons
        need a ``pre_synapse`` in critic and actor.
    intercepts : (low, high), optional
        Of the part of [-1, 1] in which neurons begin to be active.
    label, seed : optional
        See `nengo.Ensemble`. The seed is that of encoders, intercepts and rates.

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
