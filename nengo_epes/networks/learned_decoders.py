"""Decoders that are learned once a decision: what critic and actor share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import nengo
import numpy as np
from nengo.exceptions import BuildError, ValidationError

from nengo_epes.arithmetic.step_sizes import ObGD
from nengo_epes.learning_rules import EPES


@dataclass(frozen=True)
class LearnerSettings:
    r"""Settings that `Critic` and ``Actor`` share.

    Parameters
    ----------
    step : float, ObGD or Intentional
        The textbook's step size :math:`\alpha`, for activities in hertz (try a tenth of
        one over :math:`|a|^2`), or a bounded step. A bounded step does not depend on
        the size of the activities.
    discount : float, optional
        :math:`\gamma` of the trace; `TDError` receives its own from the environment.
    lambda_ : float, optional
        :math:`\lambda`; 0 for no trace. Discount times lambda is from 0 to below 1.
    trace_type : str, optional
        Kind of trace, a parameter of `nengo_epes.EPES`.
    pre_synapse : Synapse or float or None, optional
        Filter of the activities; None for rate neurons, about 0.02 for spiking neurons.
    dt : float, optional
        Simulator step in seconds, for which the trace is made; other steps are refused.

    Examples
    --------
    >>> LearnerSettings(step=1e-6, lambda_=0.8).discount
    0.99
    """

    step: object
    discount: float = 0.99
    lambda_: float = 0.9
    trace_type: str = "accumulating"
    pre_synapse: object = None
    dt: float = 0.001

    @property
    def trace_decay(self):
        """(float) Factor of the trace from decision to decision."""
        return self.discount * self.lambda_


def learn_decoders(state, output, settings, size_eligibility):
    """Connect a population to an output by weights that `~nengo_epes.EPES` learns.

    The rule has the controls ``hold`` and ``reset``. The weights are 0 at first.

    Parameters
    ----------
    state : nengo.Ensemble
        The population.
    output : nengo.Node or ObjView
        The output.
    settings : LearnerSettings
        The settings.
    size_eligibility : int
        0, or the dimensions of the output: one eligibility for each.

    Returns
    -------
    nengo.Connection

    Raises
    ------
    ValidationError
        If the state is not an ensemble, spiking neurons are not filtered, or discount
        times lambda is not from 0 to below 1.

    Examples
    --------
    >>> import nengo
    >>> with nengo.Network():
    ...     state, value = nengo.Ensemble(50, dimensions=1), nengo.Node(size_in=1)
    ...     settings = LearnerSettings(step=1e-6, pre_synapse=0.02)
    ...     conn = learn_decoders(state, value, settings, size_eligibility=0)
    >>> conn.learning_rule.size_in  # TD error, hold, reset
    3
    """
    _check(state, settings)
    step = settings.step
    rule = EPES(
        trace_synapse=_trace(settings),  # checks the decay, which the rate divides by
        learning_rate=_learning_rate(settings, state.n_neurons),
        trace_type=settings.trace_type,
        step=None if np.isscalar(step) else step,
        pre_synapse=settings.pre_synapse,
        size_eligibility=size_eligibility,
        feedback="rows" if size_eligibility else "broadcast",
        controls=("hold", "reset"),
    )
    return nengo.Connection(
        state.neurons,
        output,
        transform=np.zeros((output.size_in, state.n_neurons)),
        synapse=settings.pre_synapse,
        learning_rule_type=rule,
    )


def check_dt(dt, made_for):
    """Refuse a simulator step other than the one that the traces are made for.

    Parameters
    ----------
    dt, made_for : float
        Seconds.

    Raises
    ------
    BuildError
        If they differ.
    """
    if not math.isclose(dt, made_for, rel_tol=1e-9):
        raise BuildError(
            f"critics and actors were made for steps of dt={made_for:g} s (got "
            f"{dt:g} s); give them dt={dt:g}"
        )


def _check(state, settings):
    if not isinstance(state, nengo.Ensemble):
        raise ValidationError(
            f"must be an Ensemble, for example sphere_features(...) (got {state})",
            attr="state",
        )
    if state.neuron_type.spiking and settings.pre_synapse is None:
        raise ValidationError(
            f"the spikes of {state} ({state.neuron_type}) must be filtered (got None); "
            "give pre_synapse=nengo.Alpha(0.005), for example",
            attr="pre_synapse",
        )


def _trace(settings):
    decay = settings.trace_decay
    if decay == 0.0:
        return None
    if not 0.0 < decay < 1.0:
        raise ValidationError(
            "discount times lambda must be from 0, for no trace, to below 1 (got "
            f"{decay:g}); use smaller values",
            attr="lambda_",
        )
    return nengo.Lowpass(-settings.dt / math.log(decay))


def _learning_rate(settings, n_neurons):
    """Return the rate of the rule for the textbook's step size.

    The rule divides by n, and its accumulating trace is the textbook's times 1 - decay.
    """
    step, decay = settings.step, settings.trace_decay
    if isinstance(step, ObGD):
        size = step.max_rate**-2  # published is 1, for features of order 1
    else:
        size = step if np.isscalar(step) else 0.0
    gain = 1.0 - decay if settings.trace_type == "accumulating" else 1.0
    return size * n_neurons / gain
