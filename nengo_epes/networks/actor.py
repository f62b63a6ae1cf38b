"""The actor: learns what to do."""

from __future__ import annotations

import nengo
from nengo.exceptions import ValidationError

from nengo_epes.arithmetic.step_sizes import Intentional
from nengo_epes.networks.learned_decoders import LearnedDecoders, LearnerSettings

STEP = Intentional(0.02, normalize=True)


class Actor(LearnedDecoders):
    r"""Learns a policy from the neurons that represent the state.

    What the policy takes, preferences or means, is decoded from the state's neurons,
    and `EPES` on this one connection learns the decoders: its eligibility is the score
    of the last decision, :math:`\partial \ln \pi / \partial (W a)`, and its TD error
    that of `TDError`. Once a decision the trace decays and takes in a state and its
    score,

    .. math:: z \leftarrow \gamma\lambda\, z + s_k a_k^{\mathsf T}, \qquad
       \Delta W = \alpha\, \delta_k\, z

    at the moments that the table of `Critic` tells. Decoders begin at 0, and so all
    actions with the same chances.

    Parameters
    ----------
    state : nengo.Ensemble
        Neurons that represent the state, see `place_cells` and `random_features`.
    policy : SoftmaxPolicy or GaussianPolicy
        A policy with ``trigger=True``.
    step : float or Intentional or ObGD, optional
        Step size, or bounded step; here it should divide the TD error by its usual
        size.
    **settings
        Further fields of `LearnerSettings`, the same as for `Critic`.
    label, seed, add_to_container : optional
        See `nengo.Network`.

    Raises
    ------
    ValidationError
        As `Critic`; and if the policy has no trigger.
    BuildError
        If the simulator has another dt.

    Notes
    -----
    Nodes: ``td_error``, ``decide``, ``reset`` (1), and ``action``, the policy's.
    ``learned`` is the connection that learns.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes.networks import Actor, SoftmaxPolicy
    >>> with nengo.Network() as net:
    ...     state = nengo.Ensemble(50, 2, neuron_type=nengo.RectifiedLinear())
    ...     actor = Actor(state, SoftmaxPolicy(3, trigger=True))
    >>> actor.learned.size_out, actor.action.size_out
    (3, 3)
    """

    def __init__(
        self,
        state,
        policy,
        *,
        step=STEP,
        label="actor",
        seed=None,
        add_to_container=None,
        **settings,
    ):
        settings = LearnerSettings(step, **settings)
        super().__init__(state, settings, label, seed, add_to_container)
        if policy.trigger is None:
            raise ValidationError(
                "a policy in an actor decides on a signal: give it trigger=True",
                attr="policy",
                obj=self,
            )
        self.policy = policy
        self.action = policy.action
        with self:
            nengo.Connection(self.decide, policy.trigger, synapse=None)
            score = policy.decision[1 : 1 + policy.input.size_in]
            self.learned = self.learn(policy.input, score)
