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
    shared.add_run(movie, episodes=1)
    movie.add_argument(
        "--output",
        metavar="FILE",
        help="file to write, .mp4 or .gif (default: movie.mp4 in DIR)",
    )
    movie.set_defaults(command=_movie, parser=movie)


def _movie(options: Namespace) -> None:
    path = Path(options.output or Path(options.folder) / "movie.mp4")
    if path.suffix not in (".gif", ".mp4"):
        options.parser.error(f"argument --output: must be .mp4 or .gif (got {path})")
    shared.announce(options, f"filming {options.folder}")
    from nengo_epes.rl import runs
    from nengo_epes.rl.movie import record

    shared.check_named(options.folder, options.env, "--env {}")
    shared.find_modules(options.env)
    bar = shared.bar(options, "episodes")
    with runs.load_agent(options.folder, options.env) as agent:
        result = record(agent, path, options.episodes, progress_bar=bar)
    print(f"mean return {result.mean:.1f}\nmovie: {path}")
