"""The softmax policy over discrete actions: probabilities, choice, score.

Plain numpy arrays, no Nengo; the actions are the last axis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "choose",
    "probabilities",
    "score",
]


FloatArray = NDArray[np.floating]


def probabilities(preferences: FloatArray) -> FloatArray:
    r"""Return :math:`\pi_i = e^{h_i} / \sum_j e^{h_j}`.

    Parameters
    ----------
    preferences : (..., A) array
        The decoded preferences h.

    Examples
    --------
    >>> print(probabilities(np.array([0.0, np.log(3.0)])).round(12))
    [0.25 0.75]
    """
    # subtracting the largest changes no probability, and exp cannot overflow
    grown = np.exp(preferences - preferences.max(axis=-1, keepdims=True))
    shares: FloatArray = grown / grown.sum(axis=-1, keepdims=True)
    return shares


def choose(chances: FloatArray, uniform: float) -> int:
    """Return the action that a uniform number in [0, 1) selects.

    Parameters
    ----------
    chances : (A,) array
        From `probabilities`.
    uniform : float
        From 0 to below 1.

    Examples
    --------
    >>> choose(np.array([0.25, 0.75]), uniform=0.3)
    1
    """
    ladder = np.cumsum(chances)
    rung = int(np.searchsorted(ladder, uniform, side="right"))
    # the sum may be short of 1 by rounding, 1e-7 in single precision; the last action
    # that adds to the sum takes the rest, never an action of probability 0
    return min(rung, int(np.searchsorted(ladder, ladder[-1])))


def score(chances: FloatArray, action: int) -> FloatArray:
    r"""Return the characteristic eligibilities of the preferences.

    .. math:: \partial \ln \pi_k / \partial h_i = 1[i = k] - \pi_i

    They are centred: their mean under the policy is 0.

    Parameters
    ----------
    chances : (A,) array
        From `probabilities`.
    action : int
        The action k that was chosen.

    References
    ----------
    Sutton, R. S., & Barto, A. G. (2018). Reinforcement Learning, exercise 13.3.

    Examples
    --------
    >>> print(score(np.array([0.25, 0.75]), action=0))
    [ 0.75 -0.75]
    """
    centred = -chances
    centred[action] += 1.0
    return centred
