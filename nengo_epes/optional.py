"""Imports of optional packages."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def load(name: str, extra: str) -> Any:
    """Import a module of an optional package.

    Parameters
    ----------
    name : str
        Name of the module.
    extra : str
        Extra of this package that installs the module.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If the module is not installed; the message names the extra.

    Examples
    --------
    >>> load("json", "tests").dumps([1])
    '[1]'
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{error.name or name}: not installed; pip install 'nengo-epes[{extra}]'"
        ) from error
