"""Options that several commands share."""

from __future__ import annotations

import ast
import dataclasses
import os
import sys
from argparse import ArgumentParser, Namespace
from typing import Any


def add_agent(parser: ArgumentParser) -> None:
    """Add the options that describe an agent and its training."""
    parser.add_argument(
        "environment",
        metavar="ENV",
        help="Gymnasium id such as CartPole-v1, or module:Env-v0; the module can be in "
        "the current folder",
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="environment steps (50000)"
    )
    parser.add_argument("--neurons", metavar="NAME", help="rate or lif (rate)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, such as eta_actor=0.01; can be repeated",
    )
    parser.add_argument(
        "--env-arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="keyword argument for the environment; can be repeated",
    )


def read_settings(options: Namespace) -> dict[str, Any]:
    """Return the settings of ``--set``, in the types of their fields."""
    from nengo_epes.rl.settings import Settings

    defaults = dataclasses.asdict(Settings())
    settings: dict[str, Any] = {}
    for name, text in map(_split, options.set):
        if name not in defaults:
            raise ValueError(
                f"--set: there is no setting {name!r}; the settings are "
                f"{', '.join(defaults)}"
            )
        kind = type(defaults[name])
        value = _parse(text)
        # 1 is a float, too, and None switches the shrinking off
        is_none = value is None and name == "shrink"
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind and not is_none:
            raise ValueError(
                f"--set {name}: must be of type {kind.__name__} (got {text!r}), such "
                f"as {name}={defaults[name]}"
            )
        settings[name] = value
    return settings


def read_env_arguments(options: Namespace) -> dict[str, Any]:
    """Return the keyword arguments of ``--env-arg``."""
    return {name: _parse(text) for name, text in map(_split, options.env_arg)}


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"must be NAME=VALUE (got {text!r})")
    return name, value


def _parse(text: str) -> Any:
    """Return the value of a Python literal, and other text as it is."""
    text = {"true": "True", "false": "False", "none": "None"}.get(text, text)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def check_least(options: Namespace, **least: int) -> None:
    """Refuse numbers that are below their least value."""
    for name, low in least.items():
        number = getattr(options, name)
        if number is not None and number < low:
            raise ValueError(f"--{name} must be at least {low} (got {number})")


def find_modules(environment: str | None) -> None:
    """Let a module that the user has named be found in the current folder."""
    if environment and ":" in environment and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def add_run(parser: ArgumentParser) -> None:
    """Add the options that name a run."""
    parser.add_argument("folder", metavar="DIR", help="from nengo-epes train")
    parser.add_argument(
        "--env",
        metavar="ENV",
        help="environment of the run, if it is a module:Env-v0: no file decides which "
        "module is imported",
    )


def add_episodes(parser: ArgumentParser, default: int) -> None:
    """Add the number of episodes."""
    parser.add_argument(
        "--episodes", type=int, default=default, metavar="N", help="(%(default)s)"
    )
