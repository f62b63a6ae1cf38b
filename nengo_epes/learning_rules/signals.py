"""What the builders of learning rules share: input port, activities, encoders.

A rule of your own builds on the same pieces: all of them are in the reference.
"""

from __future__ import annotations

import warnings

import numpy as np
from nengo.builder.operator import Reset
from nengo.builder.signal import Signal
from nengo.connection import LearningRule
from nengo.ensemble import Ensemble
from nengo.exceptions import (
    BuildError,
    NengoWarning,
    SimulationError,
)
from nengo.utils.numpy import is_iterable


def build_port(model, rule, inputs):
    """Make the signal at which connections to a learning rule arrive.

    Every rule with a ``size_in`` above 0 needs it, once. What arrives adds up.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    rule : nengo.connection.LearningRule
        The rule whose port it is.
    inputs : dict of str to slice
        The parts of the port without which the rule never learns, by name; a
        warning names those to which nothing is connected.

    Returns
    -------
    Signal
        Shape ``(rule.size_in,)``; zero where nothing arrives.

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
    _check_beside_others(rule)
    port = Signal(shape=(rule.size_in,), name=f"{rule.learning_rule_type}.port")
    model.add_op(Reset(port))
    model.sig[rule]["in"] = port
    missing = _unconnected(model, rule, inputs)
    if missing:
        warnings.warn(
            f"{rule} will never learn: nothing is connected to its "
            f"{' and '.join(missing)}; connect to conn.learning_rule (not to conn)",
            NengoWarning,
            stacklevel=2,
        )
    return port


def _check_beside_others(rule):
    """Refuse rules on one connection that would do what neither says."""
    conn, rule_type = rule.connection, rule.learning_rule_type
    rules = conn.learning_rule_type
    if not is_iterable(rules):
        return
    rules = list(rules.values() if isinstance(rules, dict) else rules)
    if sum(other == rule_type for other in rules) > 1:
        raise BuildError(
            f"{conn}: two equal rules {rule_type} on one connection are one rule to "
            "Nengo, whose inputs add up; use one, or give one another parameter"
        )
    bounds = getattr(rule_type, "weight_bounds", None)
    if bounds is not None and len(rules) > 1:
        raise BuildError(
            f"{conn}: weight_bounds={bounds} cannot be kept beside "
            "another rule, of whose changes this one does not know; use weight_bounds="
            "None, or one rule"
        )


def _unconnected(model, rule, inputs):
    """Name the inputs to which no connection of the whole network leads."""
    if model.toplevel is None:  # built by hand, without a network to look through
        return []
    arrives = np.zeros(rule.size_in, dtype=bool)
    for conn in model.toplevel.all_connections:
        if isinstance(conn.post_obj, LearningRule) and conn.post_obj == rule:
            arrives[conn.post_slice] = True
    return [name for name, where in inputs.items() if not arrives[where].any()]


def learned_shape(model, conn):
    """Return the shape ``(rows, n_pre)`` of a connection's weights.

    Parameters
    ----------
    model : nengo.builder.Model
        The model that the connection has been built into.
    conn : nengo.Connection
        The connection that learns.

    Returns
    -------
    tuple of int
        Rows, then columns. The rows are dimensions where decoders are learned, and
        neurons where weights are.

    Raises
    ------
    BuildError
        If the weights are no matrix.

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
            "(rows, presynaptic neurons); give the connection a full transform, for "
            f"example transform=np.zeros(({conn.size_out}, {conn.size_mid}))"
        )
    return shape


def sliced_encoders(model, conn):
    """Return the encoders at the rows of a connection to neurons.

    Parameters
    ----------
    model : nengo.builder.Model
        The model that the postsynaptic ensemble has been built into.
    conn : nengo.Connection
        To Neurons, or to an Ensemble by a solver with ``weights=True``.

    Returns
    -------
    Signal or None
        Shape (rows, dimensions), with gain and radius folded in, as `nengo.PES` uses
        them; None on a decoded connection, which has no neurons at its rows.

    Raises
    ------
    BuildError
        If the postsynaptic side is indexed by a list.

    Examples
    --------
    >>> import nengo
    >>> with nengo.Network() as net:
    ...     pre, post = nengo.Ensemble(8, 1), nengo.Ensemble(6, 2)
    ...     conn = nengo.Connection(
    ...         pre.neurons, post.neurons[:4], transform=[[0] * 8] * 4
    ...     )
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> sliced_encoders(model, conn).shape
    (4, 2)
    """
    if not conn._to_neurons:
        return None
    if not isinstance(conn.post_slice, slice):
        raise BuildError(
            f"{conn}: learning on weights does not support advanced indexing of the "
            f"postsynaptic side (got {conn.post_slice}); use a slice start:stop:step, "
            "or connect to all neurons and leave the others' weights at 0"
        )
    if isinstance(conn.post_obj, Ensemble):
        return model.sig[conn.post_obj]["encoders"][:, conn.post_slice]
    return model.sig[conn.post_obj.ensemble]["encoders"][conn.post_slice, :]


# so many numbers are checked quicker one by one
FEW = 8


def make_finite_check(rule, time, **arrays):
    """Make a function that stops the simulation before NaN fills the weights.

    Parameters
    ----------
    rule : str
        The name of the rule, for the message.
    time : (1,) array
        Simulation time in seconds, for the message.
    **arrays : (n,) arrays
        What must be finite, by name.

    Returns
    -------
    callable
        To be called in every step; raises `nengo.exceptions.SimulationError` if an
        entry is NaN or infinite.

    Examples
    --------
    >>> activities = np.array([3.0, 4.0])
    >>> check = make_finite_check("my rule", np.array([0.25]), activities=activities)
    >>> check()
    >>> activities[1] = np.inf
    >>> with np.errstate(invalid="raise"):  # as Nengo's simulator has it
    ...     check()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    nengo.exceptions.SimulationError: my rule: activities[1] is inf at t=0.25 s; ...
    """
    # quicker than isfinite: 0 times a finite number is 0, anything else is NaN
    few = [array for array in arrays.values() if array.size <= FEW]
    pairs = [(a, np.zeros_like(a)) for a in arrays.values() if a.size > FEW]

    def check_finite():
        try:
            for array in few:
                for value in array.tolist():
                    if value * 0.0 != 0.0:
                        complain()
            for array, zeros in pairs:
                if array.dot(zeros) != 0:
                    complain()
        except FloatingPointError:  # Nengo lets numpy raise where infinity meets 0
            complain()

    def complain():
        name, array = next(
            (name, array)
            for name, array in arrays.items()
            if not np.isfinite(array).all()
        )
        index = np.flatnonzero(~np.isfinite(array))[0]
        raise SimulationError(
            f"{rule}: {name}[{index}] is {array[index]} at t={time.item():g} s; "
            "learning stops here, before the weights are lost. Look for a "
            "learning rate that is too large, or for what computes this value"
        )

    return check_finite


def explain_overflow(step, rule, time):
    """Make a function of one step that says what it means that numbers overflow.

    Parameters
    ----------
    step : callable
        One step of an operator.
    rule : str
        The name of the rule, for the message.
    time : (1,) array
        Simulation time in seconds, for the message.

    Returns
    -------
    callable
        Raises `nengo.exceptions.SimulationError` where the step would raise a
        FloatingPointError.
    """

    def explained():
        try:
            step()
        except FloatingPointError as error:
            raise SimulationError(
                f"{rule}: {error} at t={time.item():g} s; a trace or change of "
                "the weights is too large for its precision. Look for a learning "
                "rate, an eligibility or a TD error that is too large"
            ) from error

    return explained
