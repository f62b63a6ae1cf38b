"""Decoders that are learned once a decision: what critic and actor share."""

from __future__ import annotations

import math

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


class LearnedDecoders(nengo.Network):
    """Decoders of a population, learned by `EPES` once a decision.

    See `Critic` and `Actor`, which say what is told here in general. Nodes:
    ``td_error``, ``decide`` and ``reset``.

    Parameters
    ----------
    state : nengo.Ensemble
        The population.
    trace_decay : float
        By which the trace decays from decision to decision: discount times lambda.
    step : float, ObGD or Intentional
        The textbook's step size, or a bounded step.
    trace_type, pre_synapse, dt
        See `Critic`.
    label, seed, add_to_container : optional
        See `nengo.Network`.
    """

    def __init__(
        self,
        state,
        trace_decay,
        step,
        trace_type,
        pre_synapse,
        dt,
        label=None,
        seed=None,
        add_to_container=None,
    ):
        super().__init__(label=label, seed=seed, add_to_container=add_to_container)
        self.state = state
        self._check(pre_synapse)
        self._rule = {
            "trace_synapse": self._trace(trace_decay, dt),
            "learning_rate": self._learning_rate(step, trace_decay, trace_type),
            "trace_type": trace_type,
            "step": None if np.isscalar(step) else step,
            "pre_synapse": pre_synapse,
            "controls": ("hold", "reset"),
        }
        with self:
            self.td_error = nengo.Node(size_in=1, label="td_error")
            self.decide = nengo.Node(size_in=1, label="decide")
            self.reset = nengo.Node(size_in=1, label="reset")
            self._hold = nengo.Node(_Hold(dt), label="hold")
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

    def _check(self, pre_synapse):
        if not isinstance(self.state, nengo.Ensemble):
            raise ValidationError(
                f"must be an Ensemble, as from place_cells or random_features (got "
                f"{self.state})",
                attr="state",
                obj=self,
            )
        neurons = self.state.neuron_type
        if neurons.spiking and pre_synapse is None:
            raise ValidationError(
                f"{self.state} has spiking neurons ({neurons}), whose spikes have to "
                "be filtered before they mean anything; give pre_synapse=0.02, for "
                "example",
                attr="pre_synapse",
                obj=self,
            )

    def _trace(self, decay, dt):
        if decay == 0.0:
            return None
        if not 0.0 < decay < 1.0:
            raise ValidationError(
                f"discount times lambda_ is {decay:g}: give values of which it is from "
                "0, for no trace, to below 1",
                attr="lambda_",
                obj=self,
            )
        return nengo.Lowpass(-dt / math.log(decay))

    def _learning_rate(self, step, decay, trace_type):
        """Return the rate that makes the textbook's step size of the rule's.

        The rule divides by n, and its accumulating trace is the textbook's times
        1 - decay.
        """
        if isinstance(step, ObGD):
            size = step.max_rate**-2  # published is 1, for features of order 1
        else:
            size = step if np.isscalar(step) else 0.0
        gain = 1.0 - decay if trace_type == "accumulating" else 1.0
        return size * self.state.n_neurons / gain
