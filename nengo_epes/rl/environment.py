"""Gymnasium environments inside a Nengo network; needs the extra ``environments``."""

from __future__ import annotations

import contextlib
import copy

import nengo
import numpy as np
from nengo.builder import Builder
from nengo.builder.processes import build_process
from nengo.exceptions import SimulationError, SimulatorClosed, ValidationError
from nengo.params import DictParam, IntParam, NdarrayParam, Parameter

from nengo_epes.networks.action_sampling import network_seed
from nengo_epes.rl import gym_calls
from nengo_epes.rl.opening import OpenEnvironments
from nengo_epes.rl.spaces import (
    ActionSpace,
    ObservationSpace,
    check_gymnasium,
    open_environment,
)

__all__ = ["SIGNALS", "Environment", "episode_seed", "open_environment_of"]


# outputs in addition to the observation, one number each; outputs that are used
# together are neighbours
SIGNALS = (
    "observe",
    "reward",
    "truncated",
    "terminated",
    "reset",
    "learn",
    "decide",
    "step",
    "episode",
    "episode_return",
)
# state that changes with the environment's steps
_REWARD, _TERMINATED, _TRUNCATED, _STEP, EPISODE, _RETURN = range(6)


def episode_seed(seed, episode):
    """Return the seed of the reset of an episode.

    Parameters
    ----------
    seed : int
        Seed of the environment, not negative.
    episode : int
        Number of the episode, from 0.

    Returns
    -------
    int
        From 0 to 2**31 - 1.

    Examples
    --------
    >>> from nengo_epes.rl.environment import episode_seed
    >>> episode_seed(0, 0), episode_seed(0, 1)
    (1484405855, 1982462498)
    """
    words = np.random.SeedSequence([int(seed), int(episode)]).generate_state(1)
    return int(words[0]) >> 1


def slot_signals(phase, every, reward, terminated, truncated, step, episode, total):
    """Return the outputs of an `Environment` after the observation.

    Parameters
    ----------
    phase, every : int
        Number of the simulator step in its slot, and number of them in a slot.
    reward, terminated, truncated, step, episode, total : float
        State of the episode; the last is the sum of its rewards.

    Returns
    -------
    tuple
        In the order of `SIGNALS`.

    Examples
    --------
    The first simulator step of an episode:

    >>> from nengo_epes.rl.environment import slot_signals
    >>> slot_signals(0, 2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    (True, 0.0, 0.0, 0.0, True, False, False, 0.0, 0.0, 0.0)
    """
    # `&`, not `and`: also for arrays of JAX
    return (
        phase == 0,
        reward,
        truncated,
        terminated,
        (phase == 0) & (step == 0),
        (phase == every - 2) & (step > 0),
        (phase == every - 1) & (terminated + truncated == 0),
        step,
        episode,
        total,
    )


class _KeywordsParam(DictParam):
    """Keyword arguments, compared by identity: lists among them have no hash."""

    equatable = False
    hashvalue = Parameter.hashvalue


class Environment(nengo.Process):
    """A Gymnasium environment as a process, to be the output of a `nengo.Node`.

    The input of the process is the action. Its output is the observation, followed by
    the signals below. The environment takes a step every ``steps_per_action`` simulator
    steps, which are called a slot. Observation, reward and counters stay the same
    during a slot.

    ====================== ======================================================
    simulator step         event
    ====================== ======================================================
    first of a slot        The environment takes a step with the action. The outputs
                           are the observation and the reward after the step. At the
                           start of an episode the environment is reset instead, and
                           ``reset`` is 1.
    last but one           ``learn`` is 1 if there was a transition. The network has
                           settled by now, so its TD error can be used.
    last                   ``decide`` is 1 if an action is wanted, which means that
                           the episode is not over.
    ====================== ======================================================

    A slot in which an episode ends outputs the last observation. The next slot is the
    first of a new episode, and ignores the action.

    Connect the action with a delay of one simulator step (``synapse=z**-1``), which
    also breaks the loop of environment and network.

    Parameters
    ----------
    environment : str or callable or gymnasium.Env
        Id for `gymnasium.make`, such as ``"CartPole-v1"`` or ``"module:Env-v0"``, or a
        constructor; every simulator then opens its own environment. Or an existing
        environment, for one Node in one simulator at a time.
    arguments : dict, optional
        Keyword arguments for `gymnasium.make` or the constructor.
    steps_per_action : int, optional
        Simulator steps for each environment step, at least 2.
    observation_range : (size, 2) or (size,) array_like, optional
        Range (low, high) of each entry of the observation, or r for (-r, r). The range
        is scaled to [-1, 1], and observations beyond it are clipped. Default:
        observations are not scaled.
    seed : int, optional
        Seed of the episodes, see `~nengo_epes.rl.environment.episode_seed`. Default:
        follows from the seed of the whole network.
    info : callable, optional
        Function of Gymnasium's ``info`` dictionary that returns a 1-D array. The array
        is added to the output, and has the same size after every reset and step.

    Attributes
    ----------
    observation : slice
        Entries of the output with the observation, flattened in the order of
        `gymnasium.spaces.utils.flatten`: a Discrete observation is one-hot.
    reward : slice
        Reward of the latest environment step; 0 at the start of an episode.
    terminated, truncated : slice
        1 in the slot in which the episode was terminated or truncated. Nothing follows
        a terminated episode, while a truncated episode could continue.
    step : slice
        Environment steps taken in this episode.
    episode : slice
        Number of the episode, from 0.
    episode_return : slice
        Undiscounted sum of the rewards of this episode.
    observe : slice
        1 in the first simulator step of a slot, which has a new observation.
    learn, decide, reset : slice
        See the table above.
    info : slice
        Entries that the function ``info`` returned.

    Raises
    ------
    ImportError
        If Gymnasium is not installed.
    ValidationError
        If ``environment`` is not an environment, or a parameter does not fit. If a
        vector cannot represent the observations or the actions.
    SimulationError
        If the action is not finite. If the environment returns an observation that is
        not of its space, a reward that is not finite, or a flag that is not a bool.

    See Also
    --------
    nengo_epes.rl.environment.open_environment_of : its Gymnasium environment

    Notes
    -----
    **Actions.** One number for each action of a Discrete space; the action with the
    largest number is taken. MultiDiscrete and MultiBinary spaces have a group of such
    numbers for each of their entries, two for a binary one; see `action_sizes`. For a
    Box, [-1, 1] is scaled to the bounds and clipped. An entry without two bounds is
    taken as it is, and clipped by its one bound. Entries of integer type are rounded.

    **Seeds.** Episode k starts with ``reset(seed=episode_seed(seed, k))``. So an
    episode depends only on the seed, its number and the actions. Wrappers that remember
    something between episodes, such as running statistics, are the exception.

    **Opening and closing.** Each simulator opens its environment when it is built.
    `nengo.Simulator.reset` closes this environment and opens a new one in its initial
    state. The environment is closed by `nengo.Simulator.close`, by an error in the
    environment, or when the simulator is deleted. ``close`` works because the simulator
    drops its signals: while you have a reference to ``sim.signals``, the environment
    stays open. An existing environment is only reset and never closed. Then
    `nengo.Simulator.reset` does not reset the state of its wrappers.

    **Pickling.** All counters are signals. A pickled simulator resumes in mid-episode
    if its environment can be pickled. Environments whose pickle does not contain their
    state (subclasses of Gymnasium's EzPickle, such as LunarLander) are refused.

    Values that the environment returns are checked in every step. Use
    ``gymnasium.utils.env_checker.check_env`` to check an environment of your own more
    thoroughly.

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
    arguments = _KeywordsParam("arguments")
    steps_per_action = IntParam("steps_per_action")
    observation_range = NdarrayParam("observation_range", shape=("*", 2), optional=True)
    info_function = Parameter("info_function", optional=True)

    def __init__(
        self,
        environment,
        arguments=None,
        steps_per_action=2,
        observation_range=None,
        seed=None,
        info=None,
    ):
        self._seed, self._n_info = None, 0  # the seed is set by the builder
        self._opened = OpenEnvironments(environment, arguments or {})
        gym_env = open_environment(environment, arguments or {})
        try:
            self.observation_space = getattr(gym_env, "observation_space", None)
            self.action_space = getattr(gym_env, "action_space", None)
            self._seen = ObservationSpace(self.observation_space, observation_range)
            self._done = ActionSpace(self.action_space)
            if info is not None:
                where, first_seed = (gym_env, 0, 0), episode_seed(seed or 0, 0)
                _, first = gym_calls.reset(where, self._seen, first_seed)
                self._n_info = gym_calls.info_vector(where, info, None, first).size
        finally:
            if gym_env is not environment:
                gym_env.close()
        super().__init__(
            default_size_in=self._done.size,
            default_size_out=self._seen.size + len(SIGNALS) + self._n_info,
            seed=seed,
        )
        self.environment = environment
        self.arguments = arguments or {}
        self.steps_per_action = steps_per_action
        if self.steps_per_action < 2:
            raise ValidationError(
                f"below 2 (got {steps_per_action}); pass at least 2, because the TD "
                "error is used in one simulator step and the next action is chosen in "
                "another",
                attr="steps_per_action",
                obj=self,
            )
        self.observation_range = self._seen.ranges
        self.info_function = info

    def __repr__(self):
        settings = {
            "arguments": self.arguments or None,
            "steps_per_action": self.steps_per_action,
            "observation_range": self.observation_range,
            "seed": self.seed,
            "info": self.info_function,
        }
        given = [f"{k}={v!r}" for k, v in settings.items() if v is not None]
        return f"{type(self).__name__}({', '.join([repr(self.environment), *given])})"

    @property
    def n_actions(self):
        """(int) Entries of the input."""
        return self._done.size

    @property
    def is_discrete(self):
        """(bool) Whether each action is one of several, as opposed to a number."""
        return self._done.sizes is not None

    @property
    def action_sizes(self):
        """(list of int or None) Sizes of the groups of discrete actions.

        One group for a Discrete space, one for each entry of a MultiDiscrete or
        MultiBinary space; None for a Box.
        """
        return None if self._done.sizes is None else list(self._done.sizes)

    @property
    def observation(self):
        """(slice) Entries of the output with the observation."""
        return slice(0, self._seen.size)

    @property
    def observes_states(self):
        """(bool) Whether an observation is one of several states."""
        return isinstance(self.observation_space, check_gymnasium().spaces.Discrete)

    def flatten(self, observation):
        """Return an observation of the environment as the output has it.

        Parameters
        ----------
        observation : object
            Observation of the observation space.

        Returns
        -------
        (size,) ndarray
        """
        return self._seen.flatten(observation)

    def choose(self, numbers):
        """Return the action for an input.

        Parameters
        ----------
        numbers : (n_actions,) ndarray
            Input as described in the notes.

        Returns
        -------
        object
            Action of the action space.
        """
        return self._done.choose(numbers)

    def __getattr__(self, name):
        """Return the entries of the output with one of the other signals."""
        if "_seen" in self.__dict__:
            start = self._seen.size
            if name in SIGNALS:
                start += SIGNALS.index(name)
                return slice(start, start + 1)
            if name == "info" and self._n_info:
                start += len(SIGNALS)
                return slice(start, start + self._n_info)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        """Return the counters, the latest observation and the other latest outputs."""
        seed = self.seed if self._seed is None else self._seed
        return {
            "seed": np.array([-1 if seed is None else seed]),
            "steps": np.zeros(1, dtype=np.int64),
            "observation": np.zeros(self._seen.size, dtype=dtype),
            # counters and returns stay whole numbers also in single precision
            "held": np.array([0.0, 0.0, 0.0, 0.0, -1.0, 0.0]),
            "info": np.zeros(self._n_info, dtype=dtype),
        }

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Open the environment and return the function of one simulator step."""
        seed = state["seed"].item()
        if seed < 0:  # without a builder, as in `run_steps`
            seed = int(rng.randint(2**31))
        # nothing else refers to this array, neither does the function below
        opened, key = self._opened, self._opened.open(state["seed"])

        names = "steps", "observation", "held", "info"
        steps, seen, held, latest_info = (state[name] for name in names)
        every = self.steps_per_action
        shown = np.zeros(shape_out)
        show_seen, signals, show_info = np.split(
            shown, [seen.size, seen.size + len(SIGNALS)]
        )

        def step_environment(t, action):
            count = steps.item()
            phase = count % every
            if phase == 0:
                gym_env = opened.get(key)
                if gym_env is None:
                    raise SimulationError(
                        f"{self.environment}: was closed by an error; reset the "
                        "simulator or make another one"
                    )
                try:
                    if count == 0 or held.item(_TERMINATED) or held.item(_TRUNCATED):
                        begin(gym_env)
                    else:
                        advance(gym_env, action)
                except Exception:
                    opened.close(key)
                    raise
            steps[0] = count + 1
            show_seen[...] = seen
            signals[...] = slot_signals(phase, every, *held.tolist())
            if latest_info.size:
                show_info[...] = latest_info
            return shown

        def begin(gym_env):
            episode = int(held.item(EPISODE)) + 1
            where, next_seed = (gym_env, episode, 0), episode_seed(seed, episode)
            seen[...], info = gym_calls.reset(where, self._seen, next_seed)
            held[...] = 0, 0, 0, 0, episode, 0
            tell(where, info)

        def advance(gym_env, action):
            episode, step = int(held.item(EPISODE)), int(held.item(_STEP)) + 1
            where = gym_env, episode, step
            seen[...], *numbers, info = gym_calls.step(
                where, self._seen, self._done, action
            )
            held[:4] = *numbers, step
            held[_RETURN] += numbers[0]
            tell(where, info)

        def tell(where, info):
            if self.info_function is not None:
                latest_info[...] = gym_calls.info_vector(
                    where, self.info_function, latest_info.size, info
                )

        return step_environment

    def opened_in(self, seed_signal):
        """Return the environment of a simulator, None if it has been closed.

        Parameters
        ----------
        seed_signal : (1,) ndarray
            Value of the state ``seed`` in the simulator.
        """
        return self._opened.get(id(seed_signal))

    def is_at_episode_start(self, state):
        """Return whether the environment is in its state after a reset.

        This is the case before the first simulator step, and in all simulator steps of
        a slot that started with a reset. For `nengo_epes.checkpoints`.

        Parameters
        ----------
        state : dict of str to ndarray
            Values of the signals of `make_state` in a simulator.
        """
        return state["held"].item(_STEP) == 0

    @contextlib.contextmanager
    def resume(self, state, stored):
        """Reset an environment to the start of a stored episode.

        A used environment is replaced by a new one at the end of the `with` block,
        unless there was an error. For `nengo_epes.checkpoints`.

        Parameters
        ----------
        state : dict of str to ndarray
            Values of the signals of `make_state` in a simulator.
        stored : dict of str to ndarray
            Values of these signals in the saved simulation.

        Raises
        ------
        ValueError
            If the environment has another seed, or starts the episode with another
            observation.
        """
        if stored["seed"] != state["seed"]:
            raise ValueError(
                f"{self}: the seed is {state['seed'].item()} (got a file with the seed "
                f"{stored['seed'].item()}); set the seed of the environment or network"
            )
        key, is_used = id(state["seed"]), state["steps"] > 0
        with self._opened.renew(key, is_used) as gym_env:
            if stored["steps"] > 0:
                self._restart(gym_env, stored)
            yield

    def _restart(self, gym_env, stored):
        """Reset to the start of a stored episode, and compare the observations."""
        episode, expected = int(stored["held"].item(EPISODE)), stored["observation"]
        seed = episode_seed(stored["seed"].item(), episode)
        observation, _ = gym_calls.reset((gym_env, episode, 0), self._seen, seed)
        if not np.array_equal(observation.astype(expected.dtype), expected):
            raise ValueError(
                f"{gym_calls.name_of(gym_env)}: episode {episode} starts with another "
                f"observation than in the file (got {observation}, not {expected}), so "
                "the environment remembers something between episodes or is not the "
                "same; leave out wrappers that remember, and use the same versions"
            )


def open_environment_of(simulator, env_node):
    """Return the Gymnasium environment that runs in a simulator.

    Parameters
    ----------
    simulator : nengo.Simulator
        A simulator that is not closed.
    env_node : nengo.Node
        Node of the simulated network with an `Environment` as output.

    Returns
    -------
    gymnasium.Env
        With its wrappers. Render it or read from it; a step or a reset by you would
        disturb the simulation.

    Raises
    ------
    SimulatorClosed
        If the simulator is closed.
    ValueError
        If the Node is not an environment of this simulator, or if an error has closed
        the environment.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes.rl.environment import Environment, open_environment_of
    >>> with nengo.Network() as net:
    ...     env_node = nengo.Node(Environment("CartPole-v1"))
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     print(open_environment_of(sim, env_node).spec.id)
    CartPole-v1
    """
    if simulator.closed:
        raise SimulatorClosed(
            f"{env_node}: the simulator is closed, and so is its environment; use it "
            "inside the `with` block of the simulator"
        )
    output = simulator.model.sig.get(env_node, {}).get("out")
    for operator in simulator.model.operators:
        process = getattr(operator, "process", None)
        if isinstance(process, Environment) and operator.output is output:
            gym_env = process.opened_in(simulator.signals[operator.state["seed"]])
            if gym_env is None:
                raise ValueError(
                    f"{env_node}: an error has closed the environment; reset the "
                    "simulator or make another one"
                )
            return gym_env
    raise ValueError(
        f"{env_node}: not an environment of this simulator; pass a Node of the "
        "simulated network with an Environment as output"
    )


@Builder.register(Environment)
def build_environment(model, process, sig_in=None, sig_out=None, mode="set"):
    """Build an environment with a seed that follows from the network's.

    The rest is the work of `nengo.builder.processes.build_process`.
    """
    given, process = process, copy.copy(process)
    # each operator knows its own
    process._opened = OpenEnvironments(process.environment, process.arguments)
    process._seed = network_seed(model, process)
    build_process(model, process, sig_in, sig_out, mode)
    # the state is found by the process of the Node, too
    model.sig[given].update(model.sig[process])
