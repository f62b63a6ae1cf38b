"""Figures of what agents do and learn.

They can be read in grey, and by the colour-blind. Every function draws into the axes
that it receives, or makes a figure with pyplot.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from nengo.exceptions import ValidationError

__all__ = ["STYLES", "learning_curves", "raster", "state_map"]


# Okabe and Ito's colours, which differ in their dashes, too
STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "ls": "-"},
    {"color": "#D55E00", "ls": "--"},
    {"color": "#009E73", "ls": "-."},
    {"color": "#CC79A7", "ls": ":"},
    {"color": "#E69F00", "ls": (0, (5, 1, 1, 1, 1, 1))},
    {"color": "#000000", "ls": (0, (1, 1))},
)


def _subplots(rows=1, columns=1, **options):
    import matplotlib.pyplot as plt  # needs a display

    size = (4.8 * columns + 0.6, 3.4 if rows == 1 else 1.7 * rows)
    return plt.subplots(
        rows, columns, figsize=size, sharex=True, layout="constrained", **options
    )[1]


def learning_curves(curves, window=50, over="steps", ax=None):
    """Draw how the returns of episodes grow: median and quartiles over seeds.

    A curve is the mean return of the last ``window`` episodes, at first of all until
    then. It starts when every seed has finished an episode. It stops when the first
    seed stops, because the median of the remaining seeds is a different quantity.

    Parameters
    ----------
    curves : dict of str to sequence of dict
        Runs of all seeds by label. A run has ``returns``, one for each episode, and
        ``steps``, the number of environment steps at the end of each episode.
    window : int, optional
        Number of episodes in the mean.
    over : {"steps", "episodes"}, optional
        Horizontal axis.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; None for a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValidationError
        If a label has no runs, a run has not as many steps as returns, or one seed
        stopped before another finished an episode.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> runs = [{"returns": [1, 3, 5], "steps": [10, 20, 30]}] * 2
    >>> ax = learning_curves({"an agent": runs}, window=2, ax=Figure().subplots())
    >>> ax.lines[0].get_ydata().tolist()
    [1.0, 2.0, 4.0]
    """
    drawn = {x: _over_seeds(x, runs, window, over) for x, runs in curves.items()}
    ax = _subplots() if ax is None else ax
    for (label, (x, quartiles)), style in zip(
        drawn.items(), itertools.cycle(STYLES), strict=False
    ):
        low, median, high = quartiles
        ax.fill_between(x, low, high, color=style["color"], alpha=0.2, lw=0)
        ax.plot(x, median, **style, label=label)
    episodes = "episode" if window == 1 else f"{window} episodes"
    xlabel = {"steps": "steps of the environment", "episodes": "episodes"}[over]
    ax.set(xlabel=xlabel, ylabel=f"mean return of the last {episodes}")
    ax.legend(fontsize="small")
    return ax


def _over_seeds(label, runs, window, over):
    """Return x, (points,), and the quartiles of the runs, (3, points)."""
    if not runs or any(len(run["returns"]) != len(run["steps"]) for run in runs):
        raise ValidationError(
            f"{label!r}: must be runs with as many steps as returns", attr="curves"
        )
    ends = [
        np.asarray(run["steps"])
        if over == "steps"
        else np.arange(1, len(run["steps"]) + 1)
        for run in runs
    ]
    start, stop = max(x[0] for x in ends), min(x[-1] for x in ends)
    if start > stop:
        raise ValidationError(
            f"{label!r}: one run stopped after {stop} {over}, before another had "
            f"finished an episode (after {start}); use longer runs",
            attr="curves",
        )
    x = np.unique(np.concatenate(ends))
    x = x[(start <= x) & (x <= stop)]
    # the mean of a run changes when an episode ends
    rows = [
        _mean_of_last(run["returns"], window)[np.searchsorted(own, x, side="right") - 1]
        for own, run in zip(ends, runs, strict=True)
    ]
    return x, np.percentile(rows, [25, 50, 75], axis=0)


def _mean_of_last(returns, window):
    sums = np.cumsum(returns)
    before = np.concatenate([np.zeros(min(window, len(sums))), sums[:-window]])
    return (sums - before) / np.minimum(np.arange(1, len(sums) + 1), window)


def state_map(values, x, y, labels, what="value", ax=None, **limits):
    """Draw a quantity over a plane of states, such as a value or a probability.

    Parameters
    ----------
    values : (rows, columns) array_like
        Quantity of each state, for example ``agent.value(observation)``. Integers, such
        as discrete actions, have one colour each; other numbers have a scale.
    x, y : (columns,), (rows,) array_like
        Coordinates of the states, ascending.
    labels : (str, str)
        Names of the coordinates, with their units.
    what : str, optional
        Name of the quantity, with its unit.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; None for a new figure.
    **limits
        ``vmin`` and ``vmax`` of the colours; by default the limits of the values.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValidationError
        If the values do not have the shape (rows, columns).

    Notes
    -----
    The map has two dimensions. For a longer observation, choose two of its entries and
    fix the others, as in the example.

    Examples
    --------
    The third entry of the observation is 0.5 in the whole map.

    >>> from matplotlib.figure import Figure
    >>> from nengo_epes.rl import Agent
    >>> x, y = [-1.0, 0.0, 1.0], [-1.0, 1.0]
    >>> with Agent("Pendulum-v1", n_neurons=50) as agent:
    ...     values = [[agent.value([a, b, 0.5]) for a in x] for b in y]
    >>> labels = ("cosine", "sine")
    >>> ax = state_map(values, x, y, labels, ax=Figure().subplots())
    >>> ax.collections[0].get_array().shape
    (2, 3)
    """
    values = np.asarray(values)
    if np.shape(values) != (len(y), len(x)):
        raise ValidationError(
            f"must have the shape {(len(y), len(x))}, a row for each of y (got "
            f"{np.shape(values)})",
            attr="values",
        )
    ax = _subplots() if ax is None else ax
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    # from dark to light, for every eye and in grey
    colours, ticks = colormaps["cividis"], None
    if values.dtype.kind in "iu":  # a colour for each integer
        low, high = limits.get("vmin", values.min()), limits.get("vmax", values.max())
        limits = {"vmin": low - 0.5, "vmax": high + 0.5}
        colours = colours.resampled(int(high - low) + 1)
        ticks = MaxNLocator(integer=True)
    mesh = ax.pcolormesh(x, y, values, shading="nearest", cmap=colours, **limits)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    ax.figure.colorbar(mesh, ax=ax, label=what, ticks=ticks)
    return ax


def raster(time, spikes, td_error, trace, axes=None):
    """Draw spikes, and below them TD error and eligibility trace at the same times.

    Parameters
    ----------
    time : (steps,) array_like
        Times in seconds, as from ``sim.trange()``.
    spikes : (steps, neurons) array_like
        Data of a probe of the neurons; a spike is a number other than 0.
    td_error : (steps,) or (steps, 1) array_like
        Data of a probe of the TD error.
    trace : (steps,) or (steps, lines) array_like
        Eligibility traces of some weights, in hertz.
    axes : sequence of matplotlib.axes.Axes, optional
        Three axes to draw into; None for a new figure.

    Returns
    -------
    array of matplotlib.axes.Axes

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
    axes = _subplots(3, height_ratios=(2, 1, 1)) if axes is None else axes
    axes = np.ravel(axes)
    when, which = np.nonzero(spikes)
    n_neurons = spikes.shape[1]
    # marks that neither touch nor vanish
    height = np.clip(120 / n_neurons, 1.0, 10.0)
    axes[0].plot(time[when], which, "|", color="black", ms=height)
    axes[0].set(ylabel="neuron", ylim=(-0.5, n_neurons - 0.5))
    for ax, data, label in (
        (axes[1], td_error, "TD error"),
        (axes[2], trace, "eligibility\ntrace (Hz)"),
    ):
        ax.axhline(0.0, color="0.7", lw=0.8)
        lines = np.reshape(data, (len(time), -1)).T
        for line, style in zip(lines, itertools.cycle(STYLES), strict=False):
            ax.plot(time, line, **style)
        ax.set(ylabel=label)
    for ax in axes:
        ax.set(xlim=(time[0], time[-1]))
    axes[2].set(xlabel="time (s)")
    return axes
