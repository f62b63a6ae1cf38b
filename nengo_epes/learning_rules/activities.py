"""The presynaptic activities that a learning rule sees, filtered."""

from __future__ import annotations

import numpy as np
from nengo.builder.connection import slice_signal
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.ensemble import Neurons
from nengo.synapses import Lowpass

from nengo_epes.updates import subnormal_guard, trace_decay


def build_activities(model, conn, synapse):
    """Filter the presynaptic activities of a connection, as `nengo.PES` does.

    Those of the neurons of the columns: where the connection takes a part of the
    neurons, only theirs. For those of the rows there is `build_post_activities`.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    conn : nengo.Connection
        From an Ensemble or Neurons, which may be sliced.
    synapse : nengo.synapses.Synapse or None
        The filter; None for none.

    Returns
    -------
    Signal
        Shape ``(n_pre,)``, in hertz, one entry a column of the weights.

    Examples
    --------
    >>> import nengo
    >>> with nengo.Network() as net:
    ...     pre, post = nengo.Ensemble(8, 1), nengo.Node(size_in=1)
    ...     conn = nengo.Connection(pre.neurons[2:7], post, transform=[[0] * 5])
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> build_activities(model, conn, nengo.Lowpass(0.01)).shape
    (5,)
    """
    output = model.sig[conn.pre_obj]["out"]
    if isinstance(conn.pre_obj, Neurons):
        output = slice_signal(model, output, conn.pre_slice)
    if synapse is None:
        return output
    if not is_exponential(synapse) or synapse.tau < model.dt:
        return model.build(synapse, output)
    activities = Signal(shape=output.shape, name=f"{conn}.activities")
    reads = output, model.step
    model.add_op(LowpassSim(synapse.tau, reads, activities, tag=str(conn)))
    return activities


def is_exponential(synapse):
    """Whether a synapse decays by exp(-dt / tau) in a step, with a gain of 1."""
    # subclasses may do anything; other discretisations differ from exp(-dt / tau)
    return type(synapse) is Lowpass and synapse.analog and synapse.method == "zoh"


class LowpassSim(Operator):
    """Filters activities as a `nengo.Lowpass`, without the arrays in between.

    Parameters
    ----------
    tau : float
        Time constant in seconds, not below ``dt``.
    reads : tuple of Signal
        What is filtered, and the number of the step.
    activities : Signal
        The result, which is the state of the filter, too.
    tag : str, optional
        A label for debugging.

    Notes
    -----
    1. sets ``[activities]``
    2. incs ``[]``
    3. reads ``[output, step]``
    4. updates ``[]``
    """

    def __init__(self, tau, reads, activities, tag=None):
        super().__init__(tag=tag)
        self.tau = tau
        self.sets = [activities]
        self.incs = []
        self.reads = list(reads)
        self.updates = []

    def make_step(self, signals, dt, rng):
        """Make the function of one step."""
        output, step = (signals[sig] for sig in self.reads)
        activities = signals[self.sets[0]]
        # arrays of their type are multiplied quicker than floats
        decay = np.array(trace_decay(self.tau, dt), activities.dtype)
        gain = np.array(1.0 - trace_decay(self.tau, dt), activities.dtype)
        scratch = np.empty_like(activities)
        smallest, period = subnormal_guard(float(decay), activities.dtype)

        def step_lowpass():
            np.multiply(output, gain, scratch)
            np.multiply(activities, decay, activities)
            np.add(activities, scratch, activities)
            if step.item() % period == 0:
                activities[np.abs(activities) < smallest] = 0.0

        return step_lowpass
