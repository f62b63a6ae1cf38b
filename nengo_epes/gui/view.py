"""A Node that shows an environment in Nengo GUI."""

from __future__ import annotations

import base64
import io
import math
import time

import nengo
from nengo.exceptions import ValidationError
from PIL import Image

from nengo_epes.rl.environment import Environment
from nengo_epes.rl.spaces import check_gymnasium

# seconds of wall time between two pictures
PERIOD = 0.05


class View:
    """Function of the Node of `view`: draws the environment when Nengo GUI asks.

    Nengo GUI reads the attribute ``_nengo_html_`` in every simulator step and sends it
    to the browser. A picture is drawn every 50 ms of wall time, or less often, so that
    drawing takes at most a tenth of the time. Without the GUI nothing is drawn.

    Parameters
    ----------
    env : gymnasium.Env
        Environment made with ``render_mode="rgb_array"``.

    Examples
    --------
    >>> import gymnasium
    >>> env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    >>> _ = env.reset(seed=0)
    >>> show = View(env)
    >>> show(0.001, [0])
    >>> "data:image/png;base64," in show._nengo_html_
    True
    """

    def __init__(self, env):
        self.env = env
        self._html, self._next = "", math.inf

    def __call__(self, t, x):
        """Allow pictures from the first simulator step on.

        The input makes the Node run after the environment's. Nengo calls it at t=0.
        """
        if t > 0 and self._next == math.inf:
            self._next = 0.0

    @property
    def _nengo_html_(self):
        start = time.monotonic()
        if start >= self._next:
            # 1 kB at half the size and 16 colours; the GUI sends it in every step
            picture = Image.fromarray(self.env.render()).reduce(2).quantize(16)
            png = io.BytesIO()
            picture.save(png, "png")
            data = base64.b64encode(png.getvalue()).decode()
            style = "width: 100%; height: 100%; object-fit: contain"
            self._html = f'<img style="{style}" src="data:image/png;base64,{data}">'
            now = time.monotonic()
            self._next = now + max(PERIOD, 9 * (now - start))
        return self._html


def view(env_node, label="view"):
    """Add a Node that shows ``env.render()`` in Nengo GUI; call it inside the network.

    Choose *HTML* in the menu of the Node.

    Parameters
    ----------
    env_node : nengo.Node
        Node with an `nengo_epes.rl.environment.Environment` as output, of an
        environment that has been made with ``render_mode="rgb_array"``.
    label : str
        Label of the Node.

    Returns
    -------
    nengo.Node
        Node with one input and no output.

    Raises
    ------
    ValidationError
        If the Node has no such environment.

    Examples
    --------
    >>> import gymnasium, nengo
    >>> from nengo_epes.rl.environment import Environment
    >>> env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    >>> with nengo.Network() as net:
    ...     env_node = nengo.Node(Environment(env))
    ...     picture = view(env_node)
    >>> picture.size_in, picture.size_out
    (1, 0)
    """
    process = getattr(env_node, "output", None)
    if not isinstance(process, Environment):
        raise ValidationError(
            f"must be a Node with an Environment as output (got {env_node!r})",
            attr="env_node",
        )
    # every simulator opens a name or a constructor anew, out of reach of this Node
    env = process.environment
    is_open = isinstance(env, check_gymnasium().Env)
    if not is_open or env.render_mode != "rgb_array":
        raise ValidationError(
            f"{env} cannot be shown; use Environment(gymnasium.make(..., "
            'render_mode="rgb_array"))',
            attr="env_node",
        )
    node = nengo.Node(View(env), size_in=1, label=label)
    nengo.Connection(env_node[process.step], node, synapse=None)
    return node
