"""``nengo-epes evaluate``: the returns of a trained agent."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from nengo_epes.cli import options as shared


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of this command."""
    evaluate = commands.add_parser(
        "evaluate",
        help="evaluate a trained agent",
        description="Run episodes in which a trained agent takes its best actions and "
        "learns nothing, and write their returns. The initial states are the same for "
        "all agents.",
    )
    shared.add_run(evaluate, episodes=100)
    evaluate.add_argument(
        "--json",
        metavar="FILE",
        help="file to write (default: evaluation.json in DIR)",
    )
    evaluate.set_defaults(command=_evaluate, parser=evaluate)


def _evaluate(options: Namespace) -> None:
    shared.announce(options, f"evaluating {options.folder}")
    from nengo_epes.rl import runs

    shared.check_named(options.folder, options.env, "--env {}")
    shared.find_modules(options.env)
    path = options.json or Path(options.folder) / runs.EVALUATION
    result = runs.evaluate_run(
        options.folder,
        options.episodes,
        options.env,
        path,
        progress_bar=shared.bar(options, "episodes"),
    )
    names = ("mean", "std", "min", "max")
    numbers = ", ".join(
        f"{name} {result[name]:.1f}" for name in names if result[name] is not None
    )
    print(
        f"return of {options.episodes} episodes, after {result['trained_steps']:,} "
        f"steps of training: {numbers}\nall returns: {path}"
    )
