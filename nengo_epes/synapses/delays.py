"""Tapped delays and their algebra: polynomials in 1/z, and quotients of them."""

from __future__ import annotations

from numbers import Real

import numpy as np
from nengo.builder import Builder
from nengo.exceptions import ValidationError
from nengo.params import NumberParam, TupleParam
from nengo.synapses import Synapse
from nengo.utils.numpy import is_integer

from nengo_epes.synapses.checks import (
    build_synapse,
    check_sample_time,
    checked_lag,
    checked_weight,
)
from nengo_epes.synapses.lti import LTI, check_stable


class TapAlgebra:
    """Sums, multiples, products and quotients of anything with ``taps``.

    The class that mixes it in has the pairs (lag, weight) in ``taps``, and makes a
    new object of such pairs by ``from_taps``.
    """

    # numpy scalars on the left (`np.float64(0.5) * z**-10`) must come here
    __array_ufunc__ = None

    def __add__(self, other):
        taps = _taps(other)
        return NotImplemented if taps is None else self.from_taps([*self.taps, *taps])

    __radd__ = __add__

    def __mul__(self, other):
        taps = _taps(other)
        if taps is None:
            return NotImplemented
        return self.from_taps([(i + j, v * w) for i, v in self.taps for j, w in taps])

    __rmul__ = __mul__

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return NotImplemented if _taps(other) is None else self + -1.0 * other

    def __rsub__(self, other):
        return NotImplemented if _taps(other) is None else -self + other

    def __truediv__(self, other):
        if isinstance(other, Real):
            return self * (1.0 / other)
        taps = _taps(other)
        return NotImplemented if taps is None else _quotient(self.taps, taps)

    def __rtruediv__(self, other):
        taps = _taps(other)
        return NotImplemented if taps is None else _quotient(taps, self.taps)

    def __pow__(self, exponent):
        if not is_integer(exponent) or exponent < 0:
            raise ValidationError(
                f"power {exponent!r} of {self!r} must be a non-negative integer",
                attr="exponent",
                obj=self,
            )
        if exponent == 0:
            return self.from_taps([(0, 1.0)])  # what z**0 is
        power = self
        for _ in range(exponent - 1):
            power = power * self
        return power


def _taps(operand):
    """Return the taps of an operand of the algebra; None if it is not one."""
    if isinstance(operand, TapAlgebra):
        return operand.taps
    if isinstance(operand, Real):
        return ((0, float(operand)),)
    return None


def _quotient(numerator, denominator):
    """Divide two tapped delays: in general a linear system with poles."""
    order = max(lag for lag, _ in (*numerator, *denominator))
    num, den = np.zeros(order + 1), np.zeros(order + 1)
    num[[lag for lag, _ in numerator]] = [weight for _, weight in numerator]
    den[[lag for lag, _ in denominator]] = [weight for _, weight in denominator]
    return from_polynomials(num, den, analog=False)


class _EqualTuple(TupleParam):
    """A tuple that is compared by value, so that equal synapses are equal."""

    equatable = True


class TappedDelay(TapAlgebra, Synapse):
    r"""A weighted combination of delays (a finite impulse response).

    .. math:: y[t] = \sum_k w_k \, u[t - \ell_k]

    with lags :math:`\ell_k` in simulator steps and dimensionless weights
    :math:`w_k`. Write a formula, ``0.5 * z**-10 + 0.5 * z**-20``, instead of this
    constructor. The state is a ring buffer as long as the largest lag. The time of a
    step is proportional to the number of taps, for any lags. In a `nengo.LinearFilter`
    it is proportional to the square of the largest lag.

    Parameters
    ----------
    lags : tuple of int
        Delays in simulator steps, each at least 0. With a lag of 0 the system
        has passthrough and arrives one step late on a Connection (a warning
        says so).
    weights : tuple of float
        One weight for each lag.
    sample_time : float, optional
        Simulator step in seconds of the lags; None for any step.

    Raises
    ------
    ValidationError
        If a lag is negative or no integer, a weight is not finite, or there are
        not as many weights as lags; when the model is built, if a delay of 0
        steps is put on a Connection.

    See Also
    --------
    Delay : one delay
    from_lti : linear systems in general

    Examples
    --------
    >>> from nengo_epes.synapses import z
    >>> synapse = 0.5 * z**-1 + 0.5 * z**-3
    >>> synapse
    TappedDelay(lags=(1, 3), weights=(0.5, 0.5))
    >>> synapse.filt([1.0, 0.0, 0.0, 0.0])
    array([0.5, 0. , 0.5, 0. ])
    """

    lags = _EqualTuple("lags")
    weights = _EqualTuple("weights")
    sample_time = NumberParam("sample_time", low=0, low_open=True, optional=True)

    def __init__(self, lags, weights, sample_time=None, **kwargs):
        super().__init__(**kwargs)
        self.sample_time = sample_time
        self.lags = tuple(checked_lag(lag, self) for lag in lags)
        self.weights = tuple(checked_weight(weight, self) for weight in weights)
        if not self.lags or len(self.lags) != len(self.weights):
            raise ValidationError(
                f"{len(self.weights)} weights for {len(self.lags)} lags; "
                "give one weight for each lag, and at least one",
                attr="weights",
                obj=self,
            )

    @staticmethod
    def from_taps(taps):
        """Make the simplest synapse of pairs (lag, weight); equal lags add up."""
        total: dict = {}
        for lag, weight in taps:
            total[lag] = total.get(lag, 0.0) + weight
        lags = sorted(lag for lag, weight in total.items() if weight != 0)
        if not lags:  # the zero system: still a synapse, with an output of zeros
            return TappedDelay((1,), (0.0,))
        if lags[0] > 0 and [total[lag] for lag in lags] == [1.0]:
            return Delay(lags[0])
        return TappedDelay(lags, [total[lag] for lag in lags])

    @property
    def taps(self):
        """The pairs (lag, weight)."""
        return tuple(zip(self.lags, self.weights, strict=True))

    @property
    def has_passthrough(self):
        """Whether the output depends on the input of the same step."""
        return 0 in self.lags

    def make_state(self, shape_in, shape_out, dt, dtype=None, y0=0):
        """Make the ring buffer and its position; see `nengo.base.Process`."""
        assert shape_in == shape_out
        length = max(self.lags) + 1 if self.has_passthrough else max(self.lags)
        buffer = np.zeros((length, *shape_out), dtype=dtype)
        if np.any(y0):
            gain = sum(self.weights)
            if gain == 0:
                raise ValidationError(
                    "no constant input gives this output, because the weights sum "
                    "to 0; set y0=0",
                    attr="y0",
                    obj=self,
                )
            buffer[...] = np.asarray(y0) / gain
        return {"buffer": buffer, "position": np.zeros(1, dtype=np.int64)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one step; see `nengo.base.Process`."""
        check_sample_time(self, dt)
        buffer, position = state["buffer"], state["position"]
        length = len(buffer)
        ages = np.array(self.lags) - (0 if self.has_passthrough else 1)
        weights = np.array(self.weights, dtype=buffer.dtype)
        # indexing by one integer gives a view, by an array a copy of the taps
        is_pure = self.weights == (1.0,)
        age = ages.item() if is_pure else None

        def step_tapped_delay(t, signal):
            now = position.item()
            buffer[now] = signal
            position[0] = (now + 1) % length
            if is_pure:
                output = buffer[(now - age) % length]
            else:
                output = np.tensordot(weights, buffer[(now - ages) % length], axes=1)
            # Synapse.filt passes scalars if its input is one-dimensional
            return output if isinstance(signal, np.ndarray) else output[0]

        return step_tapped_delay


class Delay(TappedDelay):
    """A pure delay by a number of simulator steps: what ``z**-steps`` makes.

    Its cost does not depend on its length. Use `nengo.synapses.Triangle` or
    `from_lti` for delays that smooth.

    Parameters
    ----------
    steps : int
        The delay on a Connection, from end to end, in simulator steps; at least
        1, because a Connection with a synapse is never faster than that (use
        ``synapse=None`` for no delay at all).

    Raises
    ------
    ValidationError
        If ``steps`` is no integer, or less than 1.

    Examples
    --------
    >>> from nengo_epes.synapses import Delay, z
    >>> Delay(3) == z**-3
    True
    >>> Delay(3).filt([1.0, 2.0, 3.0, 4.0])
    array([0., 0., 1., 2.])
    """

    def __init__(self, steps, **kwargs):
        if is_integer(steps) and steps == 0:
            raise ValidationError(
                "a synapse delays by at least 1 step (got 0); "
                "use synapse=None for no delay",
                attr="steps",
                obj=self,
            )
        super().__init__(lags=(steps,), weights=(1.0,), **kwargs)

    @property
    def steps(self):
        """The delay in simulator steps."""
        return self.lags[0]


def from_polynomials(num, den, analog, sample_time=None):
    """Make the cheapest synapse of a transfer function, or refuse it.

    Parameters and errors: see `LTI` and `from_lti`.
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
    check_stable(den, analog)
    return LTI(num, den, analog=analog, sample_time=sample_time)


class _ForwardShift:
    """The forward shift z of the z-transform; ``z**-n`` is a delay of n steps.

    Delays can be added, scaled, multiplied (one after the other) and divided, which in
    general makes a filter with poles.

    Raises
    ------
    ValidationError
        For a power that is positive or no integer.

    Examples
    --------
    >>> from nengo_epes.synapses import z
    >>> z**-1000
    Delay(steps=1000)
    >>> 0.25 * z**-10 + 0.75 * z**-20
    TappedDelay(lags=(10, 20), weights=(0.25, 0.75))
    """

    def __pow__(self, exponent):
        if not is_integer(exponent):
            raise ValidationError(
                f"the power of z must be an integer, a number of simulator steps "
                f"(got {exponent!r}); for a delay in seconds write "
                "z**-round(seconds / dt)",
                attr="z",
            )
        if exponent > 0:
            raise ValidationError(
                f"z**{exponent} would look {exponent} steps into the future; "
                f"z**-{exponent} delays by as many",
                attr="z",
            )
        return Delay(-exponent) if exponent else TappedDelay((0,), (1.0,))

    def __rtruediv__(self, number):
        return number * self**-1 if isinstance(number, Real) else NotImplemented

    def __repr__(self):
        return "z"

    def __reduce__(self):
        return "z"


z = _ForwardShift()


Builder.register(TappedDelay)(build_synapse)
