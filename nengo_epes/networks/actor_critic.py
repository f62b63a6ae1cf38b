"""Actor and critic on one population: the learning part of an agent."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.builder import Builder
from nengo.builder.processes import build_process
from nengo.exceptions import ValidationError
from nengo.params import NdarrayParam, NumberParam, Parameter

from nengo_epes.arithmetic.step_sizes import Intentional
from nengo_epes.networks.action_sampling import counted_noise, network_seed
from nengo_epes.networks.learned_decoders import (
    LearnerSettings,
    check_dt,
    learn_decoders,
)
from nengo_epes.networks.td_error import warn_of_unconnected

CRITIC_STEP = Intentional(0.4)
ACTOR_STEP = Intentional(0.04, normalize=True, floor=0.2, shrink=5000.0)

# the order of the inputs, after the decoded values
INPUTS = ("value", "evaluate", "terminated", "reset", "learn", "decide", "reward")


class ActorCriticProcess(nengo.Process):
    """Decisions, the TD error and the hold of the traces, in one operator.

    Inputs: the decoded values of the actor, then one number for each of `INPUTS`.
    Outputs: the action, the inputs of the actor's rule (TD error, score, hold, reset),
    and of the critic's rule (TD error, hold, reset). The last output is the
    value. Six Nodes for the same cost more time than all neurons.

    The noise of decision k depends on the seed and k alone, and k is a signal. So a
    simulation resumes with the same noise.

    Parameters
    ----------
    distribution : Softmax or BoundedGaussian
        Distribution of actions.
    discount : float
        Discount of the value of the next state.
    entropy_bonus : float
        Reward for each nat of the entropy of a decision.
    made_for : float
        Simulator step in seconds; other steps are refused.
    noise : (n_decisions, n_noise) array, optional
        Noise of all decisions; None to draw it.
    seed : int, optional
        Seed of the noise; None to derive it from the network's seed.
    """

    distribution = Parameter("distribution")
    discount = NumberParam("discount", low=0, high=1)
    entropy_bonus = NumberParam("entropy_bonus", low=0)
    noise = NdarrayParam("noise", shape=("*", "*"), optional=True)

    def __init__(
        self, distribution, discount, entropy_bonus, made_for, noise=None, seed=None
    ):
        self.size = distribution.size
        super().__init__(
            default_size_in=self.size + len(INPUTS),
            default_size_out=2 * self.size + 7,
            seed=seed,
        )
        self.distribution = distribution
        self.discount = discount
        self.entropy_bonus = entropy_bonus
        self.made_for = made_for
        self.noise = noise
        if noise is not None and self.noise.shape[1] != distribution.n_noise:
            raise ValidationError(
                f"must have the shape (decisions, {distribution.n_noise}) (got "
                f"{self.noise.shape}); give such an array, or None to draw it",
                attr="noise",
                obj=self,
            )

    @property
    def outputs(self):
        """(dict of str to slice) Parts of the output."""
        stops = np.cumsum([self.size, self.size + 3, 3, 1]).tolist()
        starts = [0, *stops]
        names = ("action", "actor", "critic", "value")
        return {
            name: slice(*ends)
            for name, *ends in zip(names, starts, stops, strict=False)
        }

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        """Make the state that lasts from decision to decision."""
        check_dt(dt, self.made_for)
        return {
            "output": np.zeros(shape_out, dtype=dtype),
            # value of the state of the last decision, and the bonus for its entropy
            "last": np.zeros(2),
            "memory": self.distribution.initial_memory(),
            "decisions": np.zeros(1, dtype=np.int64),
            # 1 until the first decision of an episode
            "starts": np.ones(1, dtype=np.int64),
        }

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one simulator step."""
        output, last, memory = state["output"], state["last"], state["memory"]
        decisions, starts = state["decisions"], state["starts"]
        distribution, discount = self.distribution, self.discount
        entropy_bonus, size = self.entropy_bonus, self.size
        action, score = output[:size], output[size + 1 : 2 * size + 1]
        # the outputs after the score; the actor's TD error is before it
        rest = output[2 * size + 1 :]
        key = int(rng.randint(2**31))
        noise_of = counted_noise(distribution.draw_noise, key, self.noise)

        def decide(decoded, value):
            which = decisions.item()
            noise = noise_of(which)
            action[:], score[:], entropy = distribution.decide(
                decoded, noise, memory, starts.item() == 1
            )
            decisions[0], starts[0] = which + 1, 0
            last[:] = value, entropy_bonus * entropy

        def step_actor_critic(t, x):
            # in the order of INPUTS
            value, evaluates, ended, resets, learns, decides, reward = x[size:].tolist()
            td_error, hold = 0.0, 1.0
            if resets > 0.5:
                starts[0] = 1
            if evaluates > 0.5:  # the traces hold: nothing here was drawn
                if decides > 0.5:
                    action[:], score[:] = distribution.best(x[:size]), 0.0
                    starts[0] = 1
            elif learns > 0.5 and starts.item() == 0:
                before, bonus = last.tolist()
                target = reward + bonus
                if ended <= 0.5:
                    target += discount * value
                # a pulse of one simulator step with the TD error as its integral
                td_error = (target - before) / dt
            elif decides > 0.5:
                decide(x[:size], value)
                hold = 0.0
            output[size] = td_error
            rest[:] = hold, resets, td_error, hold, resets, value
            return output

        return step_actor_critic


@Builder.register(ActorCriticProcess)
def build_actor_critic_process(model, process, sig_in=None, sig_out=None, mode="set"):
    """Build the process with a seed that follows from the network's, and check it.

    The work is `nengo.builder.processes.build_process`'s.
    """
    if model.toplevel is not None:
        warn_of_unconnected(model.toplevel, process)
    seeded = ActorCriticProcess(
        process.distribution,
        process.discount,
        process.entropy_bonus,
        process.made_for,
        process.noise,
        network_seed(model, process),
    )
    build_process(model, seeded, sig_in, sig_out, mode)
    # the state is found by the process of the Node, too
    model.sig[process].update(model.sig[seeded])


class ActorCritic(nengo.Network):
    r"""Actor and critic that learn from one population by `~nengo_epes.EPES`.

    EPES learns the weights of two connections. The rest is fixed::

        state -> critic (EPES, eligibility 1)     -> V(s)
              -> actor  (EPES, eligibility score) -> distribution -> action
        r + bonus + discount V(s') - V(s)  -> TD error of both

    Parameters
    ----------
    state : nengo.Ensemble
        Neurons that represent the state, for example `sphere_features`.
    distribution : Softmax or BoundedGaussian
        Distribution of the actions, from `nengo_epes.arithmetic.distributions`.
    critic_step, actor_step : float or Intentional or ObGD, optional
        Step sizes, see `LearnerSettings`.
    lambda_critic, lambda_actor : float, optional
        :math:`\lambda` of the two traces. The critic's trace is longer, because its
        error has less variance.
    discount : float, optional
        :math:`\gamma`, of the value of the next state and of the traces.
    entropy_bonus : float, optional
        Reward for each nat of the entropy of a decision, which maintains exploration.
    pre_synapse : Synapse or float or None, optional
        Filter of the activities: None for rate neurons; `nengo.Alpha` (0.005), for
        example, for spiking neurons.
    dt : float, optional
        Simulator step in seconds, for which the traces are made.
    noise : (n_decisions, n_noise) array, optional
        Noise of all decisions; None to draw it.
    label, seed, add_to_container : optional
        Parameters of `nengo.Network`.

    Raises
    ------
    ValidationError
        If the state is not an ensemble, or spiking neurons are not filtered. If
        discount times lambda is not from 0 to below 1, or the noise does not fit.
    BuildError
        If the simulator has another dt.

    Warns
    -----
    NengoWarning
        When it is built, if nothing is connected to ``learn`` or ``decide``.

    Notes
    -----
    Inputs of one dimension: ``reward``; ``terminated`` (above 0.5: no value follows);
    ``learn`` (above 0.5 in one simulator step: send the TD error); ``decide`` (above
    0.5 in one simulator step: draw an action); ``reset`` (above 0.5: an episode starts,
    clear the traces); ``evaluate`` (above 0.5: take the most probable or the mean
    action, and learn nothing). `nengo_epes.rl.connect` connects them to an environment.

    Outputs: ``action``, ``td_error`` (TD error / dt, as a pulse of one simulator step)
    and ``value``. The learned connections are ``critic`` and ``actor``.

    References
    ----------
    .. [1] Barto, A. G., Sutton, R. S., & Anderson, C. W. (1983). Neuronlike adaptive
       elements that can solve difficult learning control problems. IEEE Transactions
       on Systems, Man, and Cybernetics, 13(5), 834-846.
    .. [2] Sutton, R. S., & Barto, A. G. (2018). Reinforcement Learning, section 13.6.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes.arithmetic.distributions import Softmax
    >>> from nengo_epes.networks import ActorCritic, random_features
    >>> from nengo_epes.rl import Environment, connect
    >>> env = Environment("CartPole-v1", observation_range=[2.4, 3, 0.21, 3])
    >>> with nengo.Network(seed=0) as net:
    ...     env_node, state = nengo.Node(env), random_features(100, dimensions=4)
    ...     sight = nengo.Connection(env_node[env.observation], state, synapse=None)
    ...     agent = ActorCritic(state, Softmax(env.action_sizes))
    ...     connect(env_node, agent)
    ...     returns = nengo.Probe(env_node[env.episode_return])
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.1)
    """

    def __init__(
        self,
        state,
        distribution,
        *,
        critic_step=CRITIC_STEP,
        actor_step=ACTOR_STEP,
        lambda_critic=0.95,
        lambda_actor=0.9,
        discount=0.99,
        entropy_bonus=0.0,
        pre_synapse=None,
        dt=0.001,
        noise=None,
        label="actor-critic",
        seed=None,
        add_to_container=None,
    ):
        super().__init__(label=label, seed=seed, add_to_container=add_to_container)
        shared = {"discount": discount, "pre_synapse": pre_synapse, "dt": dt}
        critic = LearnerSettings(critic_step, lambda_=lambda_critic, **shared)
        actor = LearnerSettings(actor_step, lambda_=lambda_actor, **shared)
        process = ActorCriticProcess(distribution, discount, entropy_bonus, dt, noise)
        size, outputs = distribution.size, process.outputs
        with self:
            node = nengo.Node(process, label="decisions and TD error")
            self.node = node
            for i, name in enumerate(INPUTS):
                if name != "value":
                    setattr(self, name, node[size + i])
            self.action = node[outputs["action"]]
            self.td_error = node[outputs["critic"].start]
            self.value = node[outputs["value"]]
            self.critic = learn_decoders(state, node[size], critic, 0)
            self.actor = learn_decoders(state, node[:size], actor, size)
            self.critic.label, self.actor.label = "critic", "actor"
            for name in ("critic", "actor"):
                port = getattr(self, name).learning_rule
                nengo.Connection(node[outputs[name]], port, synapse=None)
        self.state, self.distribution = state, distribution
        # inputs terminated, reset, learn and decide, which an environment has together
        self.controls = slice(size + 2, size + 6)
        # a warning names the inputs to which nothing is connected
        self.needed = {"learn": size + 4, "decide": size + 5}
