"""The agent: one setting for all Gymnasium environments."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import signal
import threading
import time
import warnings
from collections import deque
from dataclasses import dataclass

import numpy as np
from nengo.exceptions import NengoWarning, SimulatorClosed, ValidationError

from nengo_epes import archive
from nengo_epes.progress import make_bar
from nengo_epes.rl.environment import EPISODE, open_environment_of
from nengo_epes.rl.evaluation import open_for_evaluation, run_episodes, wrappers_of
from nengo_epes.rl.network import build_network, check_seed
from nengo_epes.rl.settings import NEURON_TYPES
from nengo_epes.rl.spaces import check_gymnasium
from nengo_epes.simulators import choose_simulator

__all__ = ["Agent", "Episode"]

FORMAT = "nengo_epes-agent"
# steps without the end of an episode after which an agent warns
ENDLESS = 1000


@dataclass(frozen=True)
class Episode:
    """A training episode.

    Parameters
    ----------
    environment_steps : int
        Environment steps of all episodes until the end of this one.
    episode_return : float
        Unscaled sum of its rewards.
    length : int
        Its environment steps.
    seconds : float
        Wall time of all training until its end.

    Examples
    --------
    >>> Episode(20, 20.0, 20, 0.1).length
    20
    """

    environment_steps: int
    episode_return: float
    length: int
    seconds: float


class Agent:
    """Learns any Gymnasium environment with one setting, in a Nengo network.

    The network normalizes observations and scales rewards by running statistics. One
    population of neurons represents the observation. `~nengo_epes.EPES` learns the
    weights of critic and actor. Processes without neurons compute the normalized
    observation, its projection to a sphere, the scaled reward and the TD error. They
    also draw the actions and choose the step sizes. All state is in signals.

    Parameters
    ----------
    env : str or callable or gymnasium.Env
        Id for `gymnasium.make` (also ``module:id``), constructor, or environment.
    seed : int, optional
        Seed of the network, the environment and the actions.
    neurons : str or nengo.neurons.NeuronType, optional
        "rate" (`nengo.RectifiedLinear`, 2 simulator steps for each environment step),
        "lif" (`nengo.LIF`, 15 simulator steps), or any neuron type.
    env_kwargs : dict, optional
        Keyword arguments for `gymnasium.make` or the constructor.
    simulator : str or type, optional
        "nengo" (`nengo.Simulator`), "compiled" (`nengo_epes.compiled.Simulator`), or
        any subclass of `nengo.Simulator`.
    **settings
        Fields of `Settings` to change.

    Attributes
    ----------
    network : nengo.Network
        The network that learns; its parts are attributes: ``env_node``, ``state``,
        ``actor_critic``.
    simulator : nengo.Simulator
        Its simulator.
    settings : Settings
        The settings.
    episodes : list of Episode
        All complete training episodes.

    Raises
    ------
    ImportError
        If Gymnasium is not installed.
    ValidationError
        If observations or actions cannot be represented (such as images), or a setting
        is unknown or out of range.

    Examples
    --------
    >>> from nengo_epes.rl import Agent
    >>> with Agent("CartPole-v1", seed=0, n_neurons=100) as agent:
    ...     _ = agent.learn(100, progress_bar=False)
    ...     result = agent.evaluate(n_episodes=2)
    ...     action = agent.predict([0.0, 0.0, 0.1, 0.0])
    >>> result.returns.shape, action in (0, 1), len(agent.returns) > 0
    ((2,), True, True)
    """

    def __init__(
        self,
        env,
        seed=0,
        neurons="rate",
        env_kwargs=None,
        simulator="nengo",
        **settings,
    ):
        self.network = build_network(env, seed, neurons, env_kwargs, **settings)
        self.process = self.network.env_node.output
        self.settings = self.network.settings
        self.neuron_type = self.network.neuron_type
        self.seed = int(seed)
        # the optimizer's order differs between processes, and with it the last bits
        self._make_simulator = functools.partial(
            choose_simulator(simulator), progress_bar=False, optimize=False
        )
        self.simulator = self._make_simulator(self.network)
        out = self.simulator.model.sig[self.network.env_node]["out"]
        self._now = self.simulator.signals[out]
        self.episodes = []
        self._done = {"steps": 0, "seconds": 0.0}
        self._greedy = None

    def freeze(self):
        """Return a network that acts as the agent does now, and learns nothing.

        It has plain connections with fixed weights, and no environment. Its Nodes are
        ``observation``, ``action`` (decoded preferences or means) and ``value``.

        Returns
        -------
        nengo.Network
        """
        return build_network(
            self.process,
            self.seed,
            self.neuron_type,
            learned=self._read_learned(),
            **dataclasses.asdict(self.settings),
        )

    # learning

    @property
    def env(self):
        """(gymnasium.Env) The environment in which the agent learns."""
        return open_environment_of(self.simulator, self.network.env_node)

    @property
    def returns(self):
        """((n_episodes,) ndarray) Returns of all complete training episodes."""
        return np.array([episode.episode_return for episode in self.episodes])

    @property
    def total_steps(self):
        """(int) Environment steps of all training."""
        return int(self._done["steps"])

    @property
    def progress(self):
        """(dict) Steps, seconds and episodes of all training, which JSON can store."""
        return {
            **self._done,
            "episodes": [dataclasses.astuple(episode) for episode in self.episodes],
        }

    @progress.setter
    def progress(self, progress):
        self.episodes = [Episode(*row) for row in progress["episodes"]]
        self._done = {name: progress[name] for name in ("steps", "seconds")}

    def learn(self, n_steps, callback=None, progress_bar=True, on_reset=None):
        """Learn for a number of environment steps.

        Learning stops in the middle of an episode, which the next call resumes. Ctrl-C
        stops after the current environment step, and raises KeyboardInterrupt then.

        Parameters
        ----------
        n_steps : int
            Environment steps.
        callback : callable, optional
            ``callback(agent)`` is called after each episode; learning stops if it
            returns False.
        progress_bar : bool or callable, optional
            Whether to show a progress bar of tqdm, which counts the steps of all
            training. Also a function that returns a bar, such as
            ``nengo_epes.progress.Bar``.
        on_reset : callable, optional
            ``on_reset(agent)`` is called after each reset of the environment, when
            `nengo_epes.checkpoints.save` can store the simulation.

        Returns
        -------
        Agent
            The agent itself.

        Raises
        ------
        ValidationError
            If ``n_steps`` is not an int of at least 1.
        SimulatorClosed
            If the agent is closed.

        Warns
        -----
        NengoWarning
            If no episode has ended in the first 1,000 steps, and the environment has no
            time limit.
        """
        _check_count(n_steps, "n_steps")
        self._check_open()
        before = self.total_steps
        process, step, now = self.process, self.simulator.step, self._now
        simulator_steps = range(process.steps_per_action)
        terminated, truncated = process.terminated.start, process.truncated.start
        count = process.step.start
        left = n_steps
        recent: deque[float] = deque(maxlen=20)
        with (
            make_bar(before + n_steps, progress_bar, before) as bar,
            _deferred_interrupt() as interrupted,
        ):
            while left and not interrupted:
                start = time.perf_counter()
                for _ in simulator_steps:
                    step()
                self._done["seconds"] += time.perf_counter() - start
                if now[count] == 0:  # the first observation of an episode
                    if on_reset is not None:
                        on_reset(self)
                    continue
                left -= 1
                self._done["steps"] += 1
                bar.update()
                if now[terminated] or now[truncated]:
                    recent.append(self._end_episode())
                    bar.set_postfix_str(f"return {np.mean(recent):.1f}", refresh=False)
                    if callback is not None and callback(self) is False:
                        break
        if interrupted:
            raise KeyboardInterrupt
        if before < ENDLESS <= self.total_steps and not self.episodes:  # only once
            self._warn_of_endless_episode()
        return self

    def _warn_of_endless_episode(self):
        gymnasium = check_gymnasium()
        parts = wrappers_of(self.env)
        if not any(isinstance(part, gymnasium.wrappers.TimeLimit) for part in parts):
            warnings.warn(
                f"{self.env}: no episode has ended in {self.total_steps:,} steps, so "
                "there are no returns, and each initial state is seen once; limit the "
                "episodes, for example to 200 steps: gymnasium.wrappers.TimeLimit(env, "
                "200), or max_episode_steps=200 in gymnasium.register",
                NengoWarning,
                stacklevel=3,
            )

    def _end_episode(self):
        process, now = self.process, self._now
        episode = Episode(
            self.total_steps,
            now[process.episode_return].item(),
            int(now[process.step].item()),
            self._done["seconds"],
        )
        self.episodes.append(episode)
        return episode.episode_return

    # acting

    def evaluate(
        self,
        n_episodes=100,
        seed=None,
        max_steps=10_000,
        film=None,
        progress_bar=False,
    ):
        """Run episodes in which the agent takes its best actions and learns nothing.

        A second network runs them, built from what was learned, in an environment of
        its own: the training is not touched. Running statistics of wrappers, such as
        `gymnasium.wrappers.NormalizeObservation`, are copied from the training.

        Parameters
        ----------
        n_episodes : int, optional
            Number of episodes.
        seed : int, optional
            Seed of the initial states; the default is the same for all agents.
        max_steps : int, optional
            Environment steps after which an episode is stopped, with a warning.
        film : callable, optional
            ``film(env)`` is called after each reset and each environment step; ``env``
            is made with ``render_mode="rgb_array"`` then.
        progress_bar : bool or callable, optional
            Whether to show a progress bar of tqdm, or a function, see `learn`.

        Returns
        -------
        Evaluation
            ``returns`` and ``lengths`` of the episodes, ``mean`` and ``std``.

        Raises
        ------
        ValidationError
            If a number is not an int of at least 1, the seed is negative, or another
            environment cannot be made.
        SimulatorClosed
            If the agent is closed.
        """
        _check_count(n_episodes, "n_episodes")
        _check_count(max_steps, "max_steps")
        if seed is not None:
            check_seed(seed)
        self._check_open()
        self._close_greedy()  # spiking neurons would remember the last observation
        mode = None if film is None else "rgb_array"
        with (
            open_for_evaluation(self.process, self.env, mode) as env,
            make_bar(n_episodes, progress_bar) as bar,
        ):
            on_step = None if film is None else functools.partial(film, env)
            return run_episodes(
                env, self.predict, n_episodes, seed, max_steps, on_step, bar
            )

    def predict(self, observation):
        """Return the best action for an observation.

        Parameters
        ----------
        observation : object
            Observation of the environment's observation space.

        Returns
        -------
        object
            Action of the environment's action space: the most probable of discrete
            actions, the mean of continuous ones.

        Raises
        ------
        ValidationError
            If the observation is not of the observation space.
        SimulatorClosed
            If the agent is closed.

        Notes
        -----
        Spiking neurons, and neurons that adapt, continue from the last prediction.
        """
        decoded, _ = self._act(observation)
        distribution = self.network.actor_critic.distribution
        return self.process.choose(distribution.best(decoded))

    def value(self, observation):
        """Return the expected discounted sum of scaled rewards from an observation.

        Parameters
        ----------
        observation : object
            Observation of the environment's observation space.

        Returns
        -------
        float
        """
        return float(self._act(observation)[1].item())

    def _act(self, observation):
        self._check_open()
        now = self.simulator.n_steps
        if self._greedy is not None and self._greedy[-1] != now:
            self._close_greedy()  # its weights are from before
        if self._greedy is None:
            network = self.freeze()
            simulator = self._make_simulator(network)
            names = ("observation", "action", "value")
            signals = simulator.model.sig
            out = [signals[getattr(network, name)] for name in names]
            arrays = [simulator.signals[out[0]["out"]]]
            arrays += [simulator.signals[signal["in"]] for signal in out[1:]]
            self._greedy = simulator, arrays, now
        simulator, (seen, action, value), _ = self._greedy
        try:
            seen[...] = self.process.flatten(observation)
        except ValueError as error:
            raise ValidationError(
                f"{error}; give an observation of {self.process.observation_space}",
                attr="observation",
            ) from None
        # the representation of rate neurons does not depend on their past
        for _ in range(15 if self.neuron_type.spiking else 1):
            simulator.step()
        return action.copy(), value.copy()

    # learned weights

    def _signals(self):
        """Return the signals of all that the agent learns, by name."""
        network, sig = self.network, self.simulator.model.sig
        agent = network.actor_critic
        found = {}
        for name in ("critic", "actor"):
            conn = getattr(agent, name)
            found[name] = sig[conn]["weights"]
            found[f"{name} step"] = sig[conn.learning_rule]["step_state"]
        found["decisions"] = sig[agent.node.output]["_state_decisions"]
        for name, part in (("observations", "normalization"), ("rewards", "scaling")):
            if hasattr(network, part):
                process = getattr(network, part).output
                found[name] = sig[process]["_state_statistics"]
        return found

    def _read_learned(self):
        signals = self.simulator.signals
        return {name: signals[s].copy() for name, s in self._signals().items()}

    def save(self, path, note=None):
        """Save everything that was learned, at any time.

        The file holds the weights, the running statistics, the state of the step sizes,
        the settings and the returns; no traces and no environment. It is an .npz with
        a JSON header and a checksum, without pickles.

        Parameters
        ----------
        path : path
            File to write; replaced when the new one is complete.
        note : object, optional
            Data that JSON can store, for example where the agent was trained.

        Raises
        ------
        SimulatorClosed
            If the agent is closed.
        ValueError
            If something learned is NaN or infinite.
        OSError
            If the file cannot be written.
        """
        self._check_open()
        env, env_kwargs = self.process.environment, self.process.arguments
        if not isinstance(env, str) or not _is_json(env_kwargs):
            env, env_kwargs = None, {}  # `load` asks for the environment
        header = {
            "env": env,
            "env_kwargs": env_kwargs,
            "seed": self.seed,
            "neurons": repr(self.neuron_type),
            "settings": dataclasses.asdict(self.settings),
            "note": note,
            **self.progress,
        }
        learned = self._read_learned()
        for name, array in learned.items():
            if not np.isfinite(array).all():
                raise ValueError(f"{name}: NaN or infinite; the agent is not saved")
        archive.write(path, FORMAT, header, learned)

    @classmethod
    def load(cls, path, env=None, neurons=None, simulator="nengo"):
        """Load an agent that `save` saved.

        Training resumes with a new episode.

        Parameters
        ----------
        path : path
            File from `save`.
        env : str or callable or gymnasium.Env, optional
            Environment; needed unless the agent was made with a plain id and keyword
            arguments that JSON can store. Loading a file never imports a module that
            the file names.
        neurons : str or nengo.neurons.NeuronType, optional
            Neurons; needed if they were neither "rate" nor "lif".
        simulator : str or type, optional
            "nengo", "compiled", or a subclass of `nengo.Simulator`. Any of them loads
            what another one has learned.

        Returns
        -------
        Agent

        Raises
        ------
        ValueError
            If the file is damaged, or belongs to another environment.
        ValidationError
            If ``env`` or ``neurons`` is needed.
        """
        header, arrays = archive.read(path, FORMAT)
        if env is None:
            env = header["env"]
            if env is None or ":" in env:
                raise ValidationError(
                    f"{path}: files never choose what Python imports (got "
                    f"{env or 'a constructor'}); pass the environment: "
                    "Agent.load(path, env=...)",
                    attr="env",
                )
        if neurons is None:
            kinds = {repr(kind()): name for name, kind in NEURON_TYPES.items()}
            neurons = kinds.get(header["neurons"])
            if neurons is None:
                raise ValidationError(
                    f"{path} was saved with {header['neurons']}; give these neurons: "
                    "Agent.load(path, neurons=...)",
                    attr="neurons",
                )
        agent = cls(
            env,
            header["seed"],
            neurons,
            (header["env_kwargs"] or None) if isinstance(env, str) else None,
            simulator,
            **header["settings"],
        )
        agent._restore(header, arrays, path)
        return agent

    def _restore(self, header, arrays, path):
        signals = self.simulator.signals
        found = {name: signals[signal] for name, signal in self._signals().items()}
        here = {name: array.shape for name, array in found.items()}
        there = {name: array.shape for name, array in arrays.items()}
        if here != there:
            self.close()
            raise ValueError(
                f"{path} belongs to another environment than "
                f"{self.process.environment}: {header['env'] or 'a constructor'} (got "
                f"arrays {there}, and this one has {here}); load it with the "
                "environment that it was saved with"
            )
        for name, array in arrays.items():
            found[name][...] = array
        self.episodes = [Episode(*row) for row in header["episodes"]]
        # later episodes start from other initial states than earlier episodes
        held = self.simulator.model.sig[self.process]["_state_held"]
        signals[held][EPISODE] = len(self.episodes) - 1
        self._done = {"steps": header["steps"], "seconds": header["seconds"]}

    # closing

    def _check_open(self):
        if self.simulator.closed:
            raise SimulatorClosed("the agent is closed; make or load another agent")

    def close(self):
        """Close the simulators and the environment; a second call does nothing."""
        self._close_greedy()
        self.simulator.close()

    def _close_greedy(self):
        if self._greedy is not None:
            self._greedy[0].close()
            self._greedy = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _is_json(value):
    try:
        return json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        return False


def _check_count(number, name):
    is_int = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not is_int or number < 1:
        raise ValidationError(f"must be an int of at least 1 (got {number!r})", name)


@contextlib.contextmanager
def _deferred_interrupt():
    """Note Ctrl-C in a list instead of raising it, so that each step is completed.

    A second Ctrl-C is raised at once. Signals arrive in the main thread only.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.getsignal(signal.SIGINT)
    # None: a handler that was not set from Python cannot be put back; SIG_IGN: a job in
    # the background, which ignores Ctrl-C
    if before in (None, signal.SIG_IGN):
        yield noted
        return

    def note(number, frame):
        noted.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
