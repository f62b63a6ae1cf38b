"""Synapses from linear systems of other packages."""

from __future__ import annotations

import numpy as np
from nengo.exceptions import ValidationError

from nengo_epes.synapses.delays import TappedDelay, from_polynomials


def from_lti(system):
    r"""Make a synapse of a linear system from another package.

    The function reads the attributes of the system and imports no other package. It
    accepts a nengolib ``LinearSystem``, a scipy ``lti`` or ``dlti`` (as transfer
    function, state space, or zeros, poles and gain), a python-control
    ``TransferFunction`` or ``StateSpace``, a `nengo.LinearFilter`.

    Parameters
    ----------
    system : object
        Linear system with ``num`` and ``den``; or ``A``, ``B``, ``C`` and ``D``; or
        ``to_tf()``. It is discrete if ``analog`` is False or ``dt`` is neither None nor
        0. It has one input and one output.

    Returns
    -------
    TappedDelay or LTI
        A ring buffer if a discrete system has all poles at 0; a step of a delay then
        takes the same time for any lag. Else a linear filter, discretised by zero-order
        hold.

    Raises
    ------
    ValidationError
        If the system is improper (it would need its future input), unstable, not
        linear, or has several inputs or outputs.

    Notes
    -----
    A discrete system without passthrough is advanced by one step, as in Nengo and
    nengolib, because the simulator adds that step again.

    Examples
    --------
    >>> from scipy import signal
    >>> from nengo_epes.synapses import from_lti
    >>> from_lti(signal.dlti([1.0], [1.0, 0.0, 0.0]))
    Delay(steps=2)
    >>> from_lti(signal.lti([1.0], [0.1, 1.0]))
    LTI(num=array([10.]), den=array([ 1., 10.]))
    """
    if isinstance(system, TappedDelay):
        return system
    num, den = _polynomials(system)
    dt = getattr(system, "dt", None)
    analog = getattr(system, "analog", dt is None or dt == 0)
    # True is how scipy and python-control say that the step is not specified
    sample_time = None if analog or dt is None or dt is True else float(dt)
    sample_time = getattr(system, "sample_time", sample_time)
    return from_polynomials(num, den, analog, sample_time)


def _polynomials(system):
    """Read numerator and denominator off a system of any of the known makes."""
    if hasattr(system, "num") and hasattr(system, "den"):
        num, den = system.num, system.den
    elif all(hasattr(system, name) for name in "ABCD"):
        num, den = _state_space_polynomials(system)
    elif hasattr(system, "to_tf"):
        transfer_function = system.to_tf()
        num, den = transfer_function.num, transfer_function.den
    else:
        raise ValidationError(
            f"{system!r} is no linear system: it has neither num and den, nor A, B, C "
            "and D, nor to_tf(); make a scipy.signal.lti or dlti of it",
            attr="system",
        )
    # python-control keeps one polynomial for each output and input
    if isinstance(num, list) and isinstance(num[0], list):
        if len(num) != 1 or len(num[0]) != 1:
            _refuse_several(len(num[0]), len(num))
        num, den = num[0][0], den[0][0]
    num, den = np.real_if_close(num), np.real_if_close(den)
    if np.iscomplexobj(num) or np.iscomplexobj(den):
        raise ValidationError(
            "the coefficients are complex; poles and zeros must come in conjugate "
            "pairs for the output to be real",
            attr="system",
        )
    if num.ndim == 2 and len(num) != 1:
        _refuse_several(1, len(num))
    return np.atleast_1d(num.squeeze()), np.atleast_1d(den.squeeze())


def _state_space_polynomials(system):
    # here, because it takes longer to import than all the rest together
    from scipy.signal import ss2tf

    A, B, C, D = (
        np.atleast_2d(np.asarray(getattr(system, name), dtype=float)) for name in "ABCD"
    )
    if D.shape != (1, 1):
        _refuse_several(D.shape[1], D.shape[0])
    if A.size == 0:
        return D[0], np.ones(1)
    zero = np.zeros((1, 1))
    # The numerator is the difference of two polynomials; rounding is least if its size
    # equals the denominator's
    strict, den = ss2tf(A, B, C, zero)
    gain = np.abs(strict).max() / np.abs(den).max() or 1.0
    strict, _ = ss2tf(A, B, C / gain, zero)
    # Rounding leaves coefficients that should be 0, which would look like a passthrough
    # or further zeros
    strict[0, np.abs(strict[0]) <= 1e-12 * np.abs(den)] = 0.0
    return gain * strict[0] + D.item() * den, den


def _refuse_several(n_inputs, n_outputs):
    raise ValidationError(
        f"a synapse has one input and one output (the system has {n_inputs} and "
        f"{n_outputs}); take one channel of it",
        attr="system",
    )
