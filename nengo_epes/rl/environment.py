"""Gymnasium environments inside a Nengo network; needs the extra ``environments``."""

from __future__ import annotations

import copy

import nengo
import numpy as np
from nengo.builder import Builder
from nengo.builder.processes import build_process
from nengo.exceptions import SimulationError, ValidationError
from nengo.params import DictParam, IntParam, NdarrayParam, NumberParam, Parameter

from nengo_epes.rl.spaces import ActionSpace, ObservationSpace, open_environment

__all__ = ["SIGNALS", "Environment"]


# what is told of an environment besides the observation, one number each
SIGNALS = (
    "reward",
    "discount",
    "terminated",
    "truncated",
    "step",
    "episode",
    "episode_return",
    "learn",
    "decide",
    "reset",
)
_HELD = SIGNALS[:7]


class Environment(nengo.Process):
    r"""A Gymnasium environment as a process, to be the output of a `nengo.Node`.

    Its input is the action, its output the observation and the signals below. The
    environment takes a step every ``steps_per_action`` simulator steps, and everything
    is held in between:

    ====================== ======================================================
    in a slot's            there happens
    ====================== ======================================================
    first simulator step   the environment takes the action and a step; observation,
                           reward, discount, ... are those after it. ``reset`` is 1
                           where an episode begins instead
    last but one           ``learn`` is 1 if there was a transition: by now the
                           network has settled, and its TD error may be sent
    last                   ``decide`` is 1 if an action is wanted: unless the episode
                           is over
    ====================== ======================================================

    A slot in which an episode ends shows its last observation; the next one is the
    first of a new episode, for which the action is ignored.

    Connect the action with a delay of a step (``synapse=z**-1``), which also breaks the
    loop of environment and network.

    Parameters
    ----------
    environment : str or callable or gymnasium.Env
        What `gymnasium.make` knows by this name, or a constructor: every simulator
        gets an environment of its own. Or an environment itself, which can then be
        in one simulator at a time. Any whose observations are a Box and
        whose actions are Discrete or a Box.
    arguments : dict, optional
        Keyword arguments for `gymnasium.make` or the constructor.
    steps_per_action : int, optional
        Simulator steps a step of the environment, at least 2: the TD error is sent
        after the network has settled, and before the next decision.
    discount_factor : float, optional
        What is put out as discount unless the episode has terminated.
    reward_scale : float, optional
        By which rewards are multiplied.
    observation_range : array_like, optional
        What is scaled to [-1, 1]: (low, high) for each entry of the observation, shape
        (entries, 2); or r for (-r, r), shape (entries,). Observations beyond are
        clipped. None: the bounds of the space; entries without bounds are squashed by
        tanh, so that a range should be given where one is known.
    seed : int, optional
        Of the first reset; later resets go on from there, as Gymnasium has it. None:
        one that follows from that of the whole network.

    Raises
    ------
    ImportError
        If Gymnasium is not installed.
    ValidationError
        If observations or actions are of another space, or a parameter does not fit.
    SimulationError
        If an action is not finite.

    Notes
    -----
    Slices of the output, by the names of these attributes:

    * ``observation``: flat, scaled to [-1, 1];
    * ``reward``: of the last transition, scaled; 0 where an episode begins;
    * ``discount``: 0 if the episode has terminated (nothing follows), not if it was
      only truncated (it would have gone on);
    * ``terminated``, ``truncated``: 1 in the slot in which the episode ended so;
    * ``step``, ``episode``: steps taken in this episode; the episode, counted from 0;
    * ``episode_return``: sum of the rewards of this episode, neither scaled nor
      discounted;
    * ``learn``, ``decide``, ``reset``: see above.

    The input is the action: one number an action for a Discrete space, the largest
    of which is taken; else its entries, from [-1, 1] scaled to the bounds of the
    space, and clipped; entries without bounds are taken as they are.

    Counters and what is held are signals of the simulation. The Gymnasium environment
    belongs to the operator: `nengo.Simulator.reset` resets it with its seed, and a
    pickled simulator goes on in mid-episode where the environment can be pickled.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes import z
    >>> from nengo_epes.rl.environment import Environment
    >>> cart_pole = Environment(
    ...     "CartPole-v1", steps_per_action=5, observation_range=[2.4, 3, 0.21, 3]
    ... )
    >>> with nengo.Network(seed=0) as net:
    ...     env_node = nengo.Node(cart_pole)
    ...     push_left = nengo.Connection(nengo.Node([1, 0]), env_node, synapse=z**-1)
    ...     steps = nengo.Probe(env_node[cart_pole.step])
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.015)
    >>> sim.data[steps][::5, 0].tolist()
    [0.0, 1.0, 2.0]
    """

    environment = Parameter("environment")
    arguments = DictParam("arguments")
    steps_per_action = IntParam("steps_per_action")
    discount_factor = NumberParam("discount_factor", low=0, high=1)
    reward_scale = NumberParam("reward_scale")
    observation_range = NdarrayParam("observation_range", shape=("*", 2), optional=True)

    def __init__(
        self,
        environment,
        arguments=None,
        steps_per_action=20,
        discount_factor=0.99,
        reward_scale=1.0,
        observation_range=None,
        seed=None,
    ):
        gym_env = open_environment(environment, arguments or {})
        self._seen = ObservationSpace(gym_env.observation_space, observation_range)
        self._done = ActionSpace(gym_env.action_space)
        if gym_env is not environment:
            gym_env.close()
        super().__init__(
            default_size_in=self._done.size,
            default_size_out=self._seen.size + len(SIGNALS),
            seed=seed,
        )
        self.environment = environment
        self.arguments = arguments or {}
        self.steps_per_action = steps_per_action
        if self.steps_per_action < 2:
            raise ValidationError(
                f"must be at least 2 (got {steps_per_action}): the TD error is sent in "
                "one simulator step, and the next decision is made in another",
                attr="steps_per_action",
                obj=self,
            )
        self.discount_factor = discount_factor
        self.reward_scale = reward_scale
        self.observation_range = self._seen.ranges
        # what the builder gives to the operator of a simulator
        self.gym_env = self._first_seed = None

    @property
    def n_actions(self):
        """(int) Entries of the input."""
        return self._done.size

    @property
    def is_discrete(self):
        """(bool) Whether one of several actions is taken."""
        return self._done.is_discrete

    @property
    def observation(self):
        """(slice) Where the output has the observation."""
        return slice(0, self._seen.size)

    def __getattr__(self, name):
        """Return where the output has one of the other signals."""
        if name not in SIGNALS or "_seen" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no {name!r}")
        start = self._seen.size + SIGNALS.index(name)
        return slice(start, start + 1)

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        """Make the count of steps, and what is held."""
        return {
            "steps": np.zeros(1, dtype=np.int64),
            "observation": np.zeros(self._seen.size, dtype=dtype),
            # counters and returns stay whole numbers also in single precision
            "held": np.zeros(len(_HELD)),
        }

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one step."""
        steps, seen, held = (state[name] for name in ("steps", "observation", "held"))
        every = self.steps_per_action
        gym_env, first_seed = self.gym_env, self._first_seed
        if gym_env is None:  # used without a simulator, as by `run_steps`
            gym_env = open_environment(self.environment, self.arguments)
        if first_seed is None:
            first_seed = int(rng.randint(2**31))

        shown = np.zeros(shape_out)
        to_show, numbers, clock = np.split(shown, [seen.size, seen.size + held.size])
        learns = every - 2

        def step_environment(t, action):
            count = steps.item()
            phase = count % every
            if phase == 0:
                if count == 0 or held.item(2) or held.item(3):
                    begin()
                else:
                    self._check_action(action, t)
                    advance(action)
            steps[0] = count + 1
            begins, over = held.item(4) == 0, held.item(2) or held.item(3)
            to_show[...] = seen
            numbers[...] = held
            clock[0] = phase == learns and not begins
            clock[1] = phase == every - 1 and not over
            clock[2] = phase == 0 and begins
            return shown

        def begin():
            first = steps[0] == 0
            observation, _ = gym_env.reset(seed=first_seed if first else None)
            seen[...] = self._seen.scale(observation)
            episode = 0 if first else held[5] + 1
            held[...] = 0, self.discount_factor, 0, 0, 0, episode, 0

        def advance(action):
            observation, reward, terminated, truncated, _ = gym_env.step(
                self._done.scale(action)
            )
            seen[...] = self._seen.scale(observation)
            held[:4] = (
                self.reward_scale * reward,
                0.0 if terminated else self.discount_factor,
                terminated,
                truncated,
            )
            held[4] += 1
            held[6] += reward

        return step_environment

    def _check_action(self, action, t):
        if not np.isfinite(action).all():
            raise SimulationError(
                f"{self.environment}: the action is {action} at t={t:g} s; look for "
                "what computes it, or a learning rate that is too large"
            )


@Builder.register(Environment)
def build_environment(model, process, sig_in=None, sig_out=None, mode="set"):
    """Build an environment of this simulator's own, with a seed that can be repeated.

    The work is `nengo.builder.processes.build_process`'s.
    """
    seed = process.seed
    if seed is None and model.toplevel is not None:
        before = sum(
            isinstance(getattr(op, "process", None), Environment)
            for op in model.operators
        )
        rng = np.random.RandomState([model.seeds[model.toplevel], before])
        seed = int(rng.randint(2**31))
    process = copy.copy(process)
    process._first_seed = seed
    process.gym_env = open_environment(process.environment, process.arguments)
    return build_process(model, process, sig_in, sig_out, mode)
