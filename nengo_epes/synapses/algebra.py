"""The algebra of tapped delays: polynomials in 1/z."""

from __future__ import annotations

from numbers import Real

import numpy as np
from nengo.exceptions import ValidationError
from nengo.utils.numpy import is_integer


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
    # systems with poles are built of delays, so that their module imports this one
    from nengo_epes.synapses.lti import from_polynomials

    order = max(lag for lag, _ in (*numerator, *denominator))
    num, den = np.zeros(order + 1), np.zeros(order + 1)
    num[[lag for lag, _ in numerator]] = [weight for _, weight in numerator]
    den[[lag for lag, _ in denominator]] = [weight for _, weight in denominator]
    return from_polynomials(num, den, analog=False)
