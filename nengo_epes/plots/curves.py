"""Learning curves over seeds."""

from __future__ import annotations

import itertools

import numpy as np
from nengo.exceptions import ValidationError

from nengo_epes.plots.style import STYLES, new_axes


def learning_curves(curves, window=50, over="steps", ax=None):
    """Draw how the returns of episodes grow: median and quartiles over seeds.

    A curve is the mean return of the last episodes, of all until then at first. It
    reaches from where every seed has ended an episode to where the first seed has no
    more, because the median of those that are left would be another one.

    Parameters
    ----------
    curves : dict of str to sequence of dict
        By label, the runs of all seeds: each has ``returns`` and ``steps``, the steps
        of the environment until the end of every episode, those before included.
    window : int, optional
        Over how many episodes the mean is taken.
    over : {"steps", "episodes"}, optional
        The horizontal axis. Steps tell how much was seen; episodes get longer, or
        shorter, as an agent learns.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None for a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValidationError
        If there is no run, or returns and steps do not fit each other; if the window
        or the axis is none; if one seed ended before another ended an episode.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> runs = [{"returns": [1, 3, 5], "steps": [10, 20, 30]}] * 2
    >>> ax = learning_curves({"an agent": runs}, window=2, ax=Figure().subplots())
    >>> ax.lines[0].get_ydata().tolist()
    [1.0, 2.0, 4.0]
    """
    if over not in ("steps", "episodes"):
        raise ValidationError(f"is {over!r}: give 'steps' or 'episodes'", attr="over")
    if not (isinstance(window, int | np.integer) and window >= 1):
        raise ValidationError(
            f"is {window!r}: give a number of episodes, 1 or more", attr="window"
        )
    if not curves:
        raise ValidationError("is empty: give runs by their label", attr="curves")
    drawn = {
        label: _over_seeds(label, runs, window, over) for label, runs in curves.items()
    }
    ax = new_axes() if ax is None else ax
    for (label, (x, quartiles)), style in zip(
        drawn.items(), itertools.cycle(STYLES), strict=False
    ):
        low, median, high = quartiles
        ax.fill_between(x, low, high, color=style["color"], alpha=0.2, lw=0)
        ax.plot(x, median, **style, label=label)
    episodes = "episode" if window == 1 else f"{window} episodes"
    ax.set(
        xlabel="steps of the environment" if over == "steps" else "episodes",
        ylabel=f"mean return of the last {episodes}",
    )
    ax.legend(fontsize="small")
    return ax


def _over_seeds(label, runs, window, over):
    """Return x, (points,), and the quartiles of the runs, (3, points)."""
    checked = [_checked_run(label, run) for run in runs]
    if not checked:
        raise ValidationError(f"{label!r} has no runs", attr="curves")
    ends = [
        steps if over == "steps" else np.arange(1, len(steps) + 1)
        for _, steps in checked
    ]
    means = [_mean_of_last(returns, window) for returns, _ in checked]
    begin, end = max(x[0] for x in ends), min(x[-1] for x in ends)
    if begin > end:
        raise ValidationError(
            f"{label!r}: one run ended after {end} {over}, before another had ended an "
            f"episode (after {begin}); let them run longer",
            attr="curves",
        )
    x = np.unique(np.concatenate(ends))
    x = x[(begin <= x) & (x <= end)]
    # the mean of a run changes where one of its episodes ends
    rows = [
        mean[np.searchsorted(own, x, side="right") - 1]
        for own, mean in zip(ends, means, strict=True)
    ]
    return x, np.percentile(rows, [25, 50, 75], axis=0)


def _checked_run(label, run):
    try:
        returns, steps = (np.asarray(run[key], float) for key in ("returns", "steps"))
    except (KeyError, TypeError, ValueError) as error:
        raise ValidationError(
            f"{label!r} has the run {run!r}: give runs with numbers as their returns "
            "and steps, as from train",
            attr="curves",
        ) from error
    if returns.ndim != 1 or returns.shape != steps.shape or not len(returns):
        raise ValidationError(
            f"{label!r} has returns of the shape {returns.shape} and steps of "
            f"{steps.shape}: give one return an episode, and the steps until its end",
            attr="curves",
        )
    if (np.diff(steps) <= 0).any():
        raise ValidationError(
            f"{label!r} has steps that do not grow: give the steps until the end of "
            "each episode, those before included (np.cumsum(lengths))",
            attr="curves",
        )
    return returns, steps


def _mean_of_last(returns, window):
    """Return the mean of the last ``window`` returns, of all until then at first."""
    sums = np.cumsum(returns)
    before = np.concatenate([np.zeros(min(window, len(sums))), sums[:-window]])
    return (sums - before) / np.minimum(np.arange(1, len(sums) + 1), window)
