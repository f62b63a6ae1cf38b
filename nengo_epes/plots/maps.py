"""Value and policy over a plane of states."""

from __future__ import annotations

import numpy as np
from nengo.builder.ensemble import get_activities
from nengo.exceptions import ValidationError

from nengo_epes.plots.style import new_axes


def value_map(simulator, critic, weights, x, y, labels, observe=None, ax=None):
    """Draw the value that a critic gives to the states of a plane.

    Parameters
    ----------
    simulator : nengo.Simulator
        In which the critic has been built; it may be closed.
    critic : nengo_epes.networks.Critic
        For example ``agent.critic``. Of spiking neurons, the rates at constant input
        are taken.
    weights : (1, neurons) array
        What it has learned, as ``learned_weights(simulator, agent)["critic"]`` of
        `nengo_epes.rl.evaluation`.
    x, y : (columns,), (rows,) array_like
        Coordinates of the states, ascending.
    labels : (str, str)
        What they are, with their units.
    observe : callable, optional
        ``observe(x, y)`` returns what the ensemble is shown in the states, (states,
        dimensions), for two arrays (states,); for a pendulum of angle x and angular
        velocity y, ``np.stack([np.cos(x), np.sin(x), y / 8], axis=1)``. None: the
        coordinates themselves.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None for a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValidationError
        If weights, coordinates or observations are of another shape.

    Examples
    --------
    >>> import nengo
    >>> from matplotlib.figure import Figure
    >>> from nengo_epes.networks import Critic, random_features
    >>> with nengo.Network(seed=0) as net:
    ...     critic = Critic(random_features(20, dimensions=2))
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     learned = sim.signals[sim.model.sig[critic.learned]["weights"]].copy()
    >>> position, velocity = np.linspace(-1, 1, 5), np.linspace(-1, 1, 3)
    >>> labels = ("position (m)", "velocity (m/s)")
    >>> ax = value_map(
    ...     sim, critic, learned, position, velocity, labels, ax=Figure().subplots()
    ... )
    >>> ax.collections[0].get_array().shape
    (3, 5)
    """
    (values,) = _decoded(simulator, critic, weights, x, y, observe)
    ax = new_axes() if ax is None else ax
    _draw_map(ax, x, y, values, labels, "value")
    return ax


def policy_map(simulator, actor, weights, x, y, labels, observe=None, axes=None):
    """Draw what an actor does in the states of a plane, a panel for every action.

    Of a softmax policy it is the probability of the action, of a Gaussian policy the
    action's mean, within the bounds of the policy.

    Parameters
    ----------
    simulator, x, y, labels, observe
        See `value_map`.
    actor : nengo_epes.networks.Actor
        For example ``agent.actor``.
    weights : (outputs, neurons) array
        What it has learned, as ``learned_weights(simulator, agent)["actor"]``.
    axes : sequence of matplotlib.axes.Axes, optional
        Where to draw, one for each action; None for a new figure.

    Returns
    -------
    array of matplotlib.axes.Axes

    Raises
    ------
    ValidationError
        See `value_map`; or if there are fewer axes than actions, or more.

    Examples
    --------
    >>> import nengo
    >>> from matplotlib.figure import Figure
    >>> from nengo_epes.networks import Actor, SoftmaxPolicy, random_features
    >>> with nengo.Network(seed=0) as net:
    ...     policy = SoftmaxPolicy(3, trigger=True)
    ...     actor = Actor(random_features(20, dimensions=2), policy)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     learned = sim.signals[sim.model.sig[actor.learned]["weights"]].copy()
    >>> position, velocity = np.linspace(-1, 1, 5), np.linspace(-1, 1, 3)
    >>> labels = ("position (m)", "velocity (m/s)")
    >>> panels = Figure().subplots(1, 3)
    >>> axes = policy_map(
    ...     sim, actor, learned, position, velocity, labels, axes=panels
    ... )
    >>> [ax.collections[0].get_array().shape for ax in axes]
    [(3, 5), (3, 5), (3, 5)]
    """
    decoded = _decoded(simulator, actor, weights, x, y, observe)
    actions = np.moveaxis(actor.policy.mean_action(np.moveaxis(decoded, 0, -1)), -1, 0)
    axes = new_axes(1, len(actions)) if axes is None else axes
    axes = np.ravel(axes)
    if len(axes) != len(actions):
        raise ValidationError(
            f"got {len(axes)} of them for {len(actions)} actions; give one for each",
            attr="axes",
        )
    what = actor.policy.mean_action_is
    limits = (0, 1) if what == "probability" else None
    for k, (ax, action) in enumerate(zip(axes, actions, strict=True)):
        _draw_map(ax, x, y, action, labels, f"{what} of action {k}", limits)
    return axes


def _decoded(simulator, part, weights, x, y, observe):
    """Return what weights decode from the states, shape (outputs, rows, columns)."""
    x, y = _coordinates("x", x), _coordinates("y", y)
    states = [grid.ravel() for grid in np.meshgrid(x, y)]
    seen = np.stack(states, axis=1) if observe is None else np.asarray(observe(*states))
    wanted = (len(x) * len(y), part.state.dimensions)
    if seen.shape != wanted:
        raise ValidationError(
            f"the observations have the shape {seen.shape}, and the ensemble needs "
            f"{wanted}, (states, dimensions)",
            attr="observe",
        )
    weights = np.asarray(weights)
    wanted = (part.learned.size_out, part.state.n_neurons)
    if weights.shape != wanted:
        raise ValidationError(
            f"have the shape {weights.shape}, and {part} learns {wanted}, (outputs, "
            "neurons); take learned_weights of the agent that was built so",
            attr="weights",
        )
    activities = get_activities(simulator.data[part.state], part.state, seen)
    return (weights @ activities.T).reshape(-1, len(y), len(x))


def _coordinates(name, values):
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) < 2 or not (np.diff(values) > 0).all():
        raise ValidationError("give two coordinates or more, ascending", attr=name)
    return values


def _draw_map(ax, x, y, values, labels, what, limits=None):
    low, high = (None, None) if limits is None else limits
    # from dark to light, for every eye and in grey
    mesh = ax.pcolormesh(
        x, y, values, shading="nearest", cmap="cividis", vmin=low, vmax=high
    )
    ax.set(xlabel=labels[0], ylabel=labels[1])
    ax.figure.colorbar(mesh, ax=ax, label=what)
