"""Training that is kept in a folder, and goes on after whatever has ended it.

====================== =============================================================
``run.json``           settings, versions, and the returns until the last checkpoint
``run.checkpoint``     see `nengo_epes.checkpoints`
``learning-curve.png`` the mean return of the last episodes, over steps
``weights.npz``        what was learned when training ended; see `learned_weights` in
                       `nengo_epes.rl.training`
``evaluation.json``    what the weights earn
====================== =============================================================
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import nengo
import numpy as np

from nengo_epes import checkpoints
from nengo_epes.files import make_folder
from nengo_epes.rl import presets, training
from nengo_epes.rl.run_files import (
    CHECKPOINT,
    CURVE,
    EVALUATION,
    RECORD,
    WEIGHTS,
    draw_curve,
    is_complete,
    n_done,
    write_record,
    write_weights,
)


def begin(folder, environment, seed=0, neurons=None, steps=None, episodes=None):
    """Make the folder of a run that has not begun yet.

    Parameters
    ----------
    folder : path
        Made where it is not there.
    environment : str
        See `nengo_epes.rl.presets.preset`.
    seed : int
        Of the network, the environment and the actions.
    neurons : str, optional
        See `nengo_epes.rl.presets.neurons_of`.
    steps, episodes : int, optional
        After which it ends, with an episode. By default after the steps of the preset.

    Raises
    ------
    FileExistsError
        If there is a run in the folder.
    ValidationError
        If there is no such preset, or none for these neurons.

    Examples
    --------
    See `go_on`.
    """
    preset = presets.preset(environment)
    if steps is None and episodes is None:
        steps = preset.N_STEPS
    settings = {
        "environment": environment,
        "seed": seed,
        "neurons": presets.neurons_of(preset, neurons)[0],
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
    write_record(folder, settings, [], [])


def settings_of(folder):
    """Return the settings with which a run was begun.

    Parameters
    ----------
    folder : path
        From `begin`.

    Returns
    -------
    dict

    Raises
    ------
    FileNotFoundError
        If no run was begun there.
    ValueError
        If the file is not that of a run.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     begin(folder, "CartPole-v1", episodes=2)
    ...     settings_of(folder)["neurons"]
    'relu'
    """
    path = Path(folder) / RECORD
    if not path.exists():
        raise FileNotFoundError(f"there is no run in {folder}: no {RECORD}")
    try:
        return json.loads(path.read_text())["settings"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not the record of a run, or is damaged; begin another run in "
            "another folder"
        ) from error


def go_on(folder, every=5000, report=None, stopped=None, **limits):
    """Let the agent of a run learn, from its last checkpoint on.

    Parameters
    ----------
    folder : path
        From `begin`.
    every : int
        Steps of the environment after which a checkpoint is written, when the episode
        is over.
    report : callable, optional
        ``report(returns, steps)`` is called after every checkpoint.
    stopped : callable, optional
        ``stopped()`` is asked after every episode whether it was the last.
    **limits
        ``steps`` or ``episodes``, as in `begin`, instead of those with which it was
        begun.

    Returns
    -------
    bool
        Whether the run is complete.

    Raises
    ------
    CheckpointError
        If the checkpoint does not fit.
    ValueError
        If the run has gone beyond the limit already.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     begin(folder, "CartPole-v1", episodes=2)
    ...     complete = go_on(folder)
    ...     weights, episodes = weights_of(folder)
    >>> complete, episodes, weights["actor"].shape
    (True, 2, (2, 1000))
    """
    folder = Path(folder)
    settings = settings_of(folder)
    if any(limit is not None for limit in limits.values()):
        settings |= {"steps": None, "episodes": None, **limits}
    preset = presets.preset(settings["environment"])
    options = presets.neurons_of(preset, settings["neurons"])[1]
    network, world, agent = preset.build(settings["seed"], **options)
    # unoptimized, so that another process goes on bit for bit
    with nengo.Simulator(network, progress_bar=False, optimize=False) as simulator:
        returns, steps = [], []
        if (folder / CHECKPOINT).exists():
            returns, steps = checkpoints.load(simulator, folder / CHECKPOINT)
        if is_complete(settings, steps[:-1]):
            raise ValueError(
                f"the run in {folder} has had {len(steps)} episodes, {n_done(steps)} "
                "steps, which is more than it is to have; give a larger limit"
            )

        def keep():
            checkpoints.save(simulator, folder / CHECKPOINT, note=[returns, steps])
            write_record(folder, settings, returns, steps)
            if report:
                report(returns, steps)

        last = n_done(steps)
        while True:
            ends = is_complete(settings, steps) or (stopped and stopped())
            if ends or n_done(steps) - last >= every:
                last = n_done(steps)
                keep()
            if ends:
                break
            episode_return, length = training.run_episode(simulator, world)
            returns.append(episode_return)
            steps.append(n_done(steps) + length)
        weights = training.learned_weights(simulator, agent)
    write_weights(folder / WEIGHTS, weights, len(returns))
    if returns:
        draw_curve(folder / CURVE, settings, returns, steps)
    return is_complete(settings, steps)


def weights_of(folder):
    """Return what was learned in a run whose training has ended.

    Parameters
    ----------
    folder : path
        From `begin`.

    Returns
    -------
    weights : dict of str to array
        See `nengo_epes.rl.training.learned_weights`.
    episodes : int
        After how many.

    Raises
    ------
    FileNotFoundError
        If there are no weights in the folder.
    ValueError
        If they are damaged.

    Examples
    --------
    See `go_on`.
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
