"""``nengo-epes evaluate``: what a trained agent earns."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of this command to those of all."""
    evaluate = commands.add_parser(
        "evaluate",
        help="tell what a trained agent earns",
        description="Run a trained agent, greedy and without learning, from the same "
        "beginnings for all agents, and write what it earns into its folder.",
    )
    evaluate.add_argument("folder", metavar="DIR", help="from nengo-epes train")
    evaluate.add_argument(
        "--episodes", type=int, default=100, metavar="N", help="(%(default)s)"
    )
    evaluate.add_argument(
        "--movie", metavar="FILE", help="film the first episode, as .gif or .mp4"
    )
    evaluate.set_defaults(command=_evaluate)


def _evaluate(options: Namespace) -> None:
    if options.episodes < 2:
        raise ValueError(f"--episodes must be at least 2 (got {options.episodes})")

    from nengo_epes.rl import runs

    if options.movie:
        from nengo_epes.rl import movie

        settings = runs.read_settings(options.folder)
        weights, _ = runs.read_weights(options.folder)
        movie.record(
            settings["environment"],
            weights,
            options.movie,
            seed=settings["seed"],
            neurons=settings["neurons"],
        )
        print(f"movie: {options.movie}")
    result = runs.evaluate_run(options.folder, options.episodes)
    names = ("mean", "sd", "min", "max")
    numbers = ", ".join(f"{name} {result[name]:.1f}" for name in names)
    print(
        f"return of {options.episodes} greedy episodes, after "
        f"{result['episodes of training']} episodes of training: {numbers}\nall "
        f"returns: {Path(options.folder).absolute() / runs.EVALUATION}"
    )
