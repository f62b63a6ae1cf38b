"""Options that several commands share."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import math
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from nengo_epes.progress import Bar
from nengo_epes.simulators import NAMES

STEPS = 50_000


def number(kind: type, low: float, high: float = math.inf) -> Callable[[str], Any]:
    """Return a parser of numbers from ``low`` to below ``high``."""
    what = f"{'an int' if kind is int else 'a number'} of at least {low}"
    if high < math.inf:
        what += f" and below {high}"

    def parse(text: str) -> Any:
        with contextlib.suppress(ValueError):
            value = kind(text)
            if low <= value < high:
                return value
        raise ArgumentTypeError(f"must be {what} (got {text!r})")

    return parse


SEED = number(int, 0, 2**31)


def add_quiet(parser: ArgumentParser) -> None:
    """Add the option that hides progress."""
    parser.add_argument(
        "--quiet",
        action="store_true",
        help="print only results, warnings and errors",
    )


def add_simulator(parser: ArgumentParser) -> None:
    """Add the option that chooses the simulator."""
    parser.add_argument(
        "--simulator",
        choices=NAMES,
        help="simulator (default: nengo); compiled is faster and needs numba, from "
        "nengo_epes[compiled]",
    )


def announce(options: Namespace, text: str) -> None:
    """Print a start line, which appears before slow imports."""
    if not options.quiet:
        print(text, flush=True)


def bar(options: Namespace, unit: str) -> Any:
    """Return the argument ``progress_bar`` of a command."""
    return False if options.quiet else partial(Bar, unit=unit)


def add_agent(parser: ArgumentParser, nargs: str | None = None) -> None:
    """Add the options that describe an agent and its training.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        The parser.
    nargs : str, optional
        "?" if the environment can be omitted.
    """
    from nengo_epes.rl.settings import Settings

    defaults = dataclasses.asdict(Settings())
    parser.add_argument(
        "environment",
        nargs=nargs,
        metavar="ENV",
        help="Gymnasium id such as CartPole-v1, or module:Env-v0 with a module that "
        "can be in the current folder",
    )
    parser.add_argument(
        "--steps",
        type=number(int, 1),
        metavar="N",
        help=f"environment steps of training (default: {STEPS})",
    )
    parser.add_argument(
        "--neurons", choices=("rate", "lif"), help="neuron type (default: rate)"
    )
    add_simulator(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="setting of the agent; can be repeated (defaults: "
        f"{', '.join(f'{name}={value}' for name, value in defaults.items())}; other "
        "defaults if observations are discrete)",
    )
    parser.add_argument(
        "--env-arg",
        action="append",
        default=[],
        type=_name_and_value,
        metavar="NAME=VALUE",
        help="keyword argument of the environment; can be repeated (default: none)",
    )
    add_quiet(parser)


def _name_and_value(text: str) -> tuple[str, Any]:
    """Parse NAME=VALUE with a Python literal, or other text, as value."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ArgumentTypeError(f"must be NAME=VALUE (got {text!r})")
    value = {"true": "True", "false": "False", "none": "None"}.get(value, value)
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _setting(text: str) -> tuple[str, Any]:
    """Parse NAME=VALUE with a setting of the agent."""
    from nengo_epes.rl.settings import choose_settings

    name, value = _name_and_value(text)
    try:
        choose_settings(False, {name: value})
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    return name, value


def find_modules(environment: str | None) -> None:
    """Let a module that the user has named be found in the current folder."""
    if environment and ":" in environment and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def check_named(folder: Path | str, environment: str | None, remedy: str) -> None:
    """Refuse a run whose environment needs a module that the user has not named.

    Parameters
    ----------
    folder : path
        Folder of the run.
    environment : str or None
        Environment that the user gave.
    remedy : str
        Words to add to the command, with ``{}`` for the environment.
    """
    from nengo_epes.rl.run_files import read_record

    stored = read_record(Path(folder))["environment"]
    if environment is None and ":" in stored:
        raise ValueError(
            f"{folder}: the run is of {stored}, and no file decides which module is "
            f"imported; name it yourself: {remedy.format(stored)}"
        )


def add_run(parser: ArgumentParser, episodes: int) -> None:
    """Add the options that name a run and its episodes."""
    parser.add_argument(
        "folder", metavar="DIR", help="folder of a run, from nengo-epes train"
    )
    parser.add_argument(
        "--env",
        metavar="ENV",
        help="environment of the run (default: its id in the folder, unless that is a "
        "module:Env-v0: no file decides which module is imported)",
    )
    parser.add_argument(
        "--episodes",
        type=number(int, 1),
        default=episodes,
        metavar="N",
        help="number of episodes (default: %(default)s)",
    )
    add_quiet(parser)
