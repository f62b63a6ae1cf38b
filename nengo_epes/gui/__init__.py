"""Models for Nengo GUI, each a file with its layout; opened by ``nengo-epes gui``.

A model is copied to the current folder before it is opened, so that it can be edited.
"""

from __future__ import annotations

from importlib.resources import files

__all__ = ["MODELS", "model_files"]


def __dir__():
    return __all__


MODELS = {
    "delayed_error": "learn from a delayed error, with PES and with EPES",
    "bandit": "a Gaussian policy follows the best action, drawn live",
    "cartpole": "an agent learns to balance a pole, which can be pushed",
    "pendulum": "an agent learns to swing up a pendulum, which can be pushed",
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
        The texts of the model and of its layout, by their file names.

    Examples
    --------
    >>> sorted(model_files("bandit"))
    ['bandit.py', 'bandit.py.cfg']
    """
    names = f"{name}.py", f"{name}.py.cfg"
    return {file: files(__name__).joinpath(file).read_text("utf-8") for file in names}
