"""Feedback from an input of the port to the post dimensions or neurons."""

from __future__ import annotations

import numpy as np
from nengo.builder.operator import DotInc, Reset
from nengo.builder.signal import Signal
from nengo.dists import Distribution
from nengo.ensemble import Neurons
from nengo.exceptions import BuildError
from nengo.rc import rc

from nengo_epes.learning_rules.builder_tools import (
    learned_shape,
    post_encoders,
    repeat_rows,
)


def build_feedback(model, conn, feedback, size, parameter="size_eligibility"):
    r"""Make the matrix B that carries an input of the port to the post side.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    conn : nengo.Connection
        The connection that learns.
    feedback : str, array, Distribution or None
        The parameter ``feedback`` of `nengo_epes.EPES`.
    size : int
        Dimensions of the input.
    parameter : str, optional
        Name of the parameter that set the size, for messages.

    Returns
    -------
    str or Signal
        ``"broadcast"`` or ``"rows"`` if no matrix is needed; else B, shape (n_post,
        size).

    Raises
    ------
    BuildError
        If the feedback does not fit the connection.

    Examples
    --------
    >>> import nengo
    >>> with nengo.Network() as net:
    ...     conn = nengo.Connection(nengo.Ensemble(8, 3), nengo.Node(size_in=3))
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> build_feedback(model, conn, nengo.dists.Uniform(-1, 1), 2).shape
    (3, 2)
    >>> build_feedback(model, conn, None, 3)
    'rows'
    """
    n_post, _ = learned_shape(model, conn)
    if isinstance(feedback, Distribution):
        matrix = _sampled(model, conn, feedback, (n_post, size))
    elif isinstance(feedback, np.ndarray):
        matrix = feedback
        if matrix.shape != (n_post, size):
            raise BuildError(
                f"{conn}: a feedback of shape {matrix.shape} does not fit; the "
                f"connection has n_post={n_post} and the port {parameter}={size}, so "
                f"the shape must be {(n_post, size)}"
            )
    else:
        name = _resolved(conn, feedback, size, n_post, parameter)
        return post_encoders(model, conn) if name == "encoders" else name
    return Signal(matrix.astype(rc.float_dtype), name=f"{conn}.feedback", readonly=True)


def build_spread(model, conn, feedback, source):
    """Carry an input of the port to the post side.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    conn : nengo.Connection
        The connection that learns.
    feedback : str or Signal
        A result of `build_feedback`.
    source : Signal
        The input, shape (size,).

    Returns
    -------
    Signal
        Shape (n_post,); a view of the input if no matrix is needed.

    Examples
    --------
    >>> import nengo
    >>> with nengo.Network() as net:
    ...     conn = nengo.Connection(nengo.Ensemble(8, 3), nengo.Node(size_in=3))
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> build_spread(model, conn, "broadcast", Signal(shape=(1,), name="g")).shape
    (3,)
    """
    if feedback == "rows":
        return source
    if feedback == "broadcast":
        return repeat_rows(source, learned_shape(model, conn)[0])
    spread = Signal(shape=(feedback.shape[0],), name=f"{conn}.{source.name}.spread")
    model.add_op(Reset(spread))
    model.add_op(DotInc(feedback, source, spread, tag=f"{conn}.feedback"))
    return spread


def feedback_matrix(feedback, n_post):
    """Return the matrix B as an array, even if the builder needs no matrix."""
    if isinstance(feedback, Signal):
        return feedback.initial_value
    return np.ones((n_post, 1)) if feedback == "broadcast" else np.eye(n_post)


def _resolved(conn, feedback, size, n_post, parameter):
    """Return the name of the feedback, chosen by the size if it is None."""
    sizes = {"rows": n_post, "broadcast": 1}
    if conn._to_neurons:
        is_direct = isinstance(conn.post_obj, Neurons)
        dimensions = conn.post_obj.ensemble.dimensions if is_direct else conn.size_out
        # first, so that on neurons EPES is PES by default
        sizes = {"encoders": dimensions, **sizes}
    if feedback is None:
        feedback = next((name for name in sizes if sizes[name] == size), None)
    if sizes.get(feedback) == size:
        return feedback
    if feedback == "encoders" and not conn._to_neurons:
        raise BuildError(
            f"{conn}: feedback='encoders' needs post neurons, and this connection is "
            "decoded; use 'rows' or 'broadcast', connect to neurons, or use a solver "
            "with weights=True"
        )
    fitting = ", ".join(f"{n} for feedback={name!r}" for name, n in sizes.items())
    chosen = "" if feedback is None else f" with feedback={feedback!r}"
    raise BuildError(
        f"{conn}: {parameter}={size}{chosen} does not fit; this connection takes "
        f"{fitting}, or any size with a matrix or a Distribution as feedback"
    )


def _sampled(model, conn, distribution, shape):
    """Sample B; for neurons, scale its effect to the effect of the encoders."""
    # another stream than the connection's own, which may have drawn its transform
    rng = np.random.RandomState([model.seeds[conn], 353])
    matrix = distribution.sample(*shape, rng=rng)
    encoders = post_encoders(model, conn)
    if encoders is None:
        return matrix
    # E |B g|^2 = |B|_F^2 / d for directions g that are all equally likely
    norms = [
        np.linalg.norm(m) / np.sqrt(m.shape[1])
        for m in (encoders.initial_value, matrix)
    ]
    if norms[1] == 0:
        raise BuildError(f"{conn}: feedback={distribution} sampled only zeros")
    return matrix * (norms[0] / norms[1])
