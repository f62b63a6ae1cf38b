"""Parameters of the learning rules that check themselves."""

from __future__ import annotations

import numpy as np
from nengo.dists import Distribution
from nengo.exceptions import ValidationError
from nengo.params import Parameter, TupleParam
from nengo.utils.numpy import array_hash

from nengo_epes.surrogates import RateDerivative, VoltageSurrogate


class Probeable:
    """The names of what can be probed; more of them where the rule makes more."""

    names = (
        "error",
        "td_error",
        "characteristic_eligibility",
        "activities",
        "eligibility_trace",
        "delta",
    )

    def __get__(self, rule, rule_class):
        """Return the names for a rule, or those of any rule for the class."""
        if rule is None or rule.post_derivative is None:
            return self.names
        return (*self.names, "post_derivative")


class ControlsParam(TupleParam):
    """Names of further inputs on the port, each at most once."""

    equatable = True
    names = ("hold", "reset")

    def coerce(self, instance, value):
        """Check the names; a single name may stand without its tuple."""
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

    def coerce(self, instance, value):
        """Check the order."""
        value = super().coerce(instance, value)
        try:
            value = None if value is None else tuple(float(v) for v in value)
            fits = value is None or (len(value) == 2 and value[0] < value[1])
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise ValidationError(
                "must be (low, high) with low below high, or None (got "
                f"{value}); for a side without bound give -np.inf or np.inf",
                attr=self.name,
                obj=instance,
            )
        return value


class PostDerivativeParam(Parameter):
    """A pseudo-derivative of `nengo_epes.surrogates`, "auto", or None."""

    equatable = True

    def coerce(self, instance, value):
        """Check the kind; whether it suits the neurons is known at the build."""
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

    def coerce(self, instance, value):
        """Check that it can be called and can make its state."""
        if value is not None and not (
            callable(value) and hasattr(value, "initial_state")
        ):
            raise ValidationError(
                "must be a bounded step such as nengo_epes.steps.ObGD(), or None (got "
                f"{value!r})",
                attr=self.name,
                obj=instance,
            )
        return super().coerce(instance, value)


class FeedbackParam(Parameter):
    """The name of a way to the rows, a matrix, a Distribution of one, or None."""

    equatable = True
    names = ("broadcast", "rows", "encoders")

    def __init__(self, name):
        super().__init__(name, default=None, optional=True, readonly=True)

    def coerce(self, instance, value):
        """Check the kind; a matrix is kept as a read-only copy."""
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
            f"must be None, one of {self.names}, a finite matrix (rows, "
            f"size_eligibility), or a nengo Distribution (got {value!r})",
            attr=self.name,
            obj=instance,
        )

    def hashvalue(self, instance):
        """Return what equal feedbacks have in common."""
        value = self.__get__(instance, None)
        return array_hash(value) if isinstance(value, np.ndarray) else value
