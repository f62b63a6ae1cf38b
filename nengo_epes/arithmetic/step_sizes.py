r"""Step sizes that bound how far a TD error moves the weights along the trace.

The plain step is learning rate over n times TD error times trace. It has no bound: one
error can undo what was learned. `ObGD` reduces the step if it might overshoot.
`Intentional` needs no rate: it moves the output by an intended fraction of the error. A
step is called in every simulator step, after the trace was advanced::

    state = step.initial_state()  # an array that the caller stores
    scalar = step(state, rate, td_error, trace, eligibility, activities, decay)
    weights += scalar * trace  # rate and TD error are in it

* ``rate``: :math:`\kappa / n`, learning rate over presynaptic neurons, without dt;
* ``td_error``: :math:`\delta` in units of the reward: the rule's input times dt. The
  pulse delta / dt of an environment step is delta here; 0 says that there is no pulse;
* ``trace``: e, (rows, n_pre), of gain 1, see
  `~nengo_epes.arithmetic.updates.accumulate`;
* ``eligibility`` c, (rows,), ``activities`` a in hertz, (n_pre,): just added to it;
* ``decay``: :math:`\rho = e^{-dt / \tau_e}`, the factor by which the trace was just
  multiplied (0: no memory; 1: the trace was held, and nothing was added).

The textbook's trace is :math:`z \leftarrow \gamma\lambda z + c a^T` once in an
environment step. If that lasts D, with a held, and :math:`\gamma\lambda =
e^{-D / \tau_e}`, then :math:`e = (1 - \gamma\lambda) z` at its end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Intentional",
    "ObGD",
]


FloatArray = NDArray[np.floating]

# Hz^2; neurons that fire at all are beyond this by many orders of magnitude
SILENCE = 1e-12


@dataclass(frozen=True)
class ObGD:
    r"""The plain step, reduced if it might overshoot ("overshooting-bounded").

    .. math:: \Delta w = \frac{\kappa}{n} \frac{\delta e}{\max(1, M)}, \qquad
       M = \frac{\kappa}{n} k \max(|\delta|, 1) \, |e|_1 \, a_{max}

    with the margin k and the sum :math:`|e|_1` of the absolute values of all entries.
    For activities up to :math:`a_{max}`, the output then moves by at most
    :math:`\min(|\delta|, 1) / k`. The reason is :math:`|\Delta w \cdot a| \le |\Delta
    w|_1 a_{max}`. TD errors are compared with 1: scale the rewards to that order.

    Parameters
    ----------
    kappa : float, optional
        The margin k; published are 2 for critics and 3 for actors.
    max_rate : float, optional
        The largest activity in hertz; Nengo draws maximum rates from 200 to 400.

    Raises
    ------
    ValueError
        If a parameter is not a finite number above 0.

    Notes
    -----
    Published is :math:`\alpha \delta z / \max(1, \alpha k \max(|\delta|, 1) |z|_1)`,
    :math:`\alpha = 1`, for features of order 1. Let them be :math:`a / a_{max}`, their
    weights :math:`a_{max} w`, their trace z. As :math:`e = (1 - \gamma\lambda) a_{max}
    z`, with :math:`\alpha = (1 - \gamma\lambda) a_{max}^2 \kappa / n` it is the same:

    .. math:: a_{max} \frac{\kappa}{n} \delta e = \alpha \delta z, \qquad
       \frac{\kappa}{n} |e|_1 a_{max} = \alpha |z|_1

    References
    ----------
    .. [1] Elsayed, M., Vasan, G., & Mahmood, A. R. (2024). Streaming deep reinforcement
       learning finally works. arXiv 2410.14606.

    Examples
    --------
    An error of 3, uncut, might move the output by 0.01 x 3 x 20 x 100 = 60:

    >>> step = ObGD(kappa=2, max_rate=100)
    >>> e, c, a = np.array([[10.0, -10.0]]), np.ones(1), np.array([10.0, 0.0])
    >>> scalar = step(step.initial_state(), 0.01, 3.0, e, c, a, 0.9)
    >>> print(np.abs(scalar * e).sum() * 100)
    0.5
    """

    kappa: float = 2.0
    max_rate: float = 400.0

    def __post_init__(self) -> None:
        """Check the parameters, and make them floats."""
        _validate_positive(self, "kappa")
        _validate_positive(self, "max_rate")

    def initial_state(self) -> FloatArray:
        """Return an empty array: nothing is remembered."""
        return np.zeros(0)

    def __call__(
        self,
        state: FloatArray,
        rate: float,
        td_error: float,
        trace: FloatArray,
        eligibility: FloatArray,
        activities: FloatArray,
        decay: float,
    ) -> float:
        """Return the scalar for the trace; the last three do not matter."""
        delta = float(td_error)
        if delta == 0.0:
            return 0.0
        size = float(np.abs(trace).sum())
        move = rate * self.kappa * max(abs(delta), 1.0) * size * self.max_rate
        return float(rate) * (delta / max(1.0, move))


@dataclass(frozen=True)
class Intentional:
    r"""A step that moves the output by an intended fraction of the TD error.

    .. math:: \Delta w = \eta \tilde\delta \frac{e}{\sqrt{\sigma} \, |e|_2}, \qquad
       \sigma = \langle |c|^2 |a|^2 \rangle

    The running mean :math:`\sigma` of the squared norm of the trace's increments has
    the time constant of the trace. The TD error :math:`\tilde\delta` is limited to
    ``clip`` times its running root mean square. The scale of the activities cancels.
    Without memory this is normalised least mean squares: the output, weighted by c,
    moves by exactly :math:`\eta \tilde\delta`.

    A policy that becomes certain has scores c near 0. Its steps would grow until the
    policy breaks. A ``floor`` f bounds the mean squared score from below:

    .. math:: \sigma = \max(\langle |c|^2 \rangle, f)\, \langle |a|^2 \rangle

    Parameters
    ----------
    eta : float, optional
        The fraction; published are 0.5 for critics and 0.05 for actors. It takes the
        place of the learning rate, which does not matter. Above 2 a pulse makes the
        error larger that it is to correct, and learning may diverge.
    normalize : bool, optional
        Whether to divide the limited TD error by the running mean of its size: for
        actors, so that rewards may have any scale.
    clip : float or None, optional
        The limit, in root mean squares; None for none.
    delta_decay : float, optional
        Decay per pulse of what is remembered of the TD error, above 0 and below 1.
    floor : float or None, optional
        Lower bound f of the mean squared score, without a unit; 0.2 suits softmax and
        Gaussian policies. None: the published form, without a bound.
    shrink : float or None, optional
        Number T of TD errors: after t TD errors the fraction is eta / sqrt(1 + t / T).
        None: eta is constant.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    The published form is :math:`\eta \delta z / \sqrt{\sigma |z|^2}`. Once in an
    environment step, :math:`\sigma \leftarrow \gamma\lambda \sigma + (1 -
    \gamma\lambda) |c|^2 |a|^2`. Both forms are equal for two reasons. First, :math:`e /
    |e| = z / |z|`: the factor :math:`1 - \gamma\lambda` cancels. Second, m simulator
    steps with constant x multiply :math:`\sigma` by :math:`\rho^m = \gamma\lambda` and
    add :math:`(1 - \rho^m) x`. While the trace is held, :math:`\sigma` is held, too.
    Emptying the trace does not change :math:`\sigma`.

    The state holds ``[sigma, weight, delta^2, |delta|, weight, |c|^2, |a|^2, t]``: sums
    from 0, and the sums of their terms' weights (:math:`1 - \rho^t` after t steps). A
    mean is the quotient, right from the first term on. Three things differ from the
    publication. A TD error of exactly 0 is no pulse, and enters no mean. There is no
    diagonal scaling. The step is 0 if :math:`\sqrt\sigma |e|_2` is below 1e-12 square
    hertz.

    References
    ----------
    .. [1] Sharifnassab, A., Elsayed, M., De Asis, K., Mahmood, A. R., & Sutton, R. S.
       (2026). Intentional updates for streaming reinforcement learning.
       arXiv 2604.19033.

    Examples
    --------
    >>> step = Intentional(eta=0.5)
    >>> e, c, a = np.array([[30.0, 40.0]]), np.ones(1), np.array([30.0, 40.0])
    >>> scalar = step(step.initial_state(), 0.0, 2.0, e, c, a, decay=0.0)
    >>> print(scalar * e @ a)  # the output moves by half the error
    [1.]
    """

    eta: float = 0.5
    normalize: bool = False
    clip: float | None = 20.0
    delta_decay: float = 0.9998
    floor: float | None = None
    shrink: float | None = None

    def __post_init__(self) -> None:
        """Check the parameters, and make them floats."""
        _validate_positive(self, "eta")
        for name in ("clip", "floor", "shrink"):
            if getattr(self, name) is not None:
                _validate_positive(self, name)
        _validate_positive(self, "delta_decay", below=1.0)
        if not isinstance(self.normalize, bool):
            raise ValueError(
                f"normalize: must be True or False (got {self.normalize!r})"
            )

    def initial_state(self) -> FloatArray:
        """Return eight zeros: nothing has been seen."""
        return np.zeros(8)

    def __call__(
        self,
        state: FloatArray,
        rate: float,
        td_error: float,
        trace: FloatArray,
        eligibility: FloatArray,
        activities: FloatArray,
        decay: float,
    ) -> float:
        """Return the scalar for the trace; the rate does not matter."""
        if decay < 1.0:
            score = float(np.dot(eligibility, eligibility))
            activity = float(np.dot(activities, activities))
            take = 1.0 - decay
            state[0] = decay * state[0] + take * score * activity
            state[1] = decay * state[1] + take
            if self.floor is not None:
                state[5] = decay * state[5] + take * score
                state[6] = decay * state[6] + take * activity
        delta = float(td_error)
        if delta == 0.0:
            return 0.0
        delta = self._limited(state, delta)
        norm = math.sqrt(self._sigma(state)) * math.sqrt(np.vdot(trace, trace))
        eta = self.eta
        if self.shrink is not None:
            state[7] += 1.0
            eta /= math.sqrt(1.0 + float(state[7]) / self.shrink)
        return eta * delta / norm if norm > SILENCE else 0.0

    def _sigma(self, state: FloatArray) -> float:
        """Return the mean square of what is added to the trace."""
        weight = float(state[1])
        if weight == 0.0:
            return 0.0
        if self.floor is None:
            return float(state[0]) / weight
        score, activity = float(state[5]) / weight, float(state[6]) / weight
        return max(score, self.floor) * activity

    def _limited(self, state: FloatArray, delta: float) -> float:
        """Take a TD error into the means, and limit and divide it by them."""
        keep, take = self.delta_decay, 1.0 - self.delta_decay
        state[4] = weight = keep * float(state[4]) + take
        state[2] = keep * float(state[2]) + take * delta * delta
        if self.clip is not None:
            limit = self.clip * math.sqrt(float(state[2]) / weight)
            delta = math.copysign(min(abs(delta), limit), delta)
        state[3] = keep * float(state[3]) + take * abs(delta)
        mean = float(state[3]) / weight if self.normalize else 1.0
        return delta / mean if mean > 0.0 else 0.0


def _validate_positive(
    step: ObGD | Intentional, name: str, below: float = math.inf
) -> None:
    """Check a parameter, and make it a float; numpy's repr cannot be evaluated."""
    given = getattr(step, name)
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = math.nan  # which no comparison accepts
    if not 0.0 < value < below:
        example = type(step).__dataclass_fields__[name].default or 0.2
        raise ValueError(
            f"{name}: must be above 0 and below {below:g} (got {given!r}); use a "
            f"number such as {example}"
        )
    object.__setattr__(step, name, value)
