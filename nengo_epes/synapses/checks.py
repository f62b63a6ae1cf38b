"""Checks and the builder that delays and linear systems share."""

from __future__ import annotations

import math
import warnings
from numbers import Real

from nengo.builder.processes import build_process
from nengo.exceptions import NengoWarning, ValidationError
from nengo.utils.numpy import is_integer


def check_sample_time(synapse, dt):
    """Refuse to run a discrete system with steps that it was not made for.

    Parameters
    ----------
    synapse : TappedDelay or LTI
        Its ``sample_time`` in seconds is None if any step fits.
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


def build_synapse(model, synapse, sig_in=None, sig_out=None, mode="set"):
    """Build a delay or linear system; warn of the lag of a passthrough.

    The work is `nengo.builder.processes.build_process`'s; ``mode`` is "update" on
    Connections and probes, where the simulator adds its step.
    """
    if mode == "update" and getattr(synapse, "lags", None) == (0,):
        raise ValidationError(
            "a delay of 0 steps is impossible on a Connection, where a synapse takes "
            "at least one step; use synapse=None",
            attr="synapse",
            obj=synapse,
        )
    if mode == "update" and synapse.has_passthrough:
        warnings.warn(
            f"{synapse} has passthrough, so that it arrives one step late on a "
            "Connection; make every lag at least 1 to avoid that",
            NengoWarning,
            stacklevel=2,
        )
    return build_process(model, synapse, sig_in, sig_out, mode)
