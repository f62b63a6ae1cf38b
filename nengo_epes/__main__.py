"""The command line, ``nengo-epes``."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from nengo.exceptions import NengoException

from nengo_epes.cli import demo, evaluate, gui, movie, study, train
from nengo_epes.optional import load
from nengo_epes.version import __version__

COMMANDS = (demo, train, evaluate, movie, study, gui)


class _PrintCompletion(argparse.Action):
    """Print the completion script for a shell, and exit."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: Any = None
    ) -> None:
        print(load("shtab", "completion").complete(parser, values))
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words of the command line; by default, the words of this process.

    Returns
    -------
    int
        0, 1 after a failure, or 130 after Ctrl-C.

    Raises
    ------
    SystemExit
        With status 2 after a usage error, and with status 0 after ``--help``.

    Examples
    --------
    >>> status = main(["gui"])  # doctest: +ELLIPSIS
    bandit ...
    """
    # SDL, with which Gymnasium draws, would swallow SIGTERM
    os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a replacement of stdout may lack it
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            options = _parse(arguments)
            options.command(options)
        except KeyboardInterrupt:
            print("\nnengo-epes: interrupted", file=sys.stderr)
            return 130
        except Exception as error:
            if not isinstance(error, _expected_errors()):
                raise
            print(f"nengo-epes: {error}", file=sys.stderr)
            return 1
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nengo-epes", description="Three-factor learning for Nengo."
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=("bash", "zsh"),
        help="print the completion script for a shell; needs shtab",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:  # with the usage of the command, which `parse_args` would not print
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def _expected_errors() -> tuple[type[Exception], ...]:
    """Return the errors that need no traceback."""
    gymnasium = sys.modules.get("gymnasium")  # takes long to import
    others = () if gymnasium is None else (gymnasium.error.Error,)
    return (ImportError, OSError, ValueError, NengoException, *others)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"nengo-epes: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
