"""Parameters of the learning rules that validate themselves."""

from __future__ import annotations

import math

import numpy as np
from nengo.dists import Distribution
from nengo.exceptions import ValidationError
from nengo.params import NumberParam, Parameter, TupleParam
from nengo.synapses import SynapseParam
from nengo.utils.numpy import array_hash, is_number

from nengo_epes.surrogates import RateDerivative, VoltageSurrogate


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
            raise ValidationError(
                f"must be a finite number (got {str(num)[:20]}); for a learning rate "
                "try nengo_epes.stability.suggest_learning_rate",
                attr=self.name,
                obj=instance,
            )
        return super().coerce(instance, num)


class FilterParam(SynapseParam):
    """A synapse whose time constant, if it has one, is finite."""

    def __init__(self, name, default):
        super().__init__(name, default=default, readonly=True)

    def coerce(self, instance, synapse):
        """Refuse a time constant so long that the filter never changes."""
        synapse = super().coerce(instance, synapse)
        tau = getattr(synapse, "tau", 0.0)
        if isinstance(tau, int | float) and not (math.exp(-1 / tau) < 1 if tau else 1):
            raise ValidationError(
                f"must have a finite time constant in seconds (got {synapse}); nothing "
                "would ever pass the filter; use None for no filter",
                attr=self.name,
                obj=instance,
            )
        return synapse


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


class ControlsParam(TupleParam):
    """Names of the control inputs on the port, each at most once."""

    equatable = True
    names = ("hold", "reset")

    def coerce(self, instance, value):
        """Validate the names; a single name needs no tuple."""
        value = super().coerce(instance, (value,) if isinstance(value, str) else value)
        known = all(isinstance(name, str) and name in self.names for name in value)
        if not known or len(set(value)) < len(value):
            raise ValidationError(
                f"must be some of {self.names}, each once (got {value})",
                attr=self.name,
                obj=instance,
            )
        return value


class BoundsParam(TupleParam):
    """A pair (low, high), or None."""

    equatable = True

    def __init__(self, name):
        super().__init__(name, default=None, optional=True, readonly=True)

    def coerce(self, instance, value):
        """Validate the order."""
        value = super().coerce(instance, value)
        try:
            value = None if value is None else tuple(float(v) for v in value)
            fits = value is None or (len(value) == 2 and value[0] < value[1])
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise ValidationError(
                "must be (low, high) with low below high, or None (got "
                f"{value}); use -np.inf or np.inf for a side without bound",
                attr=self.name,
                obj=instance,
            )
        return value


class PostDerivativeParam(Parameter):
    """A pseudo-derivative of `nengo_epes.surrogates`, "auto", or None."""

    equatable = True

    def __init__(self, name):
        super().__init__(name, default=None, optional=True, readonly=True)

    def coerce(self, instance, value):
        """Validate the type; the builder checks that it fits the neurons."""
        kinds = (VoltageSurrogate, RateDerivative)
        if value is not None and value != "auto" and not isinstance(value, kinds):
            raise ValidationError(
                "must be a pseudo-derivative such as "
                f'nengo_epes.surrogates.PiecewiseLinear(), "auto", or None (got '
                f"{value!r})",
                attr=self.name,
                obj=instance,
            )
        return super().coerce(instance, value)


class StepParam(Parameter):
    """A bounded step, see `nengo_epes.steps`, or None."""

    equatable = True

    def __init__(self, name):
        super().__init__(name, default=None, optional=True, readonly=True)

    def coerce(self, instance, value):
        """Validate that it can be called and can make its state."""
        made = callable(value) and hasattr(value, "initial_state")
        if value is not None and (not made or isinstance(value, type)):
            raise ValidationError(
                "must be an instance such as nengo_epes.steps.ObGD(), or None (got "
                f"{value!r})",
                attr=self.name,
                obj=instance,
            )
        return super().coerce(instance, value)


class FeedbackParam(Parameter):
    """A name, a matrix, a Distribution, or None."""

    equatable = True
    names = ("broadcast", "rows", "encoders")

    def __init__(self, name):
        super().__init__(name, default=None, optional=True, readonly=True)

    def coerce(self, instance, value):
        """Validate the type; a matrix is stored as a read-only copy."""
        if isinstance(value, str):
            if value not in self.names:
                self._refuse(instance, value)
        elif value is not None and not isinstance(value, Distribution):
            try:
                value = np.array(value, dtype=float)
            except (TypeError, ValueError):
                self._refuse(instance, value)
            if value.ndim != 2 or not np.isfinite(value).all():
                self._refuse(instance, value)
            value.setflags(write=False)
        return super().coerce(instance, value)

    def _refuse(self, instance, value):
        raise ValidationError(
            f"must be None, one of {self.names}, a finite matrix (n_post, "
            "size_eligibility or size_td_error), or a nengo Distribution (got "
            f"{value!r})",
            attr=self.name,
            obj=instance,
        )

    def hashvalue(self, instance):
        """Return a value that is equal for equal feedbacks."""
        value = self.__get__(instance, None)
        return array_hash(value) if isinstance(value, np.ndarray) else value
