"""Pseudo-derivatives psi of neurons, for the postsynaptic factor of a trace.

A `VoltageSurrogate` is a bump over the voltage of spiking LIF neurons, and has no
unit, as their threshold is 1. A `RateDerivative` is the slope of the rate over the
current, in hertz: often hundreds, so they need different learning rates. Both return
the floating-point type of the input, pass NaN on, and are safe with
``np.seterr(all="raise")``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from nengo_epes.arithmetic.activations import FloatArray, activation_derivative

__all__ = [
    "Arctan",
    "Exponential",
    "FastSigmoidDerivative",
    "PiecewiseLinear",
    "RateDerivative",
    "VoltageSurrogate",
    "from_lif_state",
    "suitable",
]


Psi: TypeAlias = "VoltageSurrogate | RateDerivative"


def _check(owner: object, name: str, zero: bool = False) -> None:
    value = getattr(owner, name)
    number = isinstance(value, int | float | np.integer | np.floating)
    if not (number and 0 <= value < math.inf and (value or zero)):
        raise ValueError(
            f"{name} of {type(owner).__name__}: must be a finite number "
            f"{'of at least 0' if zero else 'above 0'} (got {value!r})"
        )
    object.__setattr__(owner, name, float(value))  # plain: then the repr evaluates


@dataclass(frozen=True)
class VoltageSurrogate:
    """Base class of the voltage surrogates; called with (voltage, threshold=1.0).

    A surrogate is gamma times a function of ``d = beta |v - v_th|``, with the defaults
    and names of NEST's e-prop (``eprop_archiving_node``). For the form of Bellec et al.
    (2020, Nature Communications 11, 3625) at another threshold, divide gamma and beta
    by it.

    Parameters
    ----------
    gamma, beta : float, optional
        Scale of the height, and steepness in 1 / voltage: finite numbers above 0.

    Examples
    --------
    >>> kinds = PiecewiseLinear, Exponential, FastSigmoidDerivative, Arctan
    >>> print([round(float(kind(gamma=1)(0.5)), 3) for kind in kinds])
    [0.5, 0.607, 0.444, 0.092]
    """

    gamma: float = 0.3
    beta: float = 1.0

    def __init_subclass__(cls) -> None:  # subclasses document the parameters, too
        shared = str(VoltageSurrogate.__doc__).partition("    Parameters\n")
        cls.__doc__ = f"{cls.__doc__}\n\n{shared[1]}{shared[2]}"

    def __post_init__(self) -> None:
        _check(self, "gamma")
        _check(self, "beta")

    def __call__(self, voltage: ArrayLike, threshold: ArrayLike = 1.0) -> FloatArray:
        """Return psi, of the shape to which voltage and threshold broadcast."""
        with np.errstate(over="ignore", under="ignore"):  # psi rounds to 0
            d = self.beta * np.abs(np.subtract(voltage, threshold))
            return self.gamma * self._bump(d)

    def _bump(self, d: FloatArray) -> FloatArray:
        raise NotImplementedError


class PiecewiseLinear(VoltageSurrogate):
    """gamma max(0, 1 - d), Bellec's; for v in [0, 1] and beta = 1 it is gamma v."""

    def _bump(self, d: FloatArray) -> FloatArray:
        return np.maximum(0, 1 - d)


class Exponential(VoltageSurrogate):
    """gamma exp(-d), as in Shrestha & Orchard (2018)."""

    def _bump(self, d: FloatArray) -> FloatArray:
        return np.exp(-d)


class FastSigmoidDerivative(VoltageSurrogate):
    """gamma (1 + d)^-2 (NEST's manual has ^2, its code ^-2), Zenke & Ganguli (2018)."""

    def _bump(self, d: FloatArray) -> FloatArray:
        return 1 / (1 + d) ** 2


class Arctan(VoltageSurrogate):
    """gamma / pi / (1 + (pi d)^2), of height gamma / pi; Fang et al. (2021)."""

    def _bump(self, d: FloatArray) -> FloatArray:
        return 1 / np.pi / (1 + (np.pi * d) ** 2)


def from_lif_state(
    surrogate: VoltageSurrogate,
    voltage: ArrayLike,
    refractory_time: ArrayLike,
    spiked: ArrayLike,
    dt: float,
) -> FloatArray:
    """Return psi for LIF or AdaptiveLIF neurons in their state after a simulator step.

    In the step of a spike, the voltage is 0 already, and the result is psi(1). (NEST
    uses psi of the voltage that overshot the threshold.) If the neuron was refractory
    for the whole step, no input could act, and the result is 0. Else the result is
    psi(voltage). ``refractory_time`` is the remaining time at the *start* of the step:
    from 0 to dt if the neuron became active during the step.

    Parameters
    ----------
    surrogate : VoltageSurrogate
        The function psi.
    voltage, refractory_time, spiked : array_like, of one shape
        The last is the output of the neurons, or anything not 0 at a spike.
    dt : float
        Time step in seconds.

    Examples
    --------
    >>> left = [0.0027, 0.0017, 0.0007]  # at a spike, at rest, waking up
    >>> print(from_lif_state(PiecewiseLinear(), [0, 0, 0.5], left, [1, 0, 0], dt=1e-3))
    [0.3  0.   0.15]
    """
    psi = np.asarray(surrogate(voltage))
    np.copyto(psi, 0, where=np.asarray(refractory_time) >= dt)
    np.copyto(psi, surrogate(1.0), where=np.asarray(spiked) != 0)
    return psi


def _lif_slope(current: FloatArray, p: Any) -> FloatArray:
    j = np.where(current <= 1, 1, current - 1)
    period = p.tau_ref + p.tau_rc * np.log1p(1 / j)
    # in this order, because j (1 + j) and period^2 may leave the range of floats
    slope = p.tau_rc / (period * j) / (period * (1 + j))
    return np.where(current <= 1, 0, slope)


SLOPES: dict[str, Callable[[FloatArray, Any], FloatArray]] = {
    "LIFRate": _lif_slope,
    "RectifiedLinear": lambda current, p: np.heaviside(current, 0.0),  # passes NaN on
    "Sigmoid": lambda current, p: activation_derivative("sigmoid")(current) / p.tau_ref,
    "Tanh": lambda current, p: activation_derivative("tanh")(current) / p.tau_ref,
}
TAUS = {"LIFRate": ("tau_ref", "tau_rc"), "Sigmoid": ("tau_ref",), "Tanh": ("tau_ref",)}


@dataclass(frozen=True)
class RateDerivative:
    """Slope of the rate over the input current J; called with (current).

    It is the amplitude times (up to the thresholds 1 and 0 of the first two: times 0)::

        LIFRate          tau_rc / (j (1 + j) T^2),  T = tau_ref + tau_rc ln(1 + 1 / j)
        RectifiedLinear  1
        Sigmoid          s (1 - s) / tau_ref,  s = 1 / (1 + exp(-J))
        Tanh             (1 - tanh(J)^2) / tau_ref

    with j = J - 1. The first *diverges* at its threshold, like 1 / (tau_rc j ln(j)^2):
    4e4 Hz at j = 1e-5, 2e14 Hz one rounding above. Limit psi before you learn there.

    Parameters
    ----------
    response : str
        One of these names, which determines the time constants that must be given.
    amplitude, tau_ref, tau_rc : float, optional
        Parameters of the neuron type, the last two in seconds: finite numbers above 0
        (``tau_ref`` of LIFRate also 0).

    Examples
    --------
    >>> print(RateDerivative("LIFRate", tau_ref=0, tau_rc=0.02)([1.0, 1e9]))
    [ 0. 50.]
    """

    response: str
    amplitude: float = 1.0
    tau_ref: float | None = None
    tau_rc: float | None = None

    def __post_init__(self) -> None:
        if self.response not in list(SLOPES):
            raise ValueError(
                f"response: must be one of {[*SLOPES]} (got {self.response!r})"
            )
        _check(self, "amplitude")
        for name in ("tau_ref", "tau_rc"):
            if name in TAUS.get(self.response, ()):
                _check(self, name, zero=(self.response, name) == ("LIFRate", "tau_ref"))
            elif getattr(self, name) is not None:
                raise ValueError(f"{name}: {self.response} has none; omit it")

    def __call__(self, current: ArrayLike) -> FloatArray:
        """Return psi for every current J, in hertz."""
        with np.errstate(over="ignore", under="ignore"):  # such values round to 0
            return self.amplitude * SLOPES[self.response](np.asarray(current), self)


def suitable(psi: Psi | str, neuron_type: Any) -> Psi:
    """Return psi if it fits these neurons; for "auto", choose a psi that fits.

    "auto" supports Nengo's own types: PiecewiseLinear for LIF and AdaptiveLIF, else the
    slope of the rate. For PoissonSpiking and similar types this is the slope of the
    mean output. The caller who passes psi for a derived class asserts that its signals
    have the same meaning. Izhikevich (in millivolts) and AdaptiveLIFRate (not a
    function of J alone) have no psi.

    Parameters
    ----------
    psi : VoltageSurrogate, RateDerivative or "auto"
        Pseudo-derivative, or "auto".
    neuron_type : nengo.neurons.NeuronType
        Type of the postsynaptic neurons.

    Examples
    --------
    >>> import nengo
    >>> suitable("auto", nengo.PoissonSpiking(nengo.Tanh(tau_ref=0.01), amplitude=2))
    RateDerivative(response='Tanh', amplitude=2.0, tau_ref=0.01, tau_rc=None)
    """
    kinds = [k for k in type(neuron_type).__mro__ if k.__module__ == "nengo.neurons"]
    name = kinds[0].__name__ if kinds else ""
    rate = "LIFRate" if name == "LIF" else name.removeprefix("Spiking")
    auto = psi == "auto" and type(neuron_type) in kinds
    if name in ("PoissonSpiking", "RegularSpiking", "StochasticSpiking"):
        base = suitable(psi, neuron_type.base_type)
        if isinstance(base, RateDerivative) and (auto or base is psi):
            factor = neuron_type.amplitude if auto else 1.0  # explicit: as it is
            return replace(base, amplitude=base.amplitude * factor)
    elif isinstance(psi, VoltageSurrogate) and name in ("LIF", "AdaptiveLIF"):
        return psi
    elif isinstance(psi, RateDerivative) and psi.response == rate:
        return psi
    elif auto and name in ("LIF", "AdaptiveLIF"):
        return PiecewiseLinear()
    elif auto and rate in SLOPES:
        taus = {tau: getattr(neuron_type, tau) for tau in TAUS.get(rate, ())}
        return RateDerivative(rate, getattr(neuron_type, "amplitude", 1.0), **taus)
    raise ValueError(
        f"psi = {psi!r} is not right for {neuron_type!r}: 'auto' is for nengo.LIF, "
        f"AdaptiveLIF and {[*SLOPES]}, with spikes too; give a surrogate explicitly, "
        "PiecewiseLinear() for what is derived from LIF, or a RateDerivative for what "
        "is from the others"
    )
