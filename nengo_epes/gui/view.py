"""A Node that shows an environment live in Nengo GUI."""

from __future__ import annotations

import math

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_epes.gui.drawings import (
    bars_svg,
    cart_pole_svg,
    mountain_car_svg,
    pendulum_svg,
)
from nengo_epes.rl.environment import Environment
from nengo_epes.rl.spaces import ObservationSpace, open_environment

# of simulated time: more pictures than this nobody sees
PERIOD = 0.025
# told in the caption
_COUNTS = ("episode", "step", "episode_return")


def _draw_cart_pole(seen, caption):
    return cart_pole_svg(seen[0], seen[2], caption)


def _draw_pendulum(seen, caption):
    return pendulum_svg(math.atan2(seen[1], seen[0]), caption)


def _draw_mountain_car(seen, caption):
    return mountain_car_svg(seen[0], 0.5, caption)


def _draw_continuous_mountain_car(seen, caption):
    return mountain_car_svg(seen[0], 0.45, caption)


# by the class of what is inside all wrappers
_DRAWINGS = {
    "CartPoleEnv": _draw_cart_pole,
    "PendulumEnv": _draw_pendulum,
    "MountainCarEnv": _draw_mountain_car,
    "Continuous_MountainCarEnv": _draw_continuous_mountain_car,
}


class View:
    """What the Node of `view` does: keep what it sees, and draw it when asked.

    Nengo GUI asks by the attribute ``_nengo_html_``, so that without it nothing is
    drawn.

    Parameters
    ----------
    environment : nengo_epes.rl.environment.Environment
        What is seen.

    Examples
    --------
    >>> from nengo_epes.rl.environment import Environment
    >>> show = View(Environment("Pendulum-v1"))
    >>> show(0.001, [1, 0, 0, 2, 7, -5.5])
    >>> "episode 2, step 7, return -5.5" in show._nengo_html_
    True
    """

    def __init__(self, environment):
        world = open_environment(environment.environment, environment.arguments)
        inner = world.unwrapped
        # a wrapper may show something else than what the drawing expects
        same = world.observation_space == inner.observation_space
        self._draw = _DRAWINGS.get(type(inner).__name__) if same else None
        self._space = ObservationSpace(
            world.observation_space, environment.observation_range
        )
        if world is not environment.environment:
            world.close()
        self._now, self._seen = 0.0, np.zeros(self._space.size + len(_COUNTS))
        self._drawn, self._svg = -math.inf, ""

    def __call__(self, t, x):
        """Keep the observation, and the three numbers of the caption."""
        self._now, self._seen = t, x

    @property
    def _nengo_html_(self):
        # earlier than the last: a simulation that began anew
        if not self._drawn <= self._now < self._drawn + PERIOD:
            self._svg, self._drawn = self._picture(), self._now
        return self._svg

    def _picture(self):
        scaled, counts = np.split(self._seen, [self._space.size])
        caption = "episode {:.0f}, step {:.0f}, return {:.5g}".format(*counts)
        if self._draw is None:
            return bars_svg(scaled, caption)
        return self._draw(self._space.unscale(scaled), caption)


def view(world, label="view"):
    """Add a Node that shows an environment in Nengo GUI; call it inside the network.

    In the GUI choose *HTML* in the menu of the Node. CartPole-v1, Pendulum-v1 and both
    mountain cars are drawn; of other environments the observation is shown as bars, as
    the network gets it. What is beyond ``observation_range`` is drawn at its edge.

    Parameters
    ----------
    world : nengo.Node
        With an `nengo_epes.rl.environment.Environment` as its output.
    label : str
        Of the Node.

    Returns
    -------
    nengo.Node
        Without output. Its function is a `View`.

    Raises
    ------
    ValidationError
        If the Node holds no environment.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes.rl.environment import Environment
    >>> with nengo.Network() as net:
    ...     world = nengo.Node(Environment("CartPole-v1"))
    ...     picture = view(world)
    >>> picture.size_in, picture.size_out
    (7, 0)
    """
    env = getattr(world, "output", None)
    if not isinstance(env, Environment):
        raise ValidationError(
            f"must be the Node that has an Environment as its output (got {world!r})",
            attr="world",
        )
    show = View(env)
    node = nengo.Node(show, size_in=len(show._seen), label=label)
    size = env.observation.stop
    nengo.Connection(world[env.observation], node[:size], synapse=None)
    for place, name in enumerate(_COUNTS, start=size):
        nengo.Connection(world[getattr(env, name)], node[place], synapse=None)
    return node
