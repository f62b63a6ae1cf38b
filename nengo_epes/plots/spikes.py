"""Spikes, and what is learned from them."""

from __future__ import annotations

import itertools

import numpy as np
from nengo.exceptions import ValidationError

from nengo_epes.plots.style import STYLES, new_axes


def raster(time, spikes, td_error, trace, axes=None):
    """Draw spikes, and below them TD error and eligibility trace at the same times.

    Parameters
    ----------
    time : (steps,) array_like
        Seconds, as from ``sim.trange()``.
    spikes : (steps, neurons) array_like
        A probe of the neurons; a spike is whatever is not 0.
    td_error : (steps,) or (steps, 1) array_like
        A probe of the TD error; that of an agent is in pulses of a step, per second.
    trace : (steps,) or (steps, lines) array_like
        Eligibility traces of one weight or some, in hertz.
    axes : sequence of matplotlib.axes.Axes, optional
        Three to draw into; None for a new figure.

    Returns
    -------
    array of matplotlib.axes.Axes

    Raises
    ------
    ValidationError
        If shapes do not fit each other.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = raster(
    ...     time=[0.001, 0.002, 0.003],
    ...     spikes=[[0, 0], [0, 1000], [1000, 0]],
    ...     td_error=[0, 0, 1],
    ...     trace=[0, 10, 9],
    ...     axes=Figure().subplots(3),
    ... )
    >>> axes[0].lines[0].get_xydata().tolist()
    [[0.002, 1.0], [0.003, 0.0]]
    """
    time, spikes = np.asarray(time, dtype=float), np.asarray(spikes)
    td_error, trace = np.asarray(td_error), np.asarray(trace)
    if time.ndim != 1 or len(time) < 2:
        raise ValidationError(f"has the shape {time.shape}, not (steps,)", attr="time")
    td_error = td_error[:, None] if td_error.ndim == 1 else td_error
    trace = trace[:, None] if trace.ndim == 1 else trace
    for name, data in (("spikes", spikes), ("td_error", td_error), ("trace", trace)):
        if data.ndim != 2 or len(data) != len(time) or not data.size:
            raise ValidationError(
                f"has the shape {data.shape}, for {len(time)} steps: give (steps, n), "
                "of a trace for all weights some columns",
                attr=name,
            )
    axes = new_axes(3, height_ratios=(2, 1, 1)) if axes is None else axes
    axes = np.ravel(axes)
    if len(axes) != 3:
        raise ValidationError(f"got {len(axes)} of them; give three", attr="axes")
    when, which = np.nonzero(spikes)
    n_neurons = spikes.shape[1]
    # so that marks neither touch nor vanish
    height = np.clip(120 / n_neurons, 1.0, 10.0)
    axes[0].plot(time[when], which, "|", color="black", ms=height)
    axes[0].set(ylabel="neuron", ylim=(-0.5, n_neurons - 0.5))
    for ax, data, label in (
        (axes[1], td_error, "TD error"),
        (axes[2], trace, "eligibility\ntrace (Hz)"),
    ):
        ax.axhline(0.0, color="0.7", lw=0.8)
        for line, style in zip(data.T, itertools.cycle(STYLES), strict=False):
            ax.plot(time, line, **style)
        ax.set(ylabel=label)
    for ax in axes:
        ax.set(xlim=(time[0], time[-1]))
    axes[2].set(xlabel="time (s)")
    return axes
