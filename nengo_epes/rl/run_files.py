"""What is written to the folder of a run, see `nengo_epes.rl.runs`."""

from __future__ import annotations

import json

import numpy as np

from nengo_epes.files import write_atomically
from nengo_epes.rl.spaces import check_gymnasium
from nengo_epes.sweep.running import versions

gymnasium = check_gymnasium()

RECORD, CHECKPOINT, CURVE = "run.json", "run.checkpoint", "learning-curve.png"
WEIGHTS, EVALUATION = "weights.npz", "evaluation.json"
# over so many episodes the mean return is taken
WINDOW = 50


def write_json(path, data):
    """Write data beside the versions by which they came about.

    Parameters
    ----------
    path : path
        The file.
    data : dict
        What JSON can hold.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.json"
    ...     write_json(path, {"mean": 0.5})
    ...     sorted(json.loads(path.read_text()))
    ['mean', 'versions']
    """
    found = {**versions(), "gymnasium": gymnasium.__version__}
    text = json.dumps({**data, "versions": found}) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def n_done(steps):
    """Return the number of steps after the last of some episodes.

    Parameters
    ----------
    steps : list of int
        After how many steps each episode was over.

    Returns
    -------
    int
    """
    return steps[-1] if steps else 0


def is_complete(settings, steps):
    """Whether a run has come to one of its limits.

    Parameters
    ----------
    settings : dict
        With ``steps`` and ``episodes``, each None where there is no such limit.
    steps : list of int
        See `n_done`.

    Returns
    -------
    bool
    """
    limit = settings["steps"], settings["episodes"]
    done = n_done(steps), len(steps)
    return any(b is not None and a >= b for a, b in zip(done, limit, strict=True))


def write_record(folder, settings, returns, steps):
    """Write settings, and the returns of all episodes until now.

    Parameters
    ----------
    folder : Path
        Of the run.
    settings : dict
        See `is_complete`; besides ``environment``, ``seed`` and ``neurons``.
    returns : list of float
        Of the episodes.
    steps : list of int
        See `n_done`.
    """
    record = {
        "settings": settings,
        "command": _command(settings),
        "complete": is_complete(settings, steps),
        "returns": returns,
        "steps": steps,
    }
    write_json(folder / RECORD, record)


def _command(settings):
    """Return what is to be typed to have the same run again."""
    named = ("seed", "neurons", "steps", "episodes")
    given = [f"--{n} {settings[n]}" for n in named if settings[n] is not None]
    return " ".join(["nengo-epes train", settings["environment"], *given])


def write_weights(path, weights, episodes):
    """Write what was learned.

    Parameters
    ----------
    path : path
        The file.
    weights : dict of str to array
        See `nengo_epes.rl.training.learned_weights`.
    episodes : int
        After how many.
    """
    write_atomically(path, lambda file: np.savez(file, **weights, episodes=episodes))


def draw_curve(path, settings, returns, steps):
    """Draw the learning curve of a run.

    Parameters
    ----------
    path : path
        The file.
    settings, returns, steps
        See `write_record`.
    """
    from matplotlib.figure import Figure

    from nengo_epes import plots

    label = f"{settings['environment']}, {settings['neurons']}, seed {settings['seed']}"
    figure = Figure(layout="constrained")
    run = {"returns": returns, "steps": steps}
    plots.learning_curves({label: [run]}, WINDOW, ax=figure.subplots())
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150))
