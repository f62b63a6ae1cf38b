"""Functions that the builders of learning rules share: port, activities, encoders.

They are public, for learning rules of your own.
"""

from __future__ import annotations

import warnings
import weakref

import numpy as np
from nengo.builder.connection import slice_signal
from nengo.builder.operator import Copy, Reset
from nengo.builder.signal import Signal
from nengo.connection import LearningRule
from nengo.ensemble import Ensemble, Neurons
from nengo.exceptions import BuildError, NengoWarning
from nengo.utils.numpy import array_offset, is_iterable

_CONNECTIONS = weakref.WeakKeyDictionary()


def build_port(model, rule, inputs):
    """Make the input signal of a learning rule.

    Every rule with a ``size_in`` above 0 needs it, once. Inputs add up.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    rule : nengo.connection.LearningRule
        The rule on its connection.
    inputs : dict of str to slice
        Slices of the port that the rule needs for learning, by name. A warning names
        each slice to which nothing is connected.

    Returns
    -------
    Signal
        Shape ``(rule.size_in,)``; 0 for inputs to which nothing is connected.

    Raises
    ------
    BuildError
        If an equal rule is on the same connection, or the rule has weight_bounds and
        is not alone there.

    Examples
    --------
    >>> import nengo
    >>> with nengo.Network() as net:
    ...     pre, post = nengo.Ensemble(8, 1), nengo.Node(size_in=1)
    ...     conn = nengo.Connection(pre, post, learning_rule_type=nengo.PES())
    >>> model = nengo.builder.Model()
    >>> build_port(model, conn.learning_rule, {"error": slice(0, 1)}).shape
    (1,)
    """
    _check_other_rules(rule)
    port = Signal(shape=(int(rule.size_in),), name=f"{rule.learning_rule_type}.port")
    model.add_op(Reset(port))
    model.sig[rule]["in"] = port
    arrives = np.zeros(rule.size_in, dtype=bool)
    for conn in connections_to(model, rule):
        arrives[conn.post_slice] = True
    missing = [name for name, where in inputs.items() if not arrives[where].any()]
    if missing and model.toplevel is not None:
        warnings.warn(
            f"{rule} will never learn: nothing is connected to "
            f"{' and '.join(missing)}"
            + ("" if arrives.any() else "; connect to conn.learning_rule, not to conn"),
            NengoWarning,
            stacklevel=2,
        )
    return port


def _check_other_rules(rule):
    """Refuse combinations of rules on one connection that contradict each other."""
    conn, rule_type = rule.connection, rule.learning_rule_type
    rules = conn.learning_rule_type
    if not is_iterable(rules):
        return
    rules = list(rules.values() if isinstance(rules, dict) else rules)
    if sum(other == rule_type for other in rules) > 1:
        raise BuildError(
            f"{conn}: two equal rules {rule_type} on one connection are one rule to "
            "Nengo, and its inputs add up; use one rule, or change a parameter of one"
        )
    bounds = getattr(rule_type, "weight_bounds", None)
    if bounds is not None and len(rules) > 1:
        raise BuildError(
            f"{conn}: weight_bounds={bounds} cannot be guaranteed next to another "
            "rule, because this rule does not know the other changes; use "
            "weight_bounds=None, or one rule"
        )


def connections_to(model, rule):
    """List the connections of the whole network that lead to a learning rule.

    Parameters
    ----------
    model : nengo.builder.Model
        A model that is being built.
    rule : nengo.connection.LearningRule
        The rule on its connection.

    Returns
    -------
    list of nengo.Connection
        Empty if the model is built by hand, without a network.
    """
    if model.toplevel is None:
        return []
    if model not in _CONNECTIONS:  # one search a model, not one a rule
        _CONNECTIONS[model] = index = {}
        for conn in model.toplevel.all_connections:
            if isinstance(conn.post_obj, LearningRule):
                index.setdefault(conn.post_obj.connection, []).append(conn)
    to_connection = _CONNECTIONS[model].get(rule.connection, [])
    return [conn for conn in to_connection if conn.post_obj == rule]


def build_activities(model, conn, synapse):
    """Filter the presynaptic activities of a connection, as `nengo.PES` does.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    conn : nengo.Connection
        A connection from an Ensemble or from Neurons, which may be sliced.
    synapse : nengo.synapses.Synapse or None
        The filter; None for none.

    Returns
    -------
    Signal
        Shape ``(n_pre,)``, in hertz: one activity for each column of the weights.

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
    # rules with the same filter share it: filtering costs as much as a rule
    filtered = model.sig[output, synapse]
    if "out" not in filtered:
        filtered["out"] = model.build(synapse, output)
    return filtered["out"]


def learned_shape(model, conn):
    """Return the shape ``(n_post, n_pre)`` of a connection's weights.

    Parameters
    ----------
    model : nengo.builder.Model
        The model that the connection has been built into.
    conn : nengo.Connection
        The connection that learns.

    Returns
    -------
    tuple of int
        Post dimensions (of decoders) or post neurons, then pre neurons.

    Raises
    ------
    BuildError
        If the weights are not 2-D.

    Examples
    --------
    >>> import nengo
    >>> with nengo.Network() as net:
    ...     conn = nengo.Connection(nengo.Ensemble(8, 2), nengo.Node(size_in=2))
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> learned_shape(model, conn)
    (2, 8)
    """
    shape = model.sig[conn]["weights"].shape
    if len(shape) != 2:
        raise BuildError(
            f"{conn}: its weights have the shape {shape}, and learning needs a matrix "
            "(n_post, n_pre); give the connection a full transform, for "
            f"example transform=np.zeros(({conn.size_out}, {conn.size_mid}))"
        )
    return shape


def post_encoders(model, conn):
    """Return the encoders of the post neurons of a connection.

    Parameters
    ----------
    model : nengo.builder.Model
        The model that the postsynaptic ensemble has been built into.
    conn : nengo.Connection
        A connection to Neurons, or to an Ensemble by a solver with ``weights=True``.

    Returns
    -------
    Signal or None
        Shape (n_post, dimensions), scaled by gain and radius, as `nengo.PES` uses
        them; None for a decoded connection, which has no post neurons.

    Examples
    --------
    >>> import nengo
    >>> with nengo.Network() as net:
    ...     pre, post = nengo.Ensemble(8, 1), nengo.Ensemble(6, 2)
    ...     conn = nengo.Connection(
    ...         pre.neurons, post.neurons[[0, 5, 2]], transform=[[0] * 8] * 3
    ...     )
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> post_encoders(model, conn).shape
    (3, 2)
    """
    if not conn._to_neurons:
        return None
    if isinstance(conn.post_obj, Ensemble):
        encoders = model.sig[conn.post_obj]["encoders"]
        return take_part(model, encoders, (slice(None), conn.post_slice))
    return take_part(
        model, model.sig[conn.post_obj.ensemble]["encoders"], conn.post_slice
    )


def take_part(model, signal, index):
    """Return a part of a signal: a view if possible, else a copy made in every step.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    signal : Signal
        The whole.
    index : slice, list of int, or tuple of them
        The part.

    Returns
    -------
    Signal
    """
    parts = index if isinstance(index, tuple) else (index,)
    if all(isinstance(part, slice) for part in parts):
        return signal[index]
    copied = Signal(signal.initial_value[index], name=f"{signal.name}.taken")
    model.add_op(Copy(signal, copied, src_slice=index))
    return copied


def repeat_rows(signal, n_rows):
    """Return a view of a signal that repeats its one row.

    Parameters
    ----------
    signal : Signal
        Shape (1,) or (1, n).
    n_rows : int
        Number of rows.

    Returns
    -------
    Signal
        Shape (n_rows,) or (n_rows, n). It is current whenever the signal is, and
        writing to one row writes to all.

    Examples
    --------
    >>> repeat_rows(Signal(shape=(1, 5)), 3).shape
    (3, 5)
    """
    value = signal.initial_value
    owner = value if value.base is None else value.base
    repeated = np.ndarray(
        (n_rows, *value.shape[1:]),
        value.dtype,
        buffer=owner,
        offset=array_offset(value),
        strides=(0, *value.strides[1:]),
    )
    base, offset = signal.base, signal.offset
    return Signal(repeated, name=f"{signal.name}.repeated", base=base, offset=offset)
