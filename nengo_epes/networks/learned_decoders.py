"""Decoders that are learned once a decision: what critic and actor share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import nengo
import numpy as np
from nengo.exceptions import BuildError, ValidationError

from nengo_epes.arithmetic.step_sizes import ObGD
from nengo_epes.learning_rules import EPES


class _Hold(nengo.Process):
    """Holds a trace in all steps but those of decisions.

    The traces are made for a dt, which is checked here.
    """

    def __init__(self, made_for):
        super().__init__(default_size_in=1, default_size_out=1)
        self.made_for = made_for

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        """Refuse another dt, while the model is built."""
        if not math.isclose(dt, self.made_for, rel_tol=1e-9):
            raise BuildError(
                "critics and actors were made for steps of "
                f"dt={self.made_for:g} s, and the simulator's are {dt:g} s; give them "
                f"dt={dt:g}"
            )
        return {}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one step."""
        return lambda t, decides: decides <= 0.5


@dataclass(frozen=True)
class LearnerSettings:
    r"""Settings that `Critic` and `Actor` share.

    Parameters
    ----------
    step : float, ObGD or Intentional
        A number is the textbook's step size :math:`\alpha`, for activities in hertz (a
        tenth of one over :math:`|a|^2` is a good start); else a bounded step, which
        does not depend on the size of the activities.
    discount : float, optional
        :math:`\gamma` of the trace; `TDError` receives its own from the environment.
    lambda_ : float, optional
        :math:`\lambda`; 0 for no trace. Discount times lambda is from 0 to below 1.
    trace_type : str, optional
        Kind of trace, a parameter of `nengo_epes.EPES`.
    pre_synapse : Synapse or float or None, optional
        Filter of the activities; None for rate neurons, 0.02 or so for spiking ones.
    dt : float, optional
        Simulator step in seconds, for which the trace is made; another one is refused.

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


class LearnedDecoders(nengo.Network):
    """Decoders of a population that `EPES` learns, one update a decision.

    Base class of `Critic` and `Actor`. Nodes: ``td_error``, ``decide``, ``reset``.

    Parameters
    ----------
    state : nengo.Ensemble
        The population.
    settings : LearnerSettings
        The settings.
    label, seed, add_to_container : optional
        Parameters of `nengo.Network`.
    """

    def __init__(self, state, settings, label=None, seed=None, add_to_container=None):
        super().__init__(label=label, seed=seed, add_to_container=add_to_container)
        self.state = state
        self._check(settings)
        step = settings.step
        self._rule = {
            "trace_synapse": self._trace(settings),
            "learning_rate": self._learning_rate(settings),
            "trace_type": settings.trace_type,
            "step": None if np.isscalar(step) else step,
            "pre_synapse": settings.pre_synapse,
            "controls": ("hold", "reset"),
        }
        with self:
            self.td_error = nengo.Node(size_in=1, label="td_error")
            self.decide = nengo.Node(size_in=1, label="decide")
            self.reset = nengo.Node(size_in=1, label="reset")
            self._hold = nengo.Node(_Hold(settings.dt), label="hold")
            nengo.Connection(self.decide, self._hold, synapse=None)

    def learn(self, output, eligibility):
        """Connect the population to an output by weights that are learned.

        Parameters
        ----------
        output : nengo.Node
            The output; the weights are 0 at first.
        eligibility : nengo object
            The characteristic eligibility, one number a dimension of the output.

        Returns
        -------
        nengo.Connection
            The learned one.
        """
        rows = output.size_in
        neurons = self.state.neurons
        rule = EPES(size_eligibility=rows, feedback="rows", **self._rule)
        learned = nengo.Connection(
            neurons,
            output,
            transform=np.zeros((rows, neurons.size_out)),
            synapse=self._rule["pre_synapse"],
            learning_rule_type=rule,
            label=f"{self.label}: learned",
        )
        port = learned.learning_rule
        nengo.Connection(self.td_error, port[rule.td_error], synapse=None)
        nengo.Connection(eligibility, port[rule.eligibility], synapse=None)
        nengo.Connection(self._hold, port[rule.hold], synapse=None)
        nengo.Connection(self.reset, port[rule.reset], synapse=None)
        return learned

    def _check(self, settings):
        if not isinstance(self.state, nengo.Ensemble):
            raise ValidationError(
                f"must be an Ensemble, as from place_cells or random_features (got "
                f"{self.state})",
                attr="state",
                obj=self,
            )
        neurons = self.state.neuron_type
        if neurons.spiking and settings.pre_synapse is None:
            raise ValidationError(
                f"{self.state} has spiking neurons ({neurons}), whose spikes have to "
                "be filtered before they mean anything; give pre_synapse=0.02, for "
                "example",
                attr="pre_synapse",
                obj=self,
            )

    def _trace(self, settings):
        decay = settings.trace_decay
        if decay == 0.0:
            return None
        if not 0.0 < decay < 1.0:
            raise ValidationError(
                f"discount times lambda_ is {decay:g}: use values whose product is "
                "from 0, for no trace, to below 1",
                attr="lambda_",
                obj=self,
            )
        return nengo.Lowpass(-settings.dt / math.log(decay))

    def _learning_rate(self, settings):
        """Return the rate of the rule for the textbook's step size.

        The rule divides by n, and its accumulating trace is the textbook's times
        1 - decay.
        """
        step, decay = settings.step, settings.trace_decay
        if isinstance(step, ObGD):
            size = step.max_rate**-2  # published is 1, for features of order 1
        else:
            size = step if np.isscalar(step) else 0.0
        gain = 1.0 - decay if settings.trace_type == "accumulating" else 1.0
        return size * self.state.n_neurons / gain
