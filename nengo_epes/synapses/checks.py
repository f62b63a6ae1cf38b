"""What a delay, a weight and a step must be."""

from __future__ import annotations

import math
from numbers import Real

from nengo.exceptions import ValidationError
from nengo.utils.numpy import is_integer


def check_sample_time(synapse, dt):
    """Refuse to run a discrete system with steps that it was not made for.

    Parameters
    ----------
    synapse : TappedDelay or LTI
        Its ``sample_time`` in seconds is None where any step will do.
    dt : float
        The simulator's step in seconds.
    """
    made_for = synapse.sample_time
    if made_for is not None and not math.isclose(made_for, dt):
        raise ValidationError(
            f"the system was made for steps of {made_for:g} s, but the simulator's dt "
            f"is {dt:g} s; simulate with dt={made_for:g}, or discretise the system for "
            f"{dt:g}",
            attr="sample_time",
            obj=synapse,
        )


def checked_lag(lag, synapse):
    """Return a lag as an int, or refuse it in the name of its synapse."""
    if not is_integer(lag) or lag < 0:
        raise ValidationError(
            f"a delay is a non-negative integer number of simulator steps "
            f"(got {lag!r}); for a delay in seconds use round(seconds / dt)",
            attr="lags",
            obj=synapse,
        )
    return int(lag)


def checked_weight(weight, synapse):
    """Return a weight as a float, or refuse it in the name of its synapse."""
    if not isinstance(weight, Real) or not math.isfinite(weight):
        raise ValidationError(
            f"the weight of a delay must be a finite real number (got {weight!r})",
            attr="weights",
            obj=synapse,
        )
    return float(weight)
