"""The critic: learns the value of a state."""

from __future__ import annotations

import nengo

from nengo_epes.arithmetic.step_sizes import Intentional
from nengo_epes.networks.learned_decoders import (
    LearnerSettings,
    check_dt,
    learn_decoders,
)

STEP = Intentional(0.4)


class _Hold(nengo.Process):
    """Holds a trace in all simulator steps without a decision."""

    def __init__(self, made_for):
        super().__init__(default_size_in=1, default_size_out=1)
        self.made_for = made_for

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        """Refuse another dt, while the model is built."""
        check_dt(dt, self.made_for)
        return {}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one simulator step."""
        return lambda t, decides: decides <= 0.5


class Critic(nengo.Network):
    r"""Learns the value of a state, V(s), from the neurons that represent it.

    The value is decoded from the state's neurons, :math:`V = w \cdot a`, and
    `~nengo_epes.EPES` on this one connection learns w by TD(lambda): eligibility 1, and
    the TD error from `TDError`. In an environment step of n simulator steps, as
    `~nengo_epes.rl.Environment` has it:

    ============== ============================== ====================================
    simulator step there is                       with the weights
    ============== ============================== ====================================
    1              the state :math:`s_k`          after the change by
                                                  :math:`\delta_{k-1}`
    1 ... n - 1    the network settles; the trace the same
                   is held and has what came
                   before :math:`s_k`
    n - 1          ``learn``: the pulse           the same, in both values
                   :math:`\delta_k = r_k +
                   \gamma V(s_k) - V(s_{k-1})`
                   changes the weights
    n              ``decide``: the trace decays   after the change by
                   by :math:`\gamma\lambda` and   :math:`\delta_k`
                   takes in :math:`s_k`;
                   :math:`V(s_k)` is stored for
                   the next pulse
    ============== ============================== ====================================

    So each value equals the textbook's: both are computed with the weights before the
    change. This needs n of at least 2.

    Parameters
    ----------
    state : nengo.Ensemble
        Neurons that represent the state, see `place_cells` and `random_features`.
    step : float or Intentional or ObGD, optional
        Step size, or bounded step.
    **settings
        Further fields of `LearnerSettings`: ``discount``, ``lambda_``, ``trace_type``,
        ``pre_synapse`` and ``dt``.
    label, seed, add_to_container : optional
        See `nengo.Network`.

    Raises
    ------
    ValidationError
        If spiking neurons have no filter, or the trace's decay is out of range.
    BuildError
        If the simulator has another dt.

    Notes
    -----
    Nodes of one dimension: ``td_error``, ``decide``, ``reset`` (empties the trace),
    and ``value``. ``learned`` is the connection that learns.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes.networks import Critic, TDError
    >>> with nengo.Network() as net:
    ...     state = nengo.Ensemble(50, 2, neuron_type=nengo.RectifiedLinear())
    ...     critic, td = Critic(state, discount=0.9, lambda_=0.8), TDError()
    ...     value = nengo.Connection(critic.value, td.value, synapse=None)
    ...     error = nengo.Connection(td.output, critic.td_error, synapse=None)
    >>> critic.learned.learning_rule_type.step.eta
    0.4
    """

    def __init__(
        self,
        state,
        *,
        step=STEP,
        label="critic",
        seed=None,
        add_to_container=None,
        **settings,
    ):
        settings = LearnerSettings(step, **settings)
        super().__init__(label=label, seed=seed, add_to_container=add_to_container)
        with self:
            self.td_error = nengo.Node(size_in=1, label="td_error")
            self.decide = nengo.Node(size_in=1, label="decide")
            self.reset = nengo.Node(size_in=1, label="reset")
            self.value = nengo.Node(size_in=1, label="value")
            hold = nengo.Node(_Hold(settings.dt), label="hold")
            self.learned = learn_decoders(state, self.value, settings, 0)
            port = self.learned.learning_rule
            rule = self.learned.learning_rule_type
            nengo.Connection(self.decide, hold, synapse=None)
            nengo.Connection(self.td_error, port[rule.td_error], synapse=None)
            nengo.Connection(hold, port[rule.hold], synapse=None)
            nengo.Connection(self.reset, port[rule.reset], synapse=None)
        self.state = state
