"""The command line, ``nengo-epes``."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from nengo.exceptions import NengoException

from nengo_epes.cli import demo, evaluate, gui, movie, study, train
from nengo_epes.version import __version__

COMMANDS = (demo, train, evaluate, movie, study, gui)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    # SDL, with which Gymnasium draws, would swallow SIGTERM
    os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not every stand-in of a terminal has it
            stream.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(
        prog="nengo-epes", description="Three-factor learning for Nengo."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    options = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
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


def _expected_errors() -> tuple[type[Exception], ...]:
    """Return the errors whose message suffices."""
    gymnasium = sys.modules.get("gymnasium")  # takes long to import
    others = () if gymnasium is None else (gymnasium.error.Error,)
    return (ImportError, OSError, ValueError, NengoException, *others)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"nengo-epes: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
