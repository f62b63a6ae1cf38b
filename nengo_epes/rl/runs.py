"""Training runs, each stored in a folder, that resume after any interruption.

====================== =============================================================
``run.json``           environment, seed, neurons, simulator, settings, steps
``returns.csv``        a line for each training episode, written as soon as it ends
``agent.npz``          what was learned, see `~nengo_epes.rl.Agent.save`
``checkpoint.npz``     the simulation, see `nengo_epes.checkpoints`
``learning-curve.png`` mean return of the last episodes, over environment steps
``evaluation.json``    returns of the best actions
====================== =============================================================

One process at a time owns the folder: it locks ``run.lock`` and writes its number and
its machine to ``owner.json``. You can add keys to the JSON files, and lines that start
with ``#`` to the CSV file.
"""

from __future__ import annotations

import dataclasses
import secrets
from pathlib import Path

from nengo_epes import archive, checkpoints, plots
from nengo_epes.files import check_writable, make_folder, write_atomically
from nengo_epes.rl.agent import FORMAT, Agent, Episode
from nengo_epes.rl.network import build_network
from nengo_epes.rl.run_files import (
    RECORD,
    RETURNS,
    check_identity,
    check_record,
    check_returns,
    choose_environment,
    format_returns,
    identity,
    own,
    read_record,
    read_returns,
    write_json,
    write_text,
)
from nengo_epes.simulators import choose_simulator

AGENT, CHECKPOINT = "agent.npz", "checkpoint.npz"
CURVE, EVALUATION = "learning-curve.png", "evaluation.json"
# environment steps between checkpoints
EVERY = 5000
# episodes in the mean return
WINDOW = 50


def create_run(
    folder,
    env,
    seed=0,
    neurons="rate",
    n_steps=50_000,
    env_kwargs=None,
    simulator="nengo",
    **settings,
):
    """Create the folder of a run; `resume_run` starts the training.

    Parameters
    ----------
    folder : path
        Folder of the run; created if it does not exist.
    env : str
        Id for `gymnasium.make`, also ``module:id``.
    seed : int, optional
        Seed of the network, the environment and the actions.
    neurons : str, optional
        "rate" or "lif".
    n_steps : int, optional
        Environment steps of training.
    env_kwargs : dict, optional
        Keyword arguments for `gymnasium.make`, which JSON can store.
    simulator : str, optional
        "nengo" or "compiled".
    **settings
        Fields of `~nengo_epes.rl.Settings` to change.

    Raises
    ------
    FileExistsError
        If the folder contains a file of a run.
    BlockingIOError
        If another process owns the folder.
    ValidationError
        If observations or actions cannot be represented, or a setting does not fit.
    ValueError
        If another argument does not fit.
    ImportError
        If the simulator is "compiled" and numba is not installed.

    Examples
    --------
    See `resume_run`.
    """
    folder = Path(folder)
    choose_simulator(simulator)  # a missing numba is known before anything is written
    network = build_network(env, seed, neurons, env_kwargs, **settings)
    record = {
        "environment": env,
        "env_kwargs": env_kwargs or {},
        "seed": seed,
        "neurons": neurons,
        "simulator": simulator,
        "settings": dataclasses.asdict(network.settings),
        "steps": n_steps,
        "run": secrets.token_hex(8),
    }
    check_record(record, folder)
    with own(make_folder(folder)):
        for name in (RECORD, RETURNS, AGENT, CHECKPOINT, CURVE, EVALUATION):
            if (folder / name).exists():
                raise FileExistsError(
                    f"{folder}: contains a run already (got {name}); resume it with "
                    "--resume, or choose another folder"
                )
        write_json(folder / RECORD, record)


def resume_run(folder, n_steps=None, env=None, callback=None, progress_bar=False):
    """Train the agent of a run, from its last checkpoint on.

    A checkpoint is stored after the first reset, and after the first reset that follows
    5,000 more environment steps. Steps after the last checkpoint are repeated. So an
    interrupted and resumed run has the weights of an
    uninterrupted run, bit for bit on one machine.

    Parameters
    ----------
    folder : path
        Folder from `create_run`.
    n_steps : int, optional
        Environment steps of all training, instead of the steps in ``run.json``.
    env : str, optional
        Id of the environment; needed if it is a ``module:id``, because no file decides
        which module is imported.
    callback, progress_bar : optional
        See `~nengo_epes.rl.Agent.learn`. If the callback returns False, the run remains
        incomplete.

    Returns
    -------
    bool
        Whether the run is complete.

    Raises
    ------
    FileNotFoundError
        If there is no run in the folder, or its checkpoint is missing.
    BlockingIOError
        If another process owns the run.
    CheckpointError
        If the checkpoint is damaged, or belongs to another simulation.
    ValueError
        If a file of the run is damaged or belongs to another run, or training has had
        more steps already.
    KeyboardInterrupt
        After Ctrl-C, once what was learned is saved.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     create_run(folder, "CartPole-v1", n_steps=100, n_neurons=50)
    ...     is_complete = resume_run(folder)
    ...     run = read_run(folder)
    >>> is_complete, run["trained_steps"], run["settings"]["n_neurons"]
    (True, 100, 50)
    """
    folder = Path(folder)
    read_record(folder)
    with own(folder):
        record = read_record(folder)
        environment = choose_environment(folder, record, env)
        trained_steps, _ = _read_agent(folder, record)
        if n_steps not in (None, record["steps"]):
            record["steps"] = n_steps
            check_record(record, folder)
            _check_more(folder, trained_steps, n_steps)
        if trained_steps >= record["steps"]:
            return True
        names = "seed", "neurons", "env_kwargs", "simulator"
        args = (record[name] for name in names)
        with Agent(environment, *args, **record["settings"]) as agent:
            _restore(agent, folder, record)
            _check_more(folder, agent.total_steps + 1, record["steps"])
            write_json(folder / RECORD, record)
            _train(agent, folder, record, callback, progress_bar)
            return agent.total_steps == record["steps"]


def _check_more(folder, done, wanted):
    if wanted < done:
        raise ValueError(
            f"{folder}: the run has had {done} steps already (got {wanted} steps in "
            "total); ask for more"
        )


def _restore(agent, folder, record):
    """Restore the checkpoint, and cut the returns back to it."""
    path, checkpoint = folder / RETURNS, folder / CHECKPOINT
    notes, episodes = read_returns(path)
    if checkpoint.exists():
        note = checkpoints.load(agent.simulator, checkpoint)
        check_identity(checkpoint, note, record)
        agent.progress = note
    elif episodes or (folder / AGENT).exists():
        raise FileNotFoundError(
            f"{folder}: there is no {CHECKPOINT}, but {len(episodes)} episodes in "
            f"{RETURNS}; restore the checkpoint, or train in another folder"
        )
    check_returns(path, episodes, agent.episodes)
    write_text(path, notes + format_returns(agent.episodes))


def _train(agent, folder, record, callback, progress_bar):
    path, checkpoint, last = folder / RETURNS, folder / CHECKPOINT, agent.total_steps

    def store(agent):
        nonlocal last
        if agent.total_steps - last >= EVERY or not checkpoint.exists():
            last = agent.total_steps
            note = {**identity(record), **agent.progress}
            checkpoints.save(agent.simulator, checkpoint, note)

    def end_episode(agent):
        try:
            file.write(format_returns(agent.episodes[-1:], len(agent.episodes) - 1))
            file.flush()
        except OSError as error:  # such as a full disk
            raise OSError(error.errno, error.strerror, str(path)) from error
        return None if callback is None else callback(agent)

    interrupted = None
    with path.open("a", encoding="utf-8", newline="\n") as file:
        try:
            left = record["steps"] - agent.total_steps
            agent.learn(left, end_episode, progress_bar, store)
        except KeyboardInterrupt as error:
            interrupted = error
    agent.save(folder / AGENT, identity(record))
    if agent.episodes:
        _draw_curve(folder / CURVE, record, agent)
    if interrupted is not None:
        raise interrupted


def read_run(folder):
    """Read a run from its folder.

    Parameters
    ----------
    folder : path
        Folder from `create_run`.

    Returns
    -------
    dict
        Content of ``run.json``: ``environment``, ``env_kwargs``, ``seed``, ``neurons``,
        ``simulator``, ``settings``, ``steps``, the identity ``run`` and ``versions``.
        Also ``episodes``, a list of Episode; ``trained_steps``, environment steps of
        the agent in ``agent.npz``, or 0; and ``is_complete``.

    Raises
    ------
    FileNotFoundError
        If there is no run in the folder.
    ValueError
        If a file is damaged, or belongs to another run.

    Examples
    --------
    See `resume_run`.
    """
    folder = Path(folder)
    record = read_record(folder)
    trained_steps, trained = _read_agent(folder, record)
    _, episodes = read_returns(folder / RETURNS)
    if trained_steps >= record["steps"]:
        check_returns(folder / RETURNS, episodes, trained)
        episodes = trained
    found = {"episodes": episodes, "trained_steps": trained_steps}
    return {**record, **found, "is_complete": trained_steps >= record["steps"]}


def load_agent(folder, env=None):
    """Load what was learned in a run.

    Parameters
    ----------
    folder : path
        Folder from `create_run`.
    env : str, optional
        Id of the environment, see `resume_run`.

    Returns
    -------
    Agent
        Close it in the end.

    Raises
    ------
    FileNotFoundError
        If there is no run in the folder, or training was never stopped.
    ValueError
        If a file is damaged or belongs to another run, or ``env`` is needed.

    Examples
    --------
    See `evaluate_run`.
    """
    folder = Path(folder)
    record = read_record(folder)
    environment = choose_environment(folder, record, env)
    if _read_agent(folder, record)[0] == 0:
        raise FileNotFoundError(
            f"{folder}: there is no {AGENT}, because training has not ended; resume it "
            f"with nengo-epes train {record['environment']} --resume --output {folder}"
        )
    neurons, simulator = record["neurons"], record["simulator"]
    return Agent.load(folder / AGENT, environment, neurons, simulator)


def evaluate_run(
    folder,
    n_episodes=100,
    env=None,
    path=None,
    max_steps=10_000,
    progress_bar=False,
):
    """Evaluate what was learned in a run, and write ``evaluation.json``.

    Parameters
    ----------
    folder : path
        Folder from `create_run`.
    n_episodes, max_steps, progress_bar : optional
        See `~nengo_epes.rl.Agent.evaluate`.
    env : str, optional
        Id of the environment, see `resume_run`.
    path : path, optional
        Another file to write.

    Returns
    -------
    dict
        All ``returns`` and ``lengths``, the ``mean``, ``std``, ``min`` and ``max`` of
        the returns, and ``environment``, ``seed``, ``neurons``, ``run`` (identity) and
        ``trained_steps``.

    Raises
    ------
    FileNotFoundError
        If there is no run in the folder, or training was never stopped.
    ValueError
        If a file is damaged or belongs to another run, or ``env`` is needed.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     create_run(folder, "CartPole-v1", n_steps=100, n_neurons=50)
    ...     is_complete = resume_run(folder)
    ...     result = evaluate_run(folder, n_episodes=2)
    >>> result["mean"] == sum(result["returns"]) / 2
    True
    """
    record = read_record(Path(folder))
    path = check_writable(Path(folder) / EVALUATION if path is None else path)
    with load_agent(folder, env) as agent:
        result = agent.evaluate(
            n_episodes, max_steps=max_steps, progress_bar=progress_bar
        )
    evaluation = {
        **{name: record[name] for name in ("environment", "seed", "neurons", "run")},
        "trained_steps": agent.total_steps,
        "mean": result.mean,
        "std": result.std if n_episodes > 1 else None,
        "min": result.returns.min().item(),
        "max": result.returns.max().item(),
        "returns": result.returns.tolist(),
        "lengths": result.lengths.tolist(),
    }
    write_json(path, evaluation)
    return evaluation


def _read_agent(folder, record):
    """Return steps and episodes of the agent; without an agent, 0 and []."""
    path = folder / AGENT
    if not path.exists():
        return 0, []
    header, _ = archive.read(path, FORMAT)
    try:
        check_identity(path, header["note"], record)
        return int(header["steps"]), [Episode(*row) for row in header["episodes"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: not the agent of a run (got {error!r})") from error


def _draw_curve(path, record, agent):
    from matplotlib.figure import Figure

    label = f"{record['environment']}, {record['neurons']}, seed {record['seed']}"
    figure = Figure(layout="constrained")
    steps = [episode.environment_steps for episode in agent.episodes]
    run = {"returns": agent.returns, "steps": steps}
    plots.learning_curves({label: [run]}, WINDOW, ax=figure.subplots())
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150))
