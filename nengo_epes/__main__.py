"""The command line, ``nengo-epes``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from nengo_epes.cli import demo, evaluate, gui, study, train
from nengo_epes.version import __version__

COMMANDS = (demo, train, evaluate, study, gui)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    # SDL, with which Gymnasium draws, would swallow SIGTERM
    os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")
    parser = argparse.ArgumentParser(
        prog="nengo-epes", description="Three-factor learning for Nengo."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    options = parser.parse_args(arguments)
    try:
        options.command(options)
    except (ImportError, OSError, ValueError) as error:
        print(f"nengo-epes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
