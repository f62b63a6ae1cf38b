"""``nengo-epes evaluate``: what a trained agent earns."""

from __future__ import annotations

from pathlib import Path

from nengo_epes.files import check_writable


def add(commands):
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


def _evaluate(options):
    if options.episodes < 2:
        raise ValueError(f"--episodes must be at least 2 (got {options.episodes})")

    from nengo_epes.rl import evaluation, presets, run_files, runs

    folder = Path(options.folder)
    settings = runs.settings_of(folder)
    weights, episodes = runs.weights_of(folder)
    preset = presets.preset(settings["environment"])
    arguments = presets.neurons_of(preset, settings["neurons"])[1]
    path = check_writable(folder / run_files.EVALUATION)
    if options.movie:
        from nengo_epes.rl import movie

        movie.record(preset, weights, options.movie, settings["seed"], **arguments)
        print(f"movie: {options.movie}")
    returns = evaluation.evaluate(
        preset, weights, settings["seed"], options.episodes, **arguments
    )
    numbers = {
        "mean": returns.mean(),
        "sd": returns.std(ddof=1),
        "min": returns.min(),
        "max": returns.max(),
    }
    told = ", ".join(f"{name} {number:.1f}" for name, number in numbers.items())
    print(
        f"return of {options.episodes} greedy episodes, after {episodes} episodes of "
        f"training: {told}\nall returns: {path}"
    )
    result = {"settings": settings, "episodes of training": episodes, **numbers}
    run_files.write_json(path, {**result, "returns": returns.tolist()})
