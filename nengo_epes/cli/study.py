"""``nengo-epes study``: train an agent with many seeds."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path
from typing import Any

from nengo_epes.cli import options as shared


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of this command."""
    study = commands.add_parser(
        "study",
        help="train an agent with many seeds",
        description="Train and evaluate an agent with many seeds, several at a time, "
        "and write a table. Run the same command again to resume.",
    )
    shared.add_agent(study)
    study.add_argument(
        "--seeds",
        type=shared.number(int, 1),
        default=10,
        metavar="N",
        help="number of seeds (default: %(default)s)",
    )
    study.add_argument(
        "--first-seed",
        type=shared.SEED,
        default=0,
        metavar="K",
        help="first seed (default: %(default)s)",
    )
    study.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="Dask scheduler, such as tcp://host:8786 (default: the cores of this "
        "machine)",
    )
    study.add_argument(
        "--output",
        metavar="DIR",
        help="folder of the table and the runs (default: study-ENV)",
    )
    study.set_defaults(command=_study, parser=study)


def _study(options: Namespace) -> None:
    env = options.environment
    folder = Path(options.output or re.sub(r"[^\w.-]", "-", f"study-{env}"))
    shared.announce(options, f"study of {env}, in {folder}")
    try:
        from nengo_epes.rl.study import TABLE, study

        shared.find_modules(env)
        table = study(
            env,
            range(options.first_seed, options.first_seed + options.seeds),
            folder,
            options.scheduler,
            options.neurons or "rate",
            options.steps or shared.STEPS,
            dict(options.env_arg),
            shared.bar(options, "steps"),
            options.simulator or "nengo",
            **dict(options.set),
        )
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to resume", file=sys.stderr)
        raise SystemExit(130) from None
    failed, complete = table[table["error"].notna()], table[table["error"].isna()]
    figure = _draw(complete, folder / "learning-curves.png") if len(complete) else None
    print(f"{len(table)} runs of {env}, {len(failed)} failed")
    for row in failed.itertuples():
        print(f"{row.folder}: {row.error}")
    if len(complete):
        numbers = complete[["episodes", "steps", "mean_return", "greedy_mean"]]
        quartiles = numbers.astype(float).quantile([0.25, 0.5, 0.75]).T
        quartiles.columns = ["first quartile", "median", "third quartile"]
        print(f"\n{quartiles.to_string(float_format='{:.1f}'.format)}\n")
    if figure is not None:
        print(f"figure: {figure}")
    print(f"table:  {folder / TABLE}")
    if len(failed):
        raise SystemExit(1)


def _draw(table: Any, path: Path) -> Path | None:
    """Draw median and quartiles of the learning curves; return the path."""
    from matplotlib.figure import Figure

    from nengo_epes.files import write_atomically
    from nengo_epes.plots import learning_curves
    from nengo_epes.rl import runs

    curves = []
    for folder in table["folder"]:
        episodes = runs.read_run(folder)["episodes"]
        returns = [episode.episode_return for episode in episodes]
        steps = [episode.environment_steps for episode in episodes]
        curves.append({"returns": returns, "steps": steps})
    if not all(curve["returns"] for curve in curves):
        return None  # an episode that has not ended has no return
    # without pyplot: no window opens, so no screen is needed
    figure = Figure(layout="constrained")
    learning_curves({f"{len(table)} seeds": curves}, ax=figure.subplots())
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150))
    return path
