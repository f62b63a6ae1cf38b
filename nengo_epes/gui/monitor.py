"""A Node that shows a signal of a connection or of a learning rule."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.builder import Builder, Operator
from nengo.connection import LearningRule
from nengo.exceptions import BuildError, ValidationError

__all__ = ["monitor"]


def number_or_norm(array):
    """Return the entry of an array with one entry, else its norm.

    Parameters
    ----------
    array : array
        Array of any shape.

    Returns
    -------
    float

    Examples
    --------
    >>> number_or_norm(np.array([-2.0])), number_or_norm(np.array([[3], [4]])).item()
    (-2.0, 5.0)
    """
    return array.item() if array.size == 1 else np.linalg.norm(array)


def monitor(obj, attr, reduce=number_or_norm, size_out=1, label=None):
    """Make a Node that shows a signal which only a probe could record.

    Nengo GUI plots the output of Nodes, but no signal of a learning rule. A probe would
    fill the memory while the page is open. In a script use `nengo.Probe`.

    Parameters
    ----------
    obj : nengo.Connection or nengo.connection.LearningRule
        Connection that learns by one rule, or a rule.
    attr : str
        Name of the signal: ``"weights"`` of a connection, or what the rule makes
        probeable, such as ``"eligibility_trace"``, ``"td_error"`` and ``"delta"``.
    reduce : callable, optional
        ``reduce(array)`` returns ``size_out`` numbers; the array is read-only. Default:
        the number itself if there is one, as in a TD error, else the norm.
    size_out : int, optional
        Number of outputs.
    label : str, optional
        Label of the Node; None for ``attr``.

    Returns
    -------
    nengo.Node
        Connections from this Node carry the reduced value that a probe recorded one
        simulator step earlier.

    Raises
    ------
    ValidationError
        If ``obj`` has no learning rule, or the rule has no such signal.
    BuildError
        When a simulator is made: if ``obj`` is not in the model, or ``reduce`` returns
        another number of values.

    Examples
    --------
    >>> from nengo_epes import EPES
    >>> with nengo.Network(seed=0) as net:
    ...     pre, post = nengo.Ensemble(20, dimensions=1), nengo.Node(size_in=2)
    ...     conn = nengo.Connection(
    ...         pre, post, transform=[[0], [0]], learning_rule_type=EPES()
    ...     )
    ...     drive = nengo.Connection(nengo.Node([1, 1]), conn.learning_rule)
    ...     trace = monitor(conn, "eligibility_trace")
    ...     rows = monitor(conn, "weights", lambda weights: weights.mean(axis=1), 2)
    ...     shown = nengo.Probe(trace)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.05)
    >>> bool(sim.data[shown][-1, 0] > 0)
    True
    """
    is_of_rule = isinstance(obj, nengo.Connection) and attr != "weights"
    owner = obj.learning_rule if is_of_rule else obj
    if not isinstance(owner, LearningRule | nengo.Connection):
        raise ValidationError(
            f"must be a connection that learns by one rule, or a rule (got {obj})",
            attr="obj",
        )
    if attr not in owner.probeable:
        raise ValidationError(
            f"{owner.learning_rule_type} has no {attr!r}; use one of "
            f"{', '.join(owner.probeable)}, or weights of the connection",
            attr="attr",
        )
    process = Monitor(owner, attr, reduce, size_out)
    return nengo.Node(process, label=attr if label is None else label)


class Monitor(nengo.Process):
    """Output of the Node of `monitor`; `ReadSignal` does its work in a simulator.

    Parameters
    ----------
    obj, attr, reduce, size_out
        See `monitor`.
    """

    def __init__(self, obj, attr, reduce, size_out):
        super().__init__(default_size_in=0, default_size_out=size_out)
        self.obj, self.attr, self.reduce = obj, attr, reduce


def _found_after_the_build(name):
    """Make a property of an operator that finds the signals first.

    Nengo builds Nodes before connections, and asks for signals after both.
    """

    def get(self):
        if self._reads is None:
            self.find()
        return getattr(self, name)

    return property(get, lambda self, value: setattr(self, name, value))


class ReadSignal(Operator):
    """Reads a signal and outputs a few numbers.

    Parameters
    ----------
    model : nengo.builder.Model
        Model that is being built.
    monitor : Monitor
        Process that names the signal.
    output : Signal
        Output of the Node, shape (size_out,).

    Notes
    -----
    Another operator may update the signal at the end of a step, as rules update their
    traces. The signal is then read before that and shown at once; else it is read when
    it is complete and shown in the next step. Both is what a probe recorded one step
    earlier.

    1. sets ``[output]`` if the signal is updated, else ``[]``
    2. incs ``[]``
    3. reads ``[signal]``
    4. updates ``[]`` if the signal is updated, else ``[output]``
    """

    sets, incs, reads, updates = map(
        _found_after_the_build, ("_sets", "_incs", "_reads", "_updates")
    )

    def __init__(self, model, monitor, output):
        super().__init__(tag=f"{monitor.attr} of {monitor.obj}")
        self.model, self.monitor, self.output = model, monitor, output

    def find(self):
        """Find the signal, and whether it is updated."""
        signal = self.model.sig.get(self.monitor.obj, {}).get(self.monitor.attr)
        if signal is None:
            raise BuildError(f"{self.tag}: is not in this model; monitor it in its own")
        size = np.size(self.monitor.reduce(np.zeros(signal.shape)))
        if size != self.output.size:
            raise BuildError(
                f"{self.tag}: reduce returns {size} numbers for the shape "
                f"{signal.shape}, and size_out is {self.output.size}"
            )
        others = (op for op in self.model.operators if not isinstance(op, ReadSignal))
        is_updated = any(x.base is signal.base for op in others for x in op.updates)
        self._sets = [self.output] if is_updated else []
        self._incs = []
        self._reads = [signal]
        self._updates = [] if is_updated else [self.output]

    def make_step(self, signals, dt, rng):
        """Make the function of one step."""
        signal = signals[self.reads[0]].view()
        signal.flags.writeable = False
        output = signals[(self.sets + self.updates)[0]]
        reduce = self.monitor.reduce

        def read_signal():
            output[...] = reduce(signal)

        return read_signal


@Builder.register(Monitor)
def build_monitor(model, monitor, sig_in=None, sig_out=None, mode="set"):
    """Build the operator of a Node that shows a signal."""
    # add_op may ask for the signals at once
    model.operators.append(ReadSignal(model, monitor, sig_out))
