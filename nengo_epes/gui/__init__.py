"""Models for Nengo GUI, each a file with its layout; ``nengo-epes gui`` opens them.

The command first copies the model to the current folder, where you can edit it.
"""

from __future__ import annotations

from importlib.resources import files

__all__ = ["MODELS", "model_files"]


MODELS = {
    "delayed_error": "learn from a delayed error, with PES and with EPES",
    "bandit": "a Gaussian policy follows the best action, drawn live",
    "pattern": "recurrent spiking neurons learn a pattern by e-prop",
    "cartpole": "an agent learns to balance a pole, which can be pushed",
    "lander": "an agent learns to land on the moon, or another task of Gymnasium",
}


def model_files(name):
    """Return the files of a model.

    Parameters
    ----------
    name : str
        One of ``MODELS``.

    Returns
    -------
    dict of str to str
        Texts of the model and of its layout by file name.

    Examples
    --------
    >>> sorted(model_files("bandit"))
    ['bandit.py', 'bandit.py.cfg']
    """
    names = f"{name}.py", f"{name}.py.cfg"
    return {file: files(__name__).joinpath(file).read_text("utf-8") for file in names}
