"""The arithmetic of the learning rules, on plain arrays, without Nengo.

Traces and changes have the shape (n_post, n_pre) of a connection's weights. Functions
that write take the array to be written first, or as ``out``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "accumulate",
    "adapt",
    "dutch",
    "limit_change",
    "pair_spikes",
    "replace",
    "soften_bounds",
    "subnormal_guard",
    "trace_decay",
]


FloatArray = NDArray[np.floating]


def trace_decay(tau: float, dt: float) -> float:
    """Return the decay factor of a trace in one step, exp(-dt / tau).

    Parameters
    ----------
    tau : float
        Time constant in seconds.
    dt : float
        Step in seconds.

    Examples
    --------
    >>> round(trace_decay(tau=0.1, dt=0.001), 6)
    0.99005
    """
    return math.exp(-dt / tau)


def subnormal_guard(decay: float, dtype: DTypeLike) -> tuple[float, int]:
    """Return a limit below which decaying numbers should be set to 0, and a period.

    Arithmetic with subnormal numbers is slow, and rounding prevents a decaying number
    from ever becoming 0. Every ``period`` steps, set numbers below the limit to 0. Then
    no number has become subnormal in between.

    Parameters
    ----------
    decay : float
        Decay factor of the numbers in a step, from 0 to 1.
    dtype : dtype
        Type of the numbers.

    Examples
    --------
    >>> smallest, period = subnormal_guard(0.99, float)
    >>> print(smallest, period)
    2.2250738585072014e-297 1000
    """
    # in half precision, 1e11 times the smallest normal number is beyond all numbers
    margin = 1e11 if np.dtype(dtype).itemsize > 2 else 1.0
    if decay == 0.0:  # the time constant is so short that nothing remains
        period = 1.0
    else:
        period = math.log(margin) / -math.log(decay) if decay < 1.0 else math.inf
    smallest = float(np.finfo(dtype).tiny) * margin
    return smallest, max(1, int(min(period, 1000.0)))


def accumulate(
    trace: FloatArray,
    decay: float | FloatArray,
    eligibility: FloatArray,
    activities: FloatArray,
    scratch: FloatArray,
) -> None:
    r"""Advance an eligibility trace by one step, in place.

    .. math:: e_{ij} \leftarrow \rho\, e_{ij} + (1 - \rho)\, c_i a_j

    with the decay :math:`\rho`, the characteristic eligibility :math:`c` and the
    presynaptic activities :math:`a`. The gain for constant input is 1, whatever the
    decay: it is `nengo.Lowpass` on every weight.

    Parameters
    ----------
    trace : (rows, n_pre) array
        Advanced in place.
    decay : float
        Between 0 (no memory) and 1, from `trace_decay`.
    eligibility : (rows,) array
        Characteristic eligibility of every row.
    activities : (n_pre,) or (rows, n_pre) array
        Presynaptic activities in hertz.
    scratch : (rows, n_pre) array
        Overwritten.

    Examples
    --------
    >>> e = np.array([[8.0]])
    >>> accumulate(e, 0.5, np.array([2.0]), np.array([3.0]), np.empty((1, 1)))
    >>> e
    array([[7.]])
    """
    if eligibility.size == 1:  # no outer product is needed
        gain = (1.0 - float(decay)) * eligibility.item()
        np.multiply(activities, gain, out=scratch)
    else:
        np.multiply(((1.0 - decay) * eligibility)[:, None], activities, out=scratch)
    np.multiply(trace, decay, trace)
    np.add(trace, scratch, trace)


def adapt(
    difference: FloatArray,
    adaptation: FloatArray,
    decay: float | FloatArray,
    increment: FloatArray,
    activities: FloatArray,
) -> None:
    r"""Subtract the derivative of the neurons' adaptation, and advance it, in place.

    .. math::

       d_{ij} = a_j - n_{ij}, \qquad
       n_{ij} \leftarrow \rho\, n_{ij} + \beta_i\, d_{ij}

    with the presynaptic activities :math:`a` and the derivative :math:`n` of the
    neurons' adaptation with respect to the weights. The adaptation is subtracted from
    the input of a neuron, so its derivative is subtracted from the activities.

    Parameters
    ----------
    difference : (n_post, n_pre) array
        d, overwritten.
    adaptation : (n_post, n_pre) array
        n, advanced in place.
    decay : float
        rho, the factor by which the adaptation decays in a step.
    increment : (n_post,) array
        beta: increase of the adaptation by a spike times pseudo-derivative.
    activities : (n_pre,) array
        Presynaptic activities in hertz.

    References
    ----------
    Bellec, G., et al. (2020). A solution to the learning dilemma for recurrent networks
    of spiking neurons. Nature Communications, 11, 3625. In this article, the threshold
    adapts.

    Examples
    --------
    >>> d, n = np.empty((1, 1)), np.array([[1.0]])
    >>> adapt(d, n, 0.5, increment=np.array([0.03]), activities=np.array([11.0]))
    >>> print(d, n)
    [[10.]] [[0.8]]
    """
    np.subtract(activities, adaptation, out=difference)
    adaptation *= decay
    adaptation += increment[:, None] * difference


def replace(
    trace: FloatArray,
    decay: float | FloatArray,
    eligibility: FloatArray,
    activities: FloatArray,
    scratch: FloatArray,
) -> None:
    r"""Advance a replacing trace by one step, in place.

    .. math:: e_{ij} \leftarrow \max(\rho\, e_{ij},\; c_i a_j)

    It never exceeds the largest contribution, however often a feature returns. Defined
    for contributions that are not negative.

    Parameters
    ----------
    trace, decay, eligibility, activities, scratch
        As in `accumulate`.

    References
    ----------
    Singh, S. P., & Sutton, R. S. (1996). Reinforcement learning with replacing
    eligibility traces. Machine Learning, 22, 123-158.

    Examples
    --------
    >>> e = np.array([[8.0, 4.0]])
    >>> replace(e, 0.5, np.array([1.0]), np.array([3.0, 3.0]), np.empty((1, 2)))
    >>> e
    array([[4., 3.]])
    """
    np.multiply.outer(eligibility, activities, out=scratch)
    trace *= decay
    np.maximum(trace, scratch, out=trace)


def dutch(
    trace: FloatArray, decay: float, rate: float, contribution: FloatArray
) -> None:
    r"""Advance a dutch trace by one visit, in place.

    .. math:: e_i \leftarrow \rho\, e_i + (1 - \alpha \rho\, e_i \cdot x_i)\, x_i

    for every row i with its contribution :math:`x_i = c_i a`: the trace of true online
    TD(lambda). It stays bounded if :math:`\alpha\,|x|^2 \le 1`.

    Parameters
    ----------
    trace : (rows, n_pre) array
        Advanced in place.
    decay : float
        rho, gamma times lambda of a visit.
    rate : float
        alpha, the step size of a visit.
    contribution : (rows, n_pre) array
        x.

    References
    ----------
    van Seijen, H., et al. (2016). True online temporal-difference learning. Journal of
    Machine Learning Research, 17(145), 1-40.

    Examples
    --------
    >>> e = np.array([[1.0, 2.0]])
    >>> dutch(e, decay=0.5, rate=0.1, contribution=np.array([[2.0, 0.0]]))
    >>> e
    array([[2.3, 1. ]])
    """
    overlap = (trace * contribution).sum(axis=1, keepdims=True)
    trace *= decay
    trace += (1.0 - rate * decay * overlap) * contribution


def limit_change(
    change: FloatArray,
    weights: FloatArray,
    bounds: tuple[float, float] | None,
    shrinkage: float,
) -> None:
    r"""Add weight decay to a change and limit the weights to bounds, in place.

    .. math:: \Delta w \leftarrow \mathrm{clip}(w + \Delta w - \eta w) - w

    Parameters
    ----------
    change : (rows, n_pre) array
        What would be added to the weights; replaced by what may be.
    weights : (rows, n_pre) array
        The weights.
    bounds : (float, float) or None
        The lowest and the highest weight.
    shrinkage : float
        eta, the part of every weight that is lost in this step.

    Examples
    --------
    >>> dw = np.array([[1.0, 0.0]])
    >>> limit_change(dw, np.array([[0.5, 2.0]]), bounds=(0.0, 1.0), shrinkage=0.5)
    >>> dw
    array([[ 0.5, -1. ]])
    """
    if shrinkage:
        change -= shrinkage * weights
    if bounds is not None:
        change += weights
        np.clip(change, *bounds, out=change)
        change -= weights


def soften_bounds(
    change: FloatArray, weights: FloatArray, bounds: tuple[float, float]
) -> None:
    r"""Make changes smaller where weights are close to a bound, in place.

    .. math::

       \Delta w \leftarrow \Delta w \cdot
       \frac{w_{high} - w}{w_{high} - w_{low}} \text{ if } \Delta w > 0, \quad
       \Delta w \cdot \frac{w - w_{low}}{w_{high} - w_{low}} \text{ else}

    Parameters
    ----------
    change : (rows, n_pre) array
        What would be added to the weights; multiplied in place.
    weights : (rows, n_pre) array
        The weights.
    bounds : (float, float)
        The lowest and the highest weight, finite.

    Examples
    --------
    >>> dw = np.array([[1.0, -1.0]])
    >>> soften_bounds(dw, np.array([[1.5, 1.5]]), bounds=(0.0, 2.0))
    >>> dw
    array([[ 0.25, -0.75]])
    """
    low, high = bounds
    change *= np.where(change > 0.0, high - weights, weights - low)
    change /= high - low


def pair_spikes(
    trace: FloatArray,
    pre_spikes: FloatArray,
    post_spikes: FloatArray,
    pre_trace: FloatArray,
    post_trace: FloatArray,
    potentiation: float,
    depression: float,
) -> None:
    r"""Add the pairs of the spikes of one step with earlier spikes, in place.

    .. math:: e_{ij} \leftarrow e_{ij} + A_+\, s_i x_j - A_-\, y_i s_j

    Parameters
    ----------
    trace : (n_post, n_pre) array
        e, changed in place.
    pre_spikes : (n_pre,) array
        Numbers of spikes in this step; most are 0.
    post_spikes : (n_post,) array
        Numbers of spikes in this step; most are 0.
    pre_trace : (n_pre,) array
        x, without the spikes of this step.
    post_trace : (n_post,) array
        y, without the spikes of this step.
    potentiation, depression : float
        :math:`A_+` and :math:`A_-`.

    Examples
    --------
    The pre neuron spiked a while ago, the post neuron does so now:

    >>> e, x, y = np.zeros((1, 1)), np.array([0.5]), np.array([0.0])
    >>> pair_spikes(e, np.array([0.0]), np.array([1.0]), x, y, 1.0, 1.5)
    >>> e
    array([[0.5]])
    """
    # spikes are rare: only their rows and columns are touched
    for i in post_spikes.nonzero()[0]:
        trace[i] += (potentiation * post_spikes[i]) * pre_trace
    for j in pre_spikes.nonzero()[0]:
        trace[:, j] -= (depression * pre_spikes[j]) * post_trace
