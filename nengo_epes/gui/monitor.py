"""Nodes that show what a learning rule knows: its trace, its TD error, its weights."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.builder.builder import Builder
from nengo.builder.operator import Operator
from nengo.connection import LearningRule
from nengo.exceptions import BuildError, SimulationError, ValidationError
from nengo.params import Parameter, StringParam

__all__ = ["watch"]


def __dir__():
    return __all__


def one_number(array):
    """Return the number that an array is, or the norm of several.

    Parameters
    ----------
    array : array
        Of any shape.

    Returns
    -------
    float
        The root of the sum of squares, if there are several entries.

    Examples
    --------
    >>> one_number(np.array([-2.0])), one_number(np.array([[3.0], [4.0]])).item()
    (-2.0, 5.0)
    """
    return array.item() if array.size == 1 else np.linalg.norm(array)


def watch(obj, attr, reduce=one_number, size_out=1, label=None):
    """Make a Node of what could be probed, for all that takes Nodes but no probes.

    Nengo GUI plots the values of Nodes, but nothing of a learning rule; a probe would
    record for as long as the page is open. A Node that watches shows it in a plot, and
    keeps nothing. In a script, where what is seen is to be kept, use `nengo.Probe`.

    Parameters
    ----------
    obj : nengo.Connection or nengo.connection.LearningRule
        A connection that learns by one rule, for its weights and for what the rule
        makes probeable; or one of several rules.
    attr : str
        What of it, by the names of `nengo.Probe`: ``"eligibility_trace"``,
        ``"td_error"``, ``"delta"``, ``"weights"`` and others.
    reduce : callable, optional
        ``reduce(array)`` returns ``size_out`` numbers. Default: the number itself
        where there is one, as in a TD error, else their norm.
    size_out : int, optional
        How many numbers.
    label : str, optional
        Of the Node; None for ``attr``.

    Returns
    -------
    nengo.Node
        What is connected to it gets in every step what a probe would have recorded at
        the end of the step before.

    Raises
    ------
    ValidationError
        If there is no such thing to be watched.
    BuildError
        When the model is built, if the connection is not in it, or ``reduce`` returns
        another number of values.

    Notes
    -----
    It is an operator and needs no hook of a simulator: it works after
    `nengo.Simulator.reset`, and is built anew with every simulator.

    Examples
    --------
    >>> from nengo_epes import EPES
    >>> with nengo.Network(seed=0) as net:
    ...     pre, post = nengo.Ensemble(20, dimensions=1), nengo.Node(size_in=2)
    ...     conn = nengo.Connection(
    ...         pre, post, transform=[[0], [0]], learning_rule_type=EPES()
    ...     )
    ...     drive = nengo.Connection(nengo.Node([1, 1]), conn.learning_rule)
    ...     trace = watch(conn, "eligibility_trace")
    ...     rows = watch(conn, "weights", lambda weights: weights.mean(axis=1), 2)
    ...     shown = nengo.Probe(trace)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.05)
    >>> bool(sim.data[shown][-1, 0] > 0)
    True
    """
    if not callable(reduce):
        raise ValidationError(f"must be a function (got {reduce!r})", attr="reduce")
    return nengo.Node(
        Watching(_owner(obj, attr), attr, reduce, size_out),
        label=attr if label is None else label,
    )


def _owner(obj, attr):
    """Return the connection or rule to which the signal belongs."""
    is_connection = isinstance(obj, nengo.Connection)
    if is_connection and attr == "weights":
        return obj
    rule = obj.learning_rule if is_connection else obj
    if not isinstance(rule, LearningRule):
        raise ValidationError(
            "must be a connection that learns by one rule, or one of several rules, "
            f"conn.learning_rule[key] (got {obj})",
            attr="obj",
        )
    if attr not in rule.probeable:
        raise ValidationError(
            f"{rule.learning_rule_type} has no {attr!r}; there are "
            f"{', '.join(rule.probeable)}, and the weights of the connection",
            attr="attr",
        )
    return rule


class Watching(nengo.Process):
    """The output of a Node that watches; `Look` does the work in a simulator.

    Parameters
    ----------
    obj : nengo.Connection or nengo.connection.LearningRule
        To which the signal belongs.
    attr, reduce, size_out
        See `watch`.
    """

    obj = Parameter("obj", readonly=True)
    attr = StringParam("attr", readonly=True)
    reduce = Parameter("reduce", readonly=True)

    def __init__(self, obj, attr, reduce, size_out):
        super().__init__(default_size_in=0, default_size_out=size_out)
        self.obj = obj
        self.attr = attr
        self.reduce = reduce

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Refuse to run where there are no signals to be read."""
        raise SimulationError(
            f"what watches {self.attr!r} of {self.obj} has to be built by "
            "nengo.Simulator; it is no process of its own, and takes no slider"
        )


def _found_after_the_build(name):
    """Make the property of an operator that finds its signals when they are asked for.

    Nengo builds Nodes before the connections that they may watch.
    """

    def get(self):
        self.find()
        return getattr(self, name)

    return property(get, lambda self, value: setattr(self, name, value))


class Look(Operator):
    """Reads a signal and puts out a few numbers, a step after what a probe sees.

    Parameters
    ----------
    model : nengo.builder.Model
        The model that is being built.
    watching : Watching
        What is read, and what becomes of it.
    output : Signal
        Where it is put, shape (size_out,).

    Notes
    -----
    What an operator updates at the end of a step (a trace) is read before that and
    shown at once. All else (weights, a port) is ready in the middle of a step, and
    shown in the next one.

    1. sets ``[output]`` if the signal is updated, else ``[]``
    2. incs ``[]``
    3. reads ``[signal]``
    4. updates ``[]`` if the signal is updated, else ``[output]``
    """

    sets, incs, reads, updates = map(
        _found_after_the_build, ("_sets", "_incs", "_reads", "_updates")
    )

    def __init__(self, model, watching, output):
        super().__init__(tag=f"{watching.attr} of {watching.obj}")
        self.watching = watching
        self._searched = model, output

    def find(self):
        """Find the signal, once all is built."""
        if self._searched is None:
            return
        (model, output), self._searched = self._searched, None
        owner, attr = self.watching.obj, self.watching.attr
        signal = model.sig.get(owner, {}).get(attr)
        if signal is None:
            raise BuildError(
                f"{owner} has no {attr!r} to be watched in this model; watch a "
                "connection of the same network"
            )
        if signal.sparse:
            raise BuildError(
                f"{owner} has sparse weights, which cannot be watched; use nengo.Probe"
            )
        self._check_size(np.zeros(signal.shape), output.size)
        others = (op for op in model.operators if not isinstance(op, Look))
        is_updated = any(sig.base is signal.base for op in others for sig in op.updates)
        self._sets = [output] if is_updated else []
        self._incs = []
        self._reads = [signal]
        self._updates = [] if is_updated else [output]

    def _check_size(self, array, size):
        numbers = self.watching.reduce(array)
        # numpy takes None for one number
        shown = 0 if numbers is None else np.size(numbers)
        if shown != size:
            raise BuildError(
                f"reduce makes {shown} numbers of {self.tag}, which has the shape "
                f"{array.shape}, and the Node has {size}; give watch(size_out=...) "
                "or a function that fit each other"
            )

    def make_step(self, signals, dt, rng):
        """Make the function of one step."""
        seen = signals[self.reads[0]].view()
        seen.setflags(write=False)
        output = signals[(self.sets + self.updates)[0]]
        reduce = self.watching.reduce

        def look():
            output[...] = reduce(seen)

        return look


@Builder.register(Watching)
def build_watching(model, watching, sig_in=None, sig_out=None, mode="set"):
    """Build the operator of a Node that watches."""
    # add_op would ask for the signals at once
    model.operators.append(Look(model, watching, sig_out))
