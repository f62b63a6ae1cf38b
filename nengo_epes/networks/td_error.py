"""The temporal-difference (TD) error: for each decision, or in continuous time."""

from __future__ import annotations

import math
import warnings

import nengo
import numpy as np
from nengo.builder.builder import Builder
from nengo.builder.processes import build_process
from nengo.exceptions import NengoWarning, ValidationError
from nengo.params import NumberParam


class DiscreteTDError(nengo.Process):
    """The exact TD error, see `TDError`: reward, terminated, V, learn, decide."""

    discount = NumberParam("discount", low=0, high=1)

    def __init__(self, discount):
        super().__init__(default_size_in=5, default_size_out=1)
        self.discount = discount

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        """Make the value of the state in which the last decision was made."""
        return {"value": np.zeros(1, dtype=dtype)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one step."""
        last_value, discount = state["value"], self.discount

        def step_td_error(t, x):
            reward, terminated, value, learns, decides = x
            error = 0.0
            if learns > 0.5:
                follows = 0.0 if terminated > 0.5 else discount * value
                error = (reward + follows - last_value[0]) / dt
            if decides > 0.5:
                last_value[0] = value
            return np.array([error])

        return step_td_error


@Builder.register(DiscreteTDError)
def build_discrete_td_error(model, process, sig_in=None, sig_out=None, mode="set"):
    """Build the process, and warn of networks that would not learn."""
    if model.toplevel is not None:
        warn_of_unconnected(model.toplevel, process)
    return build_process(model, process, sig_in, sig_out, mode)


def warn_of_unconnected(toplevel, process):
    """Warn if nothing is connected to a needed input of a process's network.

    Parameters
    ----------
    toplevel : nengo.Network
        The network that is being built.
    process : nengo.Process
        The process; its network has a dict ``needed`` of names and inputs: Nodes, or
        indices of the Node of the process.
    """
    connections = toplevel.all_connections
    for network in toplevel.all_networks:
        (node, *_) = [x for x in network.nodes if x.output is process] or [None]
        if node is None:
            continue
        missing = [
            name
            for name, needed in getattr(network, "needed", {}).items()
            if not any(_reaches(conn, node, needed) for conn in connections)
        ]
        if missing:
            warnings.warn(
                f"{network} will not learn what it should: nothing is connected to its "
                f"{' and '.join(missing)}",
                NengoWarning,
                stacklevel=2,
            )


def _reaches(conn, node, needed):
    if isinstance(needed, nengo.Node):
        return conn.post_obj is needed
    indices = np.arange(node.size_in)[conn.post_slice]  # a slice, or a list
    return conn.post_obj is node and needed in indices


class ContinuousTDError(nengo.Process):
    """The TD error in continuous time, see `TDError`: reward, V, terminated, reset."""

    tau = NumberParam("tau", low=0, low_open=True)
    smoothing = NumberParam("smoothing", low=0)

    def __init__(self, tau, smoothing):
        super().__init__(default_size_in=4, default_size_out=1)
        self.tau = tau
        self.smoothing = smoothing

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        """Make the filtered value, and a flag that it exists."""
        return {
            "filtered": np.zeros(1, dtype=dtype),
            "begun": np.zeros(1, dtype=np.int64),
        }

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one step."""
        filtered, begun = state["filtered"], state["begun"]
        keep = math.exp(-dt / self.smoothing) if self.smoothing else 0.0
        tau = self.tau

        def step_td_error(t, x):
            reward, value, terminated, resets = x
            value = 0.0 if terminated > 0.5 else value
            if resets > 0.5 or not begun[0]:
                filtered[0], begun[0] = value, 1
            # for every keep, a ramp gives its slope, and a jump a pulse of its height
            slope = (1.0 - keep) * (value - filtered[0]) / dt
            filtered[0] = keep * filtered[0] + (1.0 - keep) * value
            return np.array([reward - value / tau + slope])

        return step_td_error


class TDError(nengo.Network):
    r"""The TD error, from which critic and actor learn.

    Exact, once for each decision, if no ``tau`` is given:

    .. math:: \delta_k = r_k + \gamma V(s_k) - V(s_{k-1})

    with the reward :math:`r_k` of the transition from :math:`s_{k-1}` to :math:`s_k`.
    :math:`V(s_k)` counts as 0 if the episode has terminated. The output is the pulse
    :math:`\delta_k / dt` in simulator steps in which ``learn`` is above 0.5, and 0 in
    all others. The trace and the weights of `Critic` then equal textbook TD(lambda).

    Continuous, at every moment (Doya 2000), with a time constant ``tau``:

    .. math:: \delta(t) = r(t) - V(t) / \tau + dV(t) / dt

    where rewards are rates, per second. Use it for environments in continuous time, or
    brain models without a clock: it needs no stored value and no decision step.

    Parameters
    ----------
    discount : float, optional
        Discount :math:`\gamma` of the exact TD error.
    tau : float, optional
        Time constant of discounting in seconds, :math:`-D / \ln\gamma` with a discount
        of :math:`\gamma` in D seconds; None for the exact TD error.
    smoothing : float, optional
        Time constant in seconds of the Lowpass before the derivative dV/dt; 0 for the
        difference of two simulator steps. Only for the continuous TD error.
    label, seed, add_to_container : optional
        See `nengo.Network`.

    Raises
    ------
    ValidationError
        If ``smoothing`` is given without ``tau``.

    Warns
    -----
    NengoWarning
        When the exact TD error is built, if nothing is connected to ``learn`` or
        ``decide``.

    Notes
    -----
    Nodes of one dimension. Exact: ``reward``, ``terminated``, ``value``, ``learn``,
    ``decide`` and ``output``. Continuous: ``reward``, ``value``,
    ``terminated`` (above 0.5: V counts as 0, and so falls to it), ``reset`` (above 0.5:
    V may jump, because another episode starts), and ``output``.

    References
    ----------
    .. [1] Sutton, R. S., & Barto, A. G. (2018). Reinforcement Learning, section 6.1.
    .. [2] Doya, K. (2000). Reinforcement learning in continuous time and space. Neural
       Computation, 12(1), 219-245.

    Examples
    --------
    A value that grows by 3 a second, where no reward is expected for half a second:

    >>> import nengo
    >>> from nengo_epes.networks import TDError
    >>> with nengo.Network() as net:
    ...     td = TDError(tau=0.5)
    ...     ramp = nengo.Connection(
    ...         nengo.Node(lambda t: 3 * t), td.value, synapse=None
    ...     )
    ...     probe = nengo.Probe(td.output)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.5)
    >>> print(sim.data[probe][-1].round(9))  # 3 - 3 * 0.5 / 0.5
    [0.]
    """

    def __init__(
        self,
        discount=0.99,
        tau=None,
        smoothing=0.0,
        label=None,
        seed=None,
        add_to_container=None,
    ):
        super().__init__(label=label, seed=seed, add_to_container=add_to_container)
        if tau is None and smoothing:
            raise ValidationError(
                "smoothing: needs tau, because only the continuous TD error has a "
                f"derivative (got {smoothing:g}); give tau=SECONDS, or omit smoothing",
                attr="smoothing",
                obj=self,
            )
        if tau is None:
            process = DiscreteTDError(discount)
            names = ("reward", "terminated", "value", "learn", "decide")
        else:
            process = ContinuousTDError(tau, smoothing)
            names = ("reward", "value", "terminated", "reset")
        with self:
            error = nengo.Node(process, label="TD error")
            for i, name in enumerate(names):
                node = nengo.Node(size_in=1, label=name)
                nengo.Connection(node, error[i], synapse=None)
                setattr(self, name, node)
            if tau is None:
                self.needed = {"learn": self.learn, "decide": self.decide}
            self.output = nengo.Node(size_in=1, label="output")
            nengo.Connection(error, self.output, synapse=None)
