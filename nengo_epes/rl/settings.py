"""The single setting of the agent, shared by all environments."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, fields, replace
from typing import Any

import nengo
import numpy as np
from nengo.exceptions import ValidationError

NEURON_TYPES = {"rate": nengo.RectifiedLinear, "lif": nengo.LIF}


@dataclass(frozen=True)
class Settings:
    r"""Settings of an `Agent`, shared by all environments.

    Parameters
    ----------
    n_neurons : int
        Number of neurons, half global and half local; see
        `nengo_epes.networks.sphere_features`. Discrete observations have one neuron for
        each state instead.
    local_share : float
        Share of the neurons that are local, from 0 to 1.
    discount : float
        Discount :math:`\gamma` of an environment step.
    lambda_critic, lambda_actor : float
        Trace decay :math:`\lambda` of the critic and of the actor.
    eta_critic, eta_actor : float
        Fraction of the TD error by which one update moves the output; see
        `nengo_epes.arithmetic.step_sizes.Intentional`.
    shrink : float or None
        Number of environment steps after which the actor's fraction starts to shrink,
        as 1 / sqrt(1 + t / shrink) after t steps. None: the fraction is constant.
    floor : float
        Lower bound of the mean squared score, by which the actor's step is divided.
    entropy_bonus : float
        Reward for each nat of entropy of a decision, in units of the scaled reward.
    std : float
        Standard deviation of continuous actions, divided by the square root of the
        number of actions. The unit is half the range of an action.
    reach : float
        Largest distance of the mean of a continuous action from the middle of its
        range. The unit is half the range; 1 is the bound of the environment.
    slow : float
        Share of slow noise in the variance of continuous actions.
    kept : float
        Correlation of the slow noise of successive decisions.
    clip : float
        Bound of normalized observations, in standard deviations.
    scale_rewards, normalize_observations : bool
        Whether rewards are scaled and observations normalized.

    Examples
    --------
    >>> Settings(eta_actor=0.02).eta_actor
    0.02
    """

    n_neurons: int = 1000
    local_share: float = 0.5
    discount: float = 0.99
    lambda_critic: float = 0.95
    lambda_actor: float = 0.9
    eta_critic: float = 0.4
    eta_actor: float = 0.04
    shrink: float | None = 5000.0
    floor: float = 0.2
    entropy_bonus: float = 0.003
    std: float = 0.8
    reach: float = 1.5
    slow: float = 0.3
    kept: float = 0.9
    clip: float = 3.0
    scale_rewards: bool = True
    normalize_observations: bool = True


# one neuron for each state: features that do not overlap share no credit, and rare
# states would learn too little with a shrinking step
DISCRETE = Settings(lambda_critic=0.0, lambda_actor=0.0, eta_actor=0.02, shrink=None)


def _is_share(value: float) -> bool:
    return 0 <= value <= 1


# descriptions and ranges of settings that are not simply above 0
_RANGES = {
    "n_neurons": ("an int of at least 1", lambda value: value >= 1),
    "discount": ("a number from 0 to 1", _is_share),
    "lambda_critic": ("a number from 0 to 1", _is_share),
    "lambda_actor": ("a number from 0 to 1", _is_share),
    "local_share": ("a number from 0 to 1", _is_share),
    "slow": ("a number from 0 to 1", _is_share),
    "kept": ("a number from 0 to below 1", lambda value: 0 <= value < 1),
    "entropy_bonus": ("a number of at least 0", lambda value: value >= 0),
}
_POSITIVE = ("a number above 0", lambda value: value > 0)


def choose_settings(is_discrete: bool, changes: dict[str, Any]) -> Settings:
    """Return the settings for a kind of observations.

    Parameters
    ----------
    is_discrete : bool
        Whether the observations are one of several states.
    changes : dict of str to object
        Fields of `Settings` to change.

    Returns
    -------
    Settings

    Raises
    ------
    ValidationError
        If there is no such field, or a value has another type or is out of range.

    Examples
    --------
    >>> choose_settings(True, {"discount": 0.9}).lambda_critic
    0.0
    """
    base, changes = DISCRETE if is_discrete else Settings(), dict(changes)
    known = {field.name: getattr(base, field.name) for field in fields(Settings)}
    for name, value in changes.items():
        if name not in known:
            raise ValidationError(
                f"there is no setting {name!r}; the settings are {', '.join(known)}",
                attr="settings",
            )
        changes[name] = _check(name, value, known[name])
    return replace(base, **changes)


def _check(name: str, value: Any, default: Any) -> Any:
    """Return the value of a setting as a plain Python object."""
    if name == "shrink" and value is None:
        return None
    if isinstance(default, bool):
        wanted, fits = "True or False", isinstance(value, bool)
        plain = value
    else:
        kind = numbers.Integral if name == "n_neurons" else numbers.Real
        wanted, is_in_range = _RANGES.get(name, _POSITIVE)
        fits = isinstance(value, kind) and not isinstance(value, bool)
        fits = fits and math.isfinite(value) and is_in_range(value)
        plain = value.item() if isinstance(value, np.generic) else value
    if not fits:
        example = Settings.__dataclass_fields__[name].default
        raise ValidationError(
            f"must be {wanted} (got {value!r}), such as {example!r}", attr=name
        )
    return plain


def choose_neurons(neurons: Any) -> nengo.neurons.NeuronType:
    """Return the neuron type of a name, or the type itself.

    Parameters
    ----------
    neurons : str or nengo.neurons.NeuronType
        "rate", "lif", or a neuron type.

    Returns
    -------
    nengo.neurons.NeuronType

    Raises
    ------
    ValidationError
        If it is neither, or `nengo.Direct`.

    Examples
    --------
    >>> choose_neurons("lif")
    LIF()
    """
    if isinstance(neurons, nengo.neurons.NeuronType):
        if isinstance(neurons, nengo.Direct):
            raise ValidationError(
                "nengo.Direct() has no neurons to learn from; use 'rate'",
                attr="neurons",
            )
        return neurons
    if not isinstance(neurons, str) or neurons not in NEURON_TYPES:
        raise ValidationError(
            f"must be {' or '.join(map(repr, NEURON_TYPES))}, or a Nengo neuron type "
            f"such as nengo.LIFRate() (got {neurons!r})",
            attr="neurons",
        )
    return NEURON_TYPES[neurons]()
