"""``nengo-epes movie``: film a trained agent."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from nengo_epes.cli import options as shared


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of this command."""
    movie = commands.add_parser(
        "movie",
        help="film a trained agent",
        description="Film the first episodes of `nengo-epes evaluate`.",
    )
    shared.add_run(movie)
    shared.add_episodes(movie, 1)
    movie.add_argument(
        "--output", metavar="FILE", help="a .mp4 or a .gif (DIR/movie.mp4)"
    )
    movie.set_defaults(command=_movie)


def _movie(options: Namespace) -> None:
    shared.check_least(options, episodes=1)

    from nengo_epes.rl import runs
    from nengo_epes.rl.movie import record

    shared.find_modules(options.env)
    path = Path(options.output or Path(options.folder) / "movie.mp4")
    with runs.load_agent(options.folder, options.env) as agent:
        result = record(agent, path, options.episodes)
    print(f"mean return {result.mean:.1f}\nmovie: {path}")
