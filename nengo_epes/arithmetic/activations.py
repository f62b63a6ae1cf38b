"""Activation functions by name, each with its derivative, on plain numpy arrays.

The names and formulas equal ngc-learn's, so a policy written for it has the same
meaning here. Results have the floating-point type of the input. Large inputs raise no
floating-point error: `numpy.seterr(all="raise")` is safe.

At a kink the derivative is the derivative from the right (relu, lrelu, elu at 0). It is
1 at both ends of relu6. `heaviside` and `unit_threshold` have the derivative 1
everywhere: the *straight-through* estimator, a convention and not a derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
ArrayFunction = Callable[[FloatArray], FloatArray]

BKWTA_WINNERS = 5
GELU_SLOPE = 1.702
LRELU_SLOPE = 0.01
SINE_FREQUENCY = 30.0
TELU_SATURATION = 5.0  # tanh(exp(5)) is 1 to the last bit, in every precision


class Activation(NamedTuple):
    """An activation function and its derivative, or None without a derivative."""

    value: ArrayFunction
    derivative: ArrayFunction | None


def _indicator(condition: npt.NDArray[np.bool_], like: FloatArray) -> FloatArray:
    return condition.astype(like.dtype)


def _ones(x: FloatArray) -> FloatArray:
    ones = x.copy()
    ones.fill(1.0)
    return ones


def _identity(x: FloatArray) -> FloatArray:
    return x.copy()


def _sech_squared(x: FloatArray) -> FloatArray:
    # Not 1 - tanh(x)**2, which cancels, nor cosh(x)**-2, which overflows.
    decay: FloatArray = np.exp(-2 * np.abs(x))
    return 4 * decay / (1 + decay) ** 2


def _sigmoid(x: FloatArray) -> FloatArray:
    decay: FloatArray = np.exp(-np.abs(x))
    return np.where(x >= 0, np.ones_like(x), decay) / (1 + decay)


def _d_sigmoid(x: FloatArray) -> FloatArray:
    return _sech_squared(x / 2) / 4


def _relu(x: FloatArray) -> FloatArray:
    return np.maximum(x, 0)


def _d_relu(x: FloatArray) -> FloatArray:
    return _indicator(x >= 0, x)


def _relu6(x: FloatArray) -> FloatArray:
    return np.clip(x, 0, 6)


def _d_relu6(x: FloatArray) -> FloatArray:
    return _indicator((x >= 0) & (x <= 6), x)


def _lrelu(x: FloatArray) -> FloatArray:
    return np.where(x >= 0, x, LRELU_SLOPE * x)


def _d_lrelu(x: FloatArray) -> FloatArray:
    return np.where(x >= 0, np.ones_like(x), np.full_like(x, LRELU_SLOPE))


def _elu(x: FloatArray) -> FloatArray:
    return np.where(x >= 0, x, np.expm1(np.minimum(x, 0)))


def _d_elu(x: FloatArray) -> FloatArray:
    return np.exp(np.minimum(x, 0))


def _softplus(x: FloatArray) -> FloatArray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _silu(x: FloatArray) -> FloatArray:
    return x * _sigmoid(x)


def _d_silu(x: FloatArray) -> FloatArray:
    return _sigmoid(x) * (1 + x * _sigmoid(-x))


def _gelu(x: FloatArray) -> FloatArray:
    return x * _sigmoid(GELU_SLOPE * x)


def _d_gelu(x: FloatArray) -> FloatArray:
    return _d_silu(GELU_SLOPE * x)


def _telu(x: FloatArray) -> FloatArray:
    return x * np.tanh(np.exp(np.minimum(x, TELU_SATURATION)))


def _d_telu(x: FloatArray) -> FloatArray:
    grown = np.exp(np.minimum(x, TELU_SATURATION))
    return np.tanh(grown) + x * (grown * _sech_squared(grown))


def _sine(x: FloatArray) -> FloatArray:
    wave: FloatArray = np.sin(SINE_FREQUENCY * x)
    return wave


def _d_sine(x: FloatArray) -> FloatArray:
    slope: FloatArray = SINE_FREQUENCY * np.cos(SINE_FREQUENCY * x)
    return slope


def _heaviside(x: FloatArray) -> FloatArray:
    return _indicator(x >= 0, x)


def _unit_threshold(x: FloatArray) -> FloatArray:
    return _indicator(x >= 1, x)


def _softmax(x: FloatArray) -> FloatArray:
    grown = np.exp(x - x.max(axis=-1, keepdims=True))
    shares: FloatArray = grown / grown.sum(axis=-1, keepdims=True)
    return shares


def _bkwta(x: FloatArray) -> FloatArray:
    if x.shape[-1] < BKWTA_WINNERS:
        raise ValueError(
            f"activation 'bkwta' got rows of {x.shape[-1]} values, but it picks the "
            f"{BKWTA_WINNERS} largest: give it at least {BKWTA_WINNERS}"
        )
    last_winner = np.partition(x, -BKWTA_WINNERS, axis=-1)[..., -BKWTA_WINNERS, None]
    return _indicator(x >= last_winner, x)


def _entry(value: ArrayFunction, derivative: ArrayFunction | None) -> Activation:
    # A tail that underflows to 0 is right as it is, whatever numpy's error state.
    quiet = np.errstate(under="ignore")
    return Activation(quiet(value), None if derivative is None else quiet(derivative))


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(_identity, _ones),  # which cannot underflow
    "tanh": _entry(np.tanh, _sech_squared),
    "sigmoid": _entry(_sigmoid, _d_sigmoid),
    "relu": _entry(_relu, _d_relu),
    "relu6": _entry(_relu6, _d_relu6),
    "lrelu": _entry(_lrelu, _d_lrelu),
    "elu": _entry(_elu, _d_elu),
    "softplus": _entry(_softplus, _sigmoid),
    "silu": _entry(_silu, _d_silu),
    "gelu": _entry(_gelu, _d_gelu),
    "telu": _entry(_telu, _d_telu),
    "sine": _entry(_sine, _d_sine),
    "heaviside": _entry(_heaviside, _ones),
    "unit_threshold": _entry(_unit_threshold, _ones),
    "softmax": _entry(_softmax, None),
    "bkwta": _entry(_bkwta, None),
}


def _lookup(name: str) -> Activation:
    try:
        return ACTIVATIONS[name]
    except (KeyError, TypeError):
        known = ", ".join(ACTIVATIONS)
        raise ValueError(
            f"activation: unknown name (got {name!r}); use one of {known}"
        ) from None


def activation(name: str) -> ArrayFunction:
    """Return the activation function f of that name.

    All are elementwise but `softmax` and `bkwta` (*binary k winners take all*: 1 for
    the five largest and what ties with them, else 0), which work on the last axis.

    Parameters
    ----------
    name : str
        A key of `ACTIVATIONS`.

    Returns
    -------
    callable
        Takes an array of floats, of any shape, and returns another of its type.

    Raises
    ------
    ValueError
        Where the name is not known.

    References
    ----------
    The names and formulas of ngc-learn 3.2, `ngclearn.utils.model_utils`.

    Examples
    --------
    >>> import numpy as np
    >>> print(activation("lrelu")(np.array([-2.0, 0.0, 3.0])))
    [-0.02  0.    3.  ]
    """
    return _lookup(name).value


def activation_derivative(name: str) -> ArrayFunction:
    """Return the derivative f' of the activation function of that name.

    Parameters
    ----------
    name : str
        A key of `ACTIVATIONS`.

    Returns
    -------
    callable
        Takes an array of floats x and returns f'(x), of the same shape and type.

    Raises
    ------
    ValueError
        Where the name is not known, and for `softmax` and `bkwta`, which have no
        elementwise derivative and serve for inputs only. (ngc-learn puts bkwta itself
        in the place of its derivative, which no reward could be climbed with.)

    Examples
    --------
    >>> import numpy as np
    >>> print(activation_derivative("lrelu")(np.array([-2.0, 0.0, 3.0])))
    [0.01 1.   1.  ]
    """
    derivative = _lookup(name).derivative
    if derivative is None:
        usable = [known for known, entry in ACTIVATIONS.items() if entry.derivative]
        raise ValueError(
            f"activation: must have an elementwise derivative (got {name!r}); use one "
            f"of {', '.join(usable)}"
        )
    return derivative
