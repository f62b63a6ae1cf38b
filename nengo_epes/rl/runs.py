"""Training runs, each stored in a folder, that resume after any interruption.

====================== =============================================================
``run.json``           settings, versions, and the returns until the last checkpoint
``run.checkpoint``     see `nengo_epes.checkpoints`
``learning-curve.png`` mean return of the last episodes, over environment steps
``weights.npz``        weights at the end of training, see
                       `nengo_epes.rl.evaluation.learned_weights`
``evaluation.json``    greedy returns of these weights
====================== =============================================================
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import zipfile
from pathlib import Path

import nengo
import numpy as np

from nengo_epes import checkpoints, plots
from nengo_epes.files import check_writable, make_folder, write_atomically
from nengo_epes.rl.evaluation import evaluate, learned_weights, run_episode
from nengo_epes.rl.presets import PRESETS, build, preset

RECORD, CHECKPOINT, CURVE = "run.json", "run.checkpoint", "learning-curve.png"
WEIGHTS, EVALUATION = "weights.npz", "evaluation.json"
# episodes over which the mean return is taken
WINDOW = 50


def create_run(folder, environment, seed=0, neurons=None, steps=None, episodes=None):
    """Create the folder of a run; `resume_run` starts the training.

    Parameters
    ----------
    folder : path
        Folder of the run; created if it does not exist.
    environment : str
        Id of the environment, see `nengo_epes.rl.presets.preset`.
    seed : int
        Seed of the network, the environment and the actions.
    neurons : str, optional
        Kind of neurons, see `nengo_epes.rl.presets.preset`.
    steps, episodes : int, optional
        Environment steps or episodes after which training ends, at the end of an
        episode. Default: the steps of the preset.

    Raises
    ------
    FileExistsError
        If there is a run in the folder.
    ValidationError
        If there is no such preset, or none for these neurons.

    Examples
    --------
    See `resume_run`.
    """
    chosen = preset(environment, neurons)
    if steps is None and episodes is None:
        steps = chosen.n_steps
    settings = {
        "environment": environment,
        "seed": seed,
        "neurons": neurons or next(iter(PRESETS[environment].neurons)),
        "steps": steps,
        "episodes": episodes,
    }
    folder = make_folder(folder)
    for name in (RECORD, CHECKPOINT, CURVE, WEIGHTS, EVALUATION):
        if (folder / name).exists():
            raise FileExistsError(
                f"{folder} holds a run already, {name}; go on with it by --resume, or "
                "name another folder"
            )
    _write_record(folder, settings, [], [])


def read_settings(folder):
    """Return the settings with which a run was created.

    Parameters
    ----------
    folder : path
        Folder from `create_run`.

    Returns
    -------
    dict
        ``environment``, ``seed``, ``neurons``, ``steps`` and ``episodes``.

    Raises
    ------
    FileNotFoundError
        If there is no run in the folder.
    ValueError
        If the record of the run is damaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     create_run(folder, "CartPole-v1", episodes=2)
    ...     read_settings(folder)["neurons"]
    'relu'
    """
    return read_record(folder)["settings"]


def read_record(folder):
    """Return the settings of a run, and its returns until the last checkpoint.

    Parameters
    ----------
    folder : path
        Folder from `create_run`.

    Returns
    -------
    dict
        ``settings``; ``complete``, whether the run is; ``returns`` of the episodes, and
        environment ``steps`` until the end of each; ``command`` and ``versions``.

    Raises
    ------
    FileNotFoundError
        If there is no run in the folder.
    ValueError
        If the record of the run is damaged.

    Examples
    --------
    See `resume_run`.
    """
    path = Path(folder) / RECORD
    if not path.exists():
        raise FileNotFoundError(f"there is no run in {folder}: no {RECORD}")
    try:
        record = json.loads(path.read_text())
        # a file of JSON that is not a record has no such key
        record["settings"]
        return record
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not the record of a run, or is damaged; begin another run in "
            "another folder"
        ) from error


def resume_run(folder, every=5000, report=None, stopped=None, **limits):
    """Train the agent of a run, from the last checkpoint on.

    Parameters
    ----------
    folder : path
        Folder from `create_run`.
    every : int
        Environment steps between two checkpoints; each is taken at the end of an
        episode.
    report : callable, optional
        ``report(returns, steps)`` is called after every checkpoint.
    stopped : callable, optional
        Training ends after the episode for which ``stopped()`` is true.
    **limits
        ``steps`` or ``episodes`` that replace those of `create_run`.

    Returns
    -------
    bool
        Whether the run is complete.

    Raises
    ------
    CheckpointError
        If the checkpoint does not fit.
    ValueError
        If the run is already beyond the limit.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     create_run(folder, "CartPole-v1", episodes=2)
    ...     complete = resume_run(folder)
    ...     returns = read_record(folder)["returns"]
    ...     weights, episodes = read_weights(folder)
    >>> complete, len(returns), episodes, weights["actor"].shape
    (True, 2, 2, (2, 1000))
    """
    folder = Path(folder)
    settings = read_settings(folder)
    if any(limit is not None for limit in limits.values()):
        settings |= {"steps": None, "episodes": None, **limits}
    network, env_node, agent = build(
        settings["environment"], settings["seed"], neurons=settings["neurons"]
    )
    # the optimizer's order differs between processes, and with it the last bits
    with nengo.Simulator(network, progress_bar=False, optimize=False) as simulator:
        returns, steps = [], []
        if (folder / CHECKPOINT).exists():
            returns, steps = checkpoints.load(simulator, folder / CHECKPOINT)
        if _is_complete(settings, steps[:-1]):
            raise ValueError(
                f"the run in {folder} has had {len(steps)} episodes, "
                f"{total_steps(steps)} steps, which is more than it is to have; give a "
                "larger limit"
            )
        last = total_steps(steps)
        while True:
            ends = _is_complete(settings, steps) or (stopped and stopped())
            if ends or total_steps(steps) - last >= every:
                last = total_steps(steps)
                checkpoints.save(simulator, folder / CHECKPOINT, note=[returns, steps])
                _write_record(folder, settings, returns, steps)
                if report:
                    report(returns, steps)
            if ends:
                break
            episode_return, length = run_episode(simulator, env_node)
            returns.append(episode_return)
            steps.append(total_steps(steps) + length)
        weights = learned_weights(simulator, agent)
    write_atomically(
        folder / WEIGHTS,
        lambda path: np.savez(path, **weights, episodes=len(returns)),
    )
    if returns:
        _draw_curve(folder / CURVE, settings, returns, steps)
    return _is_complete(settings, steps)


def read_weights(folder):
    """Return what was learned in a run whose training has ended.

    Parameters
    ----------
    folder : path
        Folder from `create_run`.

    Returns
    -------
    weights : dict of str to array
        See `nengo_epes.rl.evaluation.learned_weights`.
    episodes : int
        Number of episodes of training.

    Raises
    ------
    FileNotFoundError
        If there are no weights in the folder.
    ValueError
        If the file of the weights is damaged.

    Examples
    --------
    See `resume_run`.
    """
    path = Path(folder) / WEIGHTS
    if not path.exists():
        raise FileNotFoundError(
            f"there is no {path}: training has not ended; go on with it by "
            "nengo-epes train ... --resume"
        )
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            weights = dict(file)
        episodes = weights.pop("episodes").item()
    except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is damaged; nengo-epes train ... --resume writes it anew"
        ) from error
    return weights, episodes


def evaluate_run(folder, n_episodes=100):
    """Evaluate what was learned in a run, and write ``evaluation.json``.

    Parameters
    ----------
    folder : path
        Folder from `create_run`, of a run whose training has ended.
    n_episodes : int
        Number of greedy episodes, at least 2; see `nengo_epes.rl.evaluation.evaluate`.

    Returns
    -------
    dict
        ``settings`` of the run, ``episodes of training``, all ``returns``, and their
        ``mean``, ``sd`` (standard deviation), ``min`` and ``max``.

    Raises
    ------
    FileNotFoundError
        If there are no weights in the folder.
    ValueError
        If a file of the run is damaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     create_run(folder, "CartPole-v1", episodes=1)
    ...     complete = resume_run(folder)
    ...     result = evaluate_run(folder, n_episodes=2)
    >>> result["mean"] == sum(result["returns"]) / 2
    True
    """
    settings = read_settings(folder)
    weights, episodes = read_weights(folder)
    path = check_writable(Path(folder) / EVALUATION)
    returns = evaluate(
        settings["environment"],
        weights,
        settings["seed"],
        n_episodes,
        neurons=settings["neurons"],
    )
    result = {
        "settings": settings,
        "episodes of training": episodes,
        "mean": returns.mean().item(),
        "sd": returns.std(ddof=1).item(),
        "min": returns.min().item(),
        "max": returns.max().item(),
        "returns": returns.tolist(),
    }
    write_json(path, result)
    return result


def total_steps(steps):
    """Return the environment steps of all episodes.

    Parameters
    ----------
    steps : list of int
        Environment steps until the end of each episode.

    Returns
    -------
    int

    Examples
    --------
    >>> total_steps([20, 35]), total_steps([])
    (35, 0)
    """
    return steps[-1] if steps else 0


def versions():
    """Return the versions of the packages on which results depend.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> "nengo" in versions()
    True
    """
    found = {}
    for name in ("nengo-epes", "nengo", "numpy", "gymnasium"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def write_json(path, data):
    """Write data and the versions of the packages that computed them.

    Parameters
    ----------
    path : path
        File to write.
    data : dict
        Data that JSON can store.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.json"
    ...     write_json(path, {"mean": 0.5})
    ...     sorted(json.loads(path.read_text()))
    ['mean', 'versions']
    """
    text = json.dumps({**data, "versions": versions()}) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def _is_complete(settings, steps):
    limits = settings["steps"], settings["episodes"]
    done = total_steps(steps), len(steps)
    return any(b is not None and a >= b for a, b in zip(done, limits, strict=True))


def _write_record(folder, settings, returns, steps):
    named = ("seed", "neurons", "steps", "episodes")
    given = [f"--{n} {settings[n]}" for n in named if settings[n] is not None]
    record = {
        "settings": settings,
        "command": " ".join(["nengo-epes train", settings["environment"], *given]),
        "complete": _is_complete(settings, steps),
        "returns": returns,
        "steps": steps,
    }
    write_json(folder / RECORD, record)


def _draw_curve(path, settings, returns, steps):
    from matplotlib.figure import Figure

    label = f"{settings['environment']}, {settings['neurons']}, seed {settings['seed']}"
    figure = Figure(layout="constrained")
    run = {"returns": returns, "steps": steps}
    plots.learning_curves({label: [run]}, WINDOW, ax=figure.subplots())
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150))
