"""Actor and critic together: an agent."""

from __future__ import annotations

import nengo

from nengo_epes.networks import actor, critic
from nengo_epes.networks.td_error import TDError


class ActorCritic(nengo.Network):
    r"""An agent: a `Critic`, an `Actor`, and the `TDError` from which both learn.

    All that is learned are the weights of two connections, by `EPES`. The rest is
    wiring::

        state -> critic (EPES, eligibility 1)     -> V
              -> actor  (EPES, eligibility score) -> policy -> action
        reward + discount V(s') - V(s)  -> TD error of both

    Parameters
    ----------
    state : nengo.Ensemble
        Neurons that represent the state, see `place_cells` and `random_features`.
    policy : SoftmaxPolicy or GaussianPolicy
        See `Actor`.
    critic_step, actor_step : float or Intentional or ObGD, optional
        See `Critic` and `Actor`. The step sizes fit environments whose rewards, scaled,
        sum up to values of the order of 1 to 10.
    entropy_bonus : float, optional
        :math:`\beta`: every decision earns :math:`\beta H(\pi)` besides its reward,
        with the entropy H in nats, so that the policy goes on exploring.
    **settings
        Further fields of `LearnerSettings`, for both: ``discount``, ``lambda_``,
        ``pre_synapse`` and ``dt``.
    label, seed, add_to_container : optional
        See `nengo.Network`.

    Raises
    ------
    ValidationError, BuildError
        See `Critic` and `Actor`.

    Warns
    -----
    NengoWarning
        When it is built, if nothing is connected to ``discount``, ``learn`` or
        ``decide``.

    Notes
    -----
    Nodes that an `Environment` has outputs for, by the same names: ``reward``,
    ``discount``, ``learn``, ``decide``, ``reset`` (1). Besides, ``evaluate`` (1; above
    0.5 nothing is learned, and the policy is greedy) and ``action``.

    The networks within are ``critic``, ``actor`` and ``td``, and ``policy``.

    References
    ----------
    .. [1] Barto, A. G., Sutton, R. S., & Anderson, C. W. (1983). Neuronlike adaptive
       elements that can solve difficult learning control problems. IEEE Transactions
       on Systems, Man, and Cybernetics, 13(5), 834-846.
    .. [2] Sutton, R. S., & Barto, A. G. (2018). Reinforcement Learning, section 13.6.

    Examples
    --------
    An agent in its environment:

    >>> import nengo
    >>> from nengo_epes import z
    >>> from nengo_epes.rl.environment import Environment
    >>> from nengo_epes.networks import ActorCritic, SoftmaxPolicy, random_features
    >>> env = Environment("CartPole-v1", steps_per_action=2)
    >>> with nengo.Network(seed=0) as net:
    ...     env_node = nengo.Node(env)
    ...     state = random_features(100, dimensions=4)
    ...     agent = ActorCritic(state, SoftmaxPolicy(env.n_actions, trigger=True))
    ...     sight = nengo.Connection(env_node[env.observation], state, synapse=None)
    ...     for name in ("reward", "discount", "learn", "decide", "reset"):
    ...         signal = env_node[getattr(env, name)]
    ...         wire = nengo.Connection(signal, getattr(agent, name), synapse=None)
    ...     act = nengo.Connection(agent.action, env_node, synapse=z**-1)
    ...     returns = nengo.Probe(env_node[env.episode_return])
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.1)
    """

    def __init__(
        self,
        state,
        policy,
        *,
        critic_step=critic.STEP,
        actor_step=actor.STEP,
        entropy_bonus=0.0,
        label="agent",
        seed=None,
        add_to_container=None,
        **settings,
    ):
        super().__init__(label=label, seed=seed, add_to_container=add_to_container)
        with self:
            self.critic = critic.Critic(state, step=critic_step, **settings)
            self.actor = actor.Actor(state, policy, step=actor_step, **settings)
            self.td = TDError(label="TD error")
            self.policy, self.action = policy, policy.action
            self._wire_td_error()
            self._add_evaluation()
            # a warning names those of these to which nothing is connected
            self.needed = ("discount", "learn", "decide")
            if entropy_bonus:
                self._add_entropy(entropy_bonus)

    def _wire_td_error(self):
        self.reward, self.discount = self.td.reward, self.td.discount
        self.decide = nengo.Node(size_in=1, label="decide")
        self.reset = nengo.Node(size_in=1, label="reset")
        wires = [(self.critic.value, self.td.value)]
        for learner in (self.critic, self.actor):
            wires.append((self.td.output, learner.td_error))
            wires.append((self.decide, learner.decide))
            wires.append((self.reset, learner.reset))
        wires.append((self.decide, self.td.decide))
        for source, target in wires:
            nengo.Connection(source, target, synapse=None)

    def _add_evaluation(self):
        """Send no TD error while the agent is evaluated, and let it be greedy."""
        self.learn = nengo.Node(size_in=1, label="learn")
        self.evaluate = nengo.Node(size_in=1, label="evaluate")
        gate = nengo.Node(_learns_now, size_in=2, label="learns now")
        nengo.Connection(self.learn, gate[0], synapse=None)
        nengo.Connection(self.evaluate, gate[1], synapse=None)
        nengo.Connection(gate, self.td.learn, synapse=None)
        nengo.Connection(self.evaluate, self.policy.greedy, synapse=None)

    def _add_entropy(self, bonus):
        decision = self.policy.decision
        entropy = nengo.Node(
            _Entropy(self.policy.entropy, bonus),
            size_in=decision.size_out,
            label="entropy",
        )
        nengo.Connection(decision, entropy, synapse=None)
        nengo.Connection(entropy, self.reward, synapse=None)


def _learns_now(t, learn_and_evaluate):
    learn, evaluate = learn_and_evaluate
    return float(learn > 0.5 >= evaluate)


class _Entropy:
    """The bonus for the entropy of a policy; an object, because it is pickled."""

    def __init__(self, entropy, bonus):
        self.entropy = entropy
        self.bonus = bonus

    def __call__(self, t, decision):
        return self.bonus * self.entropy(decision)
