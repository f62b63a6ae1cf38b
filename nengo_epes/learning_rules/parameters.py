"""Parameters of the learning rules that validate themselves."""

from __future__ import annotations

import math

import numpy as np
from nengo.dists import Distribution
from nengo.exceptions import ValidationError
from nengo.params import NumberParam, Parameter
from nengo.synapses import Lowpass, SynapseParam
from nengo.utils.numpy import array_hash, is_number

from nengo_epes.arithmetic.surrogates import RateDerivative, VoltageSurrogate


class PortSize(int):
    """Dimensions of a rule's port; as text it lists the slices.

    Nengo prints it if a connection to the port has another size.
    """

    def __new__(cls, size, slices=""):
        """Store the description of the slices next to the number."""
        self = super().__new__(cls, size)
        self.slices = slices
        return self

    def __str__(self):
        """Return the number and the slices."""
        return f"{int(self)}: {self.slices}"


class FiniteParam(NumberParam):
    """A finite number of at least 0."""

    def __init__(self, name, default):
        super().__init__(name, low=0, default=default, readonly=True)

    def coerce(self, instance, num):
        """Refuse what is infinite, NaN, or beyond the range of floats."""
        try:
            is_finite = not is_number(num) or math.isfinite(num)
        except OverflowError:
            is_finite = False
        if not is_finite:
            message = f"must be a finite number (got {str(num)[:20]})"
            raise ValidationError(message, attr=self.name, obj=instance)
        return super().coerce(instance, num)


class FilterParam(SynapseParam):
    """A synapse with a finite time constant, or without a time constant."""

    def __init__(self, name, default):
        super().__init__(name, default=default, readonly=True)

    def coerce(self, instance, synapse):
        """Refuse a time constant that is too long for any change of the filter."""
        synapse = super().coerce(instance, synapse)
        tau = getattr(synapse, "tau", 0.0)
        if isinstance(tau, int | float) and tau and not math.exp(-1 / tau) < 1:
            message = (
                f"must have a finite time constant in seconds (got {synapse}); nothing "
                "would ever pass the filter; use None for no filter"
            )
            raise ValidationError(message, attr=self.name, obj=instance)
        return synapse


class LowpassParam(FilterParam):
    """A Lowpass, or its time constant in seconds, above 0."""

    def __init__(self, name, default, optional=False):
        super().__init__(name, default=default)
        self.optional = optional

    def coerce(self, instance, synapse):
        """Refuse what does not decay exponentially."""
        synapse = super().coerce(instance, synapse)
        if synapse is not None and (type(synapse) is not Lowpass or synapse.tau <= 0):
            message = (
                f"must be a nengo.Lowpass or a time constant in seconds, above 0 (got "
                f"{synapse}); spike traces and their eligibility decay exponentially"
            )
            raise ValidationError(message, attr=self.name, obj=instance)
        return synapse


def control(name, effect):
    """Make the property that returns the slice of a control input on a rule's port.

    Parameters
    ----------
    name : str
        Name of the control input. The rule has ``controls``, the names of its control
        inputs, which are the last entries of its port.
    effect : str
        What the input does, for the documentation.
    """

    def find(rule_type):
        controls = rule_type.controls
        if name not in controls:
            raise AttributeError(
                f"{rule_type} has no input {name!r}; use "
                f"{type(rule_type).__name__}(controls={(*controls, name)})"
            )
        start = int(rule_type.size_in) - len(controls) + controls.index(name)
        return slice(start, start + 1)

    return property(
        find, doc=f"(slice) The control input that {effect}, if there is one."
    )


class Probeable:
    """The names of the signals that can be probed."""

    names = (
        "error",
        "td_error",
        "characteristic_eligibility",
        "activities",
        "eligibility_trace",
        "delta",
    )

    def __get__(self, rule, rule_class):
        """Return the names for one rule, or the names that all rules have."""
        if rule is None or rule.post_derivative is None:
            return self.names
        return (*self.names, "post_derivative")


class OptionalParam(Parameter):
    """A read-only parameter that is None by default and checks other values.

    A subclass defines ``wanted``, the end of the message "must be ...". It also defines
    ``convert``, which returns the stored value, or raises ValueError or TypeError.
    """

    equatable = True

    def __init__(self, name, default=None):
        super().__init__(name, default=default, optional=default is None, readonly=True)

    def coerce(self, instance, value):
        """Convert the value, or refuse it."""
        if value is not None:
            try:
                value = self.convert(value)
            except (ValueError, TypeError) as error:
                message = f"must be {self.wanted} (got {value!r})"
                raise ValidationError(message, self.name, instance) from error
        return super().coerce(instance, value)

    def convert(self, value):
        """Return the value that is stored."""
        raise NotImplementedError


class ControlsParam(OptionalParam):
    """Names of the control inputs on the port, each at most once."""

    names = ("hold", "reset")
    wanted = f"some of {names}, each once"

    def convert(self, value):
        """Return a tuple; a single name needs none."""
        value = (value,) if isinstance(value, str) else tuple(value)
        return value if len({*value} & {*self.names}) == len(value) else _fail()


class BoundsParam(OptionalParam):
    """A pair (low, high), or None."""

    wanted = "(low, high) with low below high, -np.inf or np.inf for no bound, or None"

    def convert(self, value):
        """Return a pair of floats."""
        low, high = (float(bound) for bound in value)
        return (low, high) if low < high else _fail()


class PostDerivativeParam(OptionalParam):
    """A pseudo-derivative of `nengo_epes.arithmetic.surrogates`, "auto", or None."""

    wanted = (
        "a pseudo-derivative such as "
        'nengo_epes.arithmetic.surrogates.PiecewiseLinear(), "auto", or None'
    )

    def convert(self, value):
        """Validate the type; the builder checks that it fits the neurons."""
        fits = value == "auto" or isinstance(value, VoltageSurrogate | RateDerivative)
        return value if fits else _fail()


class StepParam(OptionalParam):
    """A bounded step, see `nengo_epes.arithmetic.step_sizes`, or None."""

    wanted = "an instance such as nengo_epes.arithmetic.step_sizes.ObGD(), or None"

    def convert(self, value):
        """Validate that it can be called and can make its state."""
        fits = callable(value) and hasattr(value, "initial_state")
        return value if fits and not isinstance(value, type) else _fail()


class FeedbackParam(OptionalParam):
    """A name, a matrix, a Distribution, or None."""

    names = ("broadcast", "rows", "encoders")
    wanted = (
        f"one of {names}, a finite matrix (n_post, size_eligibility or "
        "size_td_error), a nengo Distribution, or None"
    )

    def convert(self, value):
        """Return a name, a Distribution, or a read-only copy of a matrix."""
        if isinstance(value, str):
            return value if value in self.names else _fail()
        if isinstance(value, Distribution):
            return value
        matrix = np.array(value, dtype=float)
        matrix.setflags(write=False)
        return matrix if matrix.ndim == 2 and np.isfinite(matrix).all() else _fail()

    def hashvalue(self, instance):
        """Return a value that is equal for equal feedbacks."""
        value = self.__get__(instance, None)
        return array_hash(value) if isinstance(value, np.ndarray) else value


def _fail():
    raise ValueError
