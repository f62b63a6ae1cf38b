"""Linear systems that were made elsewhere, as synapses."""

from __future__ import annotations

import numpy as np
from nengo.builder import Builder
from nengo.exceptions import ValidationError
from nengo.params import NumberParam
from nengo.synapses import LinearFilter

from nengo_epes.synapses.checks import check_sample_time
from nengo_epes.synapses.delays import TappedDelay, build_synapse


class LTI(LinearFilter):
    """A linear system with poles, made by `from_lti`; a `nengo.LinearFilter`.

    What it adds is the refusal of a simulator step that is not the system's own,
    the warning about passthrough on a Connection, and one-dimensional ``filt``.

    Parameters
    ----------
    num, den : array_like
        Polynomials in s (analog) or z, the highest power first.
    analog : bool, optional
        Whether the system is in continuous time.
    sample_time : float, optional
        The step in seconds for which a discrete system was made; None fits any.

    Raises
    ------
    ValidationError
        When the model is built with another ``dt`` than ``sample_time``.

    Examples
    --------
    >>> from nengo_epes.synapses import LTI
    >>> LTI([0.1, 0], [1, -0.9], analog=False).filt([1.0, 0.0, 0.0])
    array([0.1  , 0.09 , 0.081])
    """

    sample_time = NumberParam("sample_time", low=0, low_open=True, optional=True)

    def __init__(self, num, den, analog=True, sample_time=None, **kwargs):
        super().__init__(num, den, analog=analog, **kwargs)
        self.sample_time = sample_time

    @property
    def has_passthrough(self):
        """Whether the output depends on the input of the same step."""
        return np.trim_zeros(self.num, "f").size == np.trim_zeros(self.den, "f").size

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one step; see `nengo.base.Process`."""
        check_sample_time(self, dt)
        step = super().make_step(shape_in, shape_out, dt, rng, state)
        return lambda t, signal: np.reshape(step(t, signal), np.shape(signal))


def from_lti(system):
    r"""Make a synapse of a linear system that was made elsewhere.

    Takes the system by its attributes, without importing what made it: a
    nengolib ``LinearSystem``, a scipy ``lti`` or ``dlti`` (as transfer function,
    state space, or zeros, poles and gain), a python-control ``TransferFunction``
    or ``StateSpace``, a `nengo.LinearFilter`.

    Parameters
    ----------
    system : object
        Has ``num`` and ``den``; or ``A``, ``B``, ``C`` and ``D``; or ``to_tf()``.
        It is discrete where ``analog`` is False or ``dt`` neither None nor 0. One
        input and one output.

    Returns
    -------
    TappedDelay or LTI
        A ring buffer where a discrete system has no poles but at 0 (so that a
        delay of 1000 steps is as cheap as one of 10), else a linear filter,
        discretised by zero-order hold.

    Raises
    ------
    ValidationError
        If the system is improper (it would need its future input), not stable, has
        several inputs or outputs, or is no linear system.

    Notes
    -----
    A discrete system is advanced by one step where it has no passthrough, as
    Nengo and nengolib do, because the simulator adds that step again.

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


def from_polynomials(num, den, analog, sample_time=None):
    """Make the cheapest synapse of a transfer function, or refuse it.

    Parameters and errors are those of `LTI` and `from_lti`.
    """
    num = np.trim_zeros(np.asarray(num, dtype=float), "f")
    den = np.trim_zeros(np.asarray(den, dtype=float), "f")
    if len(den) == 0 or not (np.isfinite(num).all() and np.isfinite(den).all()):
        raise ValidationError(
            f"the denominator must not vanish and all coefficients must be finite "
            f"(got num={num}, den={den})",
            attr="system",
        )
    if len(num) > len(den):
        raise ValidationError(
            f"the system is improper: order {len(num) - 1} over order "
            f"{len(den) - 1} needs its future input; delay it, or add a fast lowpass",
            attr="system",
        )
    if len(num) == 0:
        return TappedDelay((1,), (0.0,))
    if not analog and not np.any(den[1:]):
        lags = range(len(den) - len(num), len(den))
        delay = TappedDelay.from_taps(zip(lags, (num / den[0]).tolist(), strict=True))
        if sample_time is None:
            return delay
        return TappedDelay(delay.lags, delay.weights, sample_time=sample_time)
    _check_stable(den, analog)
    return LTI(num, den, analog=analog, sample_time=sample_time)


def _check_stable(den, analog):
    poles = np.roots(den)
    if len(poles) == 0:
        return
    # a pole on the boundary (an integrator) is unstable too; roots are computed
    # to about 1e-15 of the largest
    if analog:
        worst = poles[np.argmax(poles.real)]
        unstable = worst.real >= -1e-12 * np.abs(poles).max()
        region = "the left half plane"
    else:
        worst = poles[np.argmax(np.abs(poles))]
        unstable = abs(worst) >= 1 - 1e-12
        region = "the unit circle"
    if unstable:
        raise ValidationError(
            f"the system is not stable: its pole at {worst:.6g} is not inside "
            f"{region}; add a leak that moves it there, or, for an integrator within "
            "a loop that keeps it bounded, use nengo.LinearFilter itself",
            attr="system",
        )


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
    # The numerator is the difference of two polynomials, computed best where it is of
    # the denominator's size
    strict, den = ss2tf(A, B, C, zero)
    gain = np.abs(strict).max() / np.abs(den).max() or 1.0
    strict, _ = ss2tf(A, B, C / gain, zero)
    # Rounding is left where coefficients should vanish, and would be taken for a
    # passthrough, or for more zeros than there are
    strict[0, np.abs(strict[0]) <= 1e-12 * np.abs(den)] = 0.0
    return gain * strict[0] + D.item() * den, den


def _refuse_several(n_inputs, n_outputs):
    raise ValidationError(
        f"a synapse has one input and one output (the system has {n_inputs} and "
        f"{n_outputs}); take one channel of it",
        attr="system",
    )


Builder.register(LTI)(build_synapse)
