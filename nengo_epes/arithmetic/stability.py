r"""Learning rates for PES and EPES: the largest stable rate, and a first choice.

At a constant input, the neurons fire with the activities a (in hertz). Then `nengo.PES`
reduces each dimension of the error E separately:

.. math:: \dot E(t) = -g \, E(t - \theta), \qquad g = \kappa |a|^2 / n

with the learning rate :math:`\kappa`, the number of neurons n and the loop gain g (per
second). The error takes the time :math:`\theta` to reach the rule. A further gain
between the decoders and the output multiplies g.

In the simulator :math:`E_{t+1} = E_t - g\,dt\,E_{t-m}` for an error delayed by m
simulator steps. m is 0 if all connections of the loop have ``synapse=None``; ``z**-k``
adds k. This approximates the equation above with :math:`\theta = (m + 1/2)\,dt`. If
``dt`` is given, the limits are exact for the simulator.

An error of several dimensions has the same limit in each dimension. If its delay is
known, use `nengo.PES` with ``pre_synapse=z**-(n + 1)``. If the delay varies, or a plant
is part of it, use `nengo_epes.EPES` with a trace that has the mean delay of the whole
loop, and take this mean delay as :math:`\theta`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "activities_of",
    "largest_rate_without_overshoot",
    "largest_stable_rate",
    "suggest_learning_rate",
]


FloatArray = NDArray[np.floating]


def largest_stable_rate(
    activities: ArrayLike, delay: float, dt: float | None = None
) -> float:
    r"""Return the largest stable learning rate for a delayed error.

    .. math:: g \theta < \frac{\pi}{2}, \qquad\text{in steps:}\quad
       g \, dt < 2 \sin \frac{\pi}{2 (2 m + 1)}, \quad m = \theta / dt

    g is the largest loop gain over the samples. For constant inputs, the error of every
    sample decays to 0 below this rate. Above it, the error of the sample with the
    largest :math:`|a|^2` grows without bound. Nothing is guaranteed for inputs that
    change during the delay: the error then corrects activities that did not cause it
    (``PES(pre_synapse=z**-(m + 1))`` corrects the activities that did). Further
    synapses in the loop add about their time constants to the delay.

    `nengo_epes.EPES` has the same limit, because the trace of a constant activity is
    this activity.

    Parameters
    ----------
    activities : array_like (n_neurons,) or (n_samples, n_neurons)
        Activities in hertz.
    delay : float
        Delay theta in seconds, of all connections that the error passes.
    dt : float, optional
        Simulator step in seconds; None: continuous time.

    Returns
    -------
    float
        kappa, the ``learning_rate`` of `nengo.PES`.

    Raises
    ------
    ValueError
        If the activities are not finite, or all 0; if the delay is negative, no whole
        number of steps, or, in continuous time, 0: then every rate is stable.

    References
    ----------
    .. [1] Hayes, N. D. (1950). Roots of the transcendental equation associated with a
       certain difference-differential equation. Journal of the London Mathematical
       Society, 25, 226-232.
    .. [2] Levin, S. A., & May, R. M. (1976). A note on difference-delay equations.
       Theoretical Population Biology, 9, 178-187.

    Examples
    --------
    Two neurons at 100 Hz have a mean square of 10000:

    >>> round(1e4 * largest_stable_rate([100.0, 100.0], delay=1.0), 4)
    1.5708
    >>> round(1e4 * largest_stable_rate([100.0, 100.0], delay=0.0, dt=0.001), 4)
    2000.0
    """
    if dt is None:
        gain = math.pi / 2 / _positive("delay", delay)
    else:
        gain = 2 * math.sin(math.pi / (2 * (2 * _lag(delay, dt) + 1))) / dt
    return gain / float(_mean_squares(activities).max())


def largest_rate_without_overshoot(
    activities: ArrayLike, delay: float, dt: float | None = None
) -> float:
    r"""Return the largest learning rate without overshoot for a delayed error.

    .. math:: g \theta \le \frac{1}{e}, \qquad\text{in steps:}\quad
       g \, dt \le \frac{m^m}{(m + 1)^{m + 1}}, \quad m = \theta / dt

    g is the largest loop gain over the samples. Take constant inputs, with constant
    errors before learning starts. Up to this rate, the error of no sample changes its
    sign. Above it, the error of the sample with the largest :math:`|a|^2` does. For
    inputs that change, see `largest_stable_rate`.

    Parameters
    ----------
    activities, delay, dt
        See `largest_stable_rate`.

    Returns
    -------
    float
        kappa, the ``learning_rate`` of `nengo.PES`.

    Raises
    ------
    ValueError
        See `largest_stable_rate`.

    Examples
    --------
    >>> round(1e4 * largest_rate_without_overshoot([100.0, 100.0], delay=1.0), 4)
    0.3679
    """
    if dt is None:
        gain = 1 / math.e / _positive("delay", delay)
    else:
        # in this form no power of a large m overflows
        m = _lag(delay, dt)
        gain = (m / (m + 1)) ** m / (m + 1) / dt
    return gain / float(_mean_squares(activities).max())


def suggest_learning_rate(
    activities: ArrayLike, time_constant: float, over: str = "mean"
) -> float:
    r"""Return the learning rate with which PES learns within a time constant.

    .. math:: \kappa = \frac{n}{\tau \langle |a|^2 \rangle}

    with the mean over the samples, or the largest :math:`|a|^2` instead. Two facts hold
    for an error that is not delayed and a :math:`\tau` of many simulator steps:

    * If a sample is a constant input, its error decays as :math:`e^{-gt}` with
      :math:`g = |a|^2 / (\tau \langle |a|^2 \rangle)`. With "largest", no error decays
      faster than :math:`\tau`. With "mean", samples above the mean decay faster.
    * If the input passes through the samples much faster than the rule learns, each
      component of the error over the samples decays at its own rate. The rates sum up
      to :math:`1 / \tau` for "mean" and to less for "largest", because :math:`\langle
      |a|^2 \rangle` is the trace of the activities' correlation matrix. So no
      component decays faster than :math:`\tau`, and fine detail takes far longer.

    Parameters
    ----------
    activities : array_like (n_neurons,) or (n_samples, n_neurons)
        In hertz; see `activities_of`.
    time_constant : float
        tau in seconds.
    over : {"mean", "largest"}
        Choice of the :math:`|a|^2` that has this time constant.

    Returns
    -------
    float
        kappa, the ``learning_rate`` of `nengo.PES`. If the error is delayed, use the
        minimum of this and `largest_rate_without_overshoot`.

    Raises
    ------
    ValueError
        If a parameter is out of range, or all activities are 0.

    Examples
    --------
    >>> samples = [[100.0, 100.0], [100.0, 0.0]]
    >>> round(1e4 * suggest_learning_rate(samples, time_constant=0.1), 4)
    13.3333
    >>> round(1e4 * suggest_learning_rate(samples, 0.1, over="largest"), 4)
    10.0
    """
    if over not in ("mean", "largest"):
        raise ValueError(f"over: must be 'mean' or 'largest' (got {over!r})")
    squares = _mean_squares(activities)
    square = float(squares.mean() if over == "mean" else squares.max())
    return 1.0 / (_positive("time_constant", time_constant) * square)


def activities_of(sim: Any, ensemble: Any) -> FloatArray:
    """Return the rates of a built ensemble at its evaluation points.

    Parameters
    ----------
    sim : nengo.Simulator
        Simulator of the ensemble.
    ensemble : nengo.Ensemble
        An ensemble of neurons, not of `nengo.Direct`.

    Returns
    -------
    ndarray (n_samples, n_neurons)
        Rates in hertz; for spiking neurons, the rates at constant input.

    Raises
    ------
    ValueError
        If the ensemble computes directly, and has no activities.

    Examples
    --------
    >>> import nengo
    >>> with nengo.Network(seed=1) as network:
    ...     ensemble = nengo.Ensemble(50, dimensions=1)
    >>> with nengo.Simulator(network, progress_bar=False) as sim:
    ...     activities = activities_of(sim, ensemble)
    >>> activities.shape
    (750, 50)
    """
    from nengo import Direct
    from nengo.builder.ensemble import get_activities

    if isinstance(ensemble.neuron_type, Direct):
        raise ValueError(f"{ensemble} has no activities; give it another neuron_type")
    built = sim.data[ensemble]
    return np.asarray(get_activities(built, ensemble, built.eval_points))


def _mean_squares(activities: ArrayLike) -> FloatArray:
    """Return |a|^2 / n of every sample."""
    a = np.atleast_2d(np.asarray(activities, dtype=float))
    if a.ndim != 2 or not np.isfinite(a).all() or not a.any():
        raise ValueError(
            f"the activities (shape {np.shape(activities)}) must be finite rates, "
            "(n_neurons,) or (n_samples, n_neurons), and not all 0; take them from "
            "activities_of(sim, ensemble)"
        )
    return np.asarray(np.mean(a * a, axis=1))


def _positive(name: str, seconds: float) -> float:
    if not 0.0 < seconds < math.inf:
        raise ValueError(f"{name}: must be above 0 s (got {seconds!r})")
    return float(seconds)


def _lag(delay: float, dt: float) -> int:
    """Return the delay in steps."""
    steps = delay / _positive("dt", dt)
    if not (0.0 <= steps < math.inf and abs(steps - round(steps)) < 1e-6):
        raise ValueError(
            f"delay: must be a whole number of steps of {dt!r} s, 0 or more (got "
            f"{delay!r} s)"
        )
    return round(steps)
