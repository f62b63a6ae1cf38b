"""How the characteristic eligibility on the port reaches the rows of the weights."""

from __future__ import annotations

import numpy as np
from nengo.builder.operator import DotInc, Reset
from nengo.builder.signal import Signal
from nengo.dists import Distribution
from nengo.exceptions import BuildError
from nengo.rc import rc

from nengo_epes.learning_rules.signals import learned_shape, sliced_encoders


def build_feedback(model, conn, feedback, size):
    r"""Make the matrix of :math:`c = B g`, by which eligibilities reach the rows.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    conn : nengo.Connection
        The connection that learns.
    feedback : str, array, Distribution or None
        See `nengo_epes.EPES`.
    size : int
        Of g, the eligibility on the port.

    Returns
    -------
    Signal or None
        B, shape (rows, size_eligibility); None where g is taken as it is.

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
    """
    matrix = _feedback_matrix(model, conn, feedback, size)
    if matrix is None or isinstance(matrix, Signal):
        return matrix
    return Signal(matrix.astype(rc.float_dtype), name=f"{conn}.feedback", readonly=True)


def build_spread(model, conn, matrix, eligibility):
    """Spread the eligibility on the port to the rows.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    conn : nengo.Connection
        The connection that learns.
    matrix : Signal or None
        From `build_feedback`.
    eligibility : Signal
        g, the part of the port that holds it.

    Returns
    -------
    Signal
        Shape (rows,); g itself where there is one g for each row.

    Examples
    --------
    >>> import nengo
    >>> with nengo.Network() as net:
    ...     conn = nengo.Connection(nengo.Ensemble(8, 3), nengo.Node(size_in=3))
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> g = Signal(shape=(1,), name="g")
    >>> build_spread(model, conn, build_feedback(model, conn, "broadcast", 1), g).shape
    (3,)
    """
    if matrix is None:
        return eligibility
    spread = Signal(shape=(matrix.shape[0],), name=f"{conn}.eligibility")
    model.add_op(Reset(spread))
    model.add_op(DotInc(matrix, eligibility, spread, tag=f"{conn}.feedback"))
    return spread


def _feedback_matrix(model, conn, feedback, size):
    """Return B as an array, or as the signal of the encoders; None for identity."""
    rows, _ = learned_shape(model, conn)
    encoders = sliced_encoders(model, conn)
    if isinstance(feedback, Distribution):
        return _sampled(model, conn, feedback, (rows, size), encoders)
    if isinstance(feedback, np.ndarray):
        if feedback.shape != (rows, size):
            raise BuildError(
                f"{conn}: a feedback of shape {feedback.shape} does not fit; this "
                f"connection has {rows} rows and the port size_eligibility={size}, so "
                f"that it takes {(rows, size)}"
            )
        return feedback

    columns = {"broadcast": 1, "rows": rows}
    if encoders is not None:
        columns["encoders"] = encoders.shape[1]
    if feedback is None:
        # this order: on neurons, EPES is PES unless it is told otherwise
        fitting = (
            k for k in ("encoders", "rows", "broadcast") if columns.get(k) == size
        )
        feedback = next(fitting, None)
    if columns.get(feedback) != size:
        raise BuildError(_misfit(conn, feedback, size, columns))
    if feedback == "encoders":
        return encoders
    return None if columns["rows"] == size else np.ones((rows, 1))


def _sampled(model, conn, distribution, shape, encoders):
    """Sample B; on neurons, its effect has the size that the encoders' would have."""
    # not the connection's own stream, of which its transform may have been drawn
    rng = np.random.RandomState([model.seeds[conn], 353])
    matrix = distribution.sample(*shape, rng=rng)
    if encoders is None:
        return matrix
    # E |B g|^2 = |B|_F^2 / d for directions g that are all equally likely
    norms = [
        np.linalg.norm(m) / np.sqrt(m.shape[1])
        for m in (encoders.initial_value, matrix)
    ]
    if norms[1] == 0:
        raise BuildError(f"{conn}: feedback={distribution} gave nothing but zeros")
    return matrix * (norms[0] / norms[1])


def _misfit(conn, feedback, size, columns):
    wanted = ", ".join(f"{n} for feedback={name!r}" for name, n in columns.items())
    if feedback == "encoders" and feedback not in columns:
        return (
            f"{conn}: feedback='encoders' needs neurons at the rows of the weights, "
            "and this connection is decoded; use 'rows' or 'broadcast', connect to "
            "neurons, or use a solver with weights=True"
        )
    chosen = "" if feedback is None else f" with feedback={feedback!r}"
    return (
        f"{conn}: size_eligibility={size}{chosen} does not fit; this connection takes "
        f"{wanted}, or any size with a matrix or a Distribution as feedback"
    )
