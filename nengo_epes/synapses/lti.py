"""Linear systems with poles, as synapses."""

from __future__ import annotations

import numpy as np
from nengo.builder import Builder
from nengo.exceptions import ValidationError
from nengo.params import NumberParam
from nengo.synapses import LinearFilter

from nengo_epes.synapses.checks import build_synapse, check_sample_time


class LTI(LinearFilter):
    """A `nengo.LinearFilter` with poles, made by `~nengo_epes.from_lti`.

    It adds three things to its base class: it refuses other simulator steps than the
    system's, warns about passthrough on a Connection, and has a one-dimensional
    ``filt``.

    Parameters
    ----------
    num, den : array_like
        Polynomials in s (analog) or z, the highest power first.
    analog : bool, optional
        Whether the system is in continuous time.
    sample_time : float, optional
        Simulator step in seconds of a discrete system; None for any step.

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


def check_stable(den, analog):
    """Refuse a denominator with a pole outside of the stable region."""
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


Builder.register(LTI)(build_synapse)
