"""``nengo-epes study``: train an agent with many seeds."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path
from typing import Any


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of this command to those of all."""
    study = commands.add_parser(
        "study",
        help="train an agent with many seeds",
        description="Train and evaluate an agent with many seeds, several at a time, "
        "and write a table. Run the same command again to resume.",
    )
    study.add_argument("environment", metavar="ENV", help="such as CartPole-v1")
    study.add_argument("--seeds", type=int, default=10, metavar="N", help="(10)")
    study.add_argument("--first-seed", type=int, default=0, metavar="K", help="(0)")
    study.add_argument(
        "--neurons", metavar="NAME", help="kind of neurons (the first of the preset)"
    )
    study.add_argument(
        "--steps", type=int, metavar="N", help="environment steps (of the preset)"
    )
    study.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="Dask scheduler, such as tcp://host:8786 (the cores of this machine)",
    )
    study.add_argument(
        "--output", metavar="DIR", help="folder of table and runs (study-ENV)"
    )
    study.set_defaults(command=_study)


def _study(options: Namespace) -> None:
    from nengo_epes.rl.study import TABLE, study

    if options.seeds < 1:
        raise ValueError(f"--seeds must be at least 1 (got {options.seeds})")
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    folder = Path(options.output or f"study-{options.environment}")
    try:
        table = study(
            options.environment,
            seeds,
            folder,
            options.scheduler,
            options.neurons,
            options.steps,
        )
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to resume", file=sys.stderr)
        raise SystemExit(130) from None
    failed, complete = table[table["error"].notna()], table[table["error"].isna()]
    print(f"{len(table)} runs of {options.environment}, {len(failed)} failed")
    for row in failed.itertuples():
        print(f"{row.folder}: {row.error}")
    if len(complete):
        numbers = complete[["episodes", "steps", "mean_return", "greedy_mean"]]
        quartiles = numbers.quantile([0.25, 0.5, 0.75]).T
        quartiles.columns = ["first quartile", "median", "third quartile"]
        print(f"\n{quartiles.to_string(float_format='{:.1f}'.format)}\n")
        print(f"figure: {_draw(complete, folder / 'learning-curves.png')}")
    print(f"table:  {folder / TABLE}")
    if len(failed):
        raise SystemExit(1)


def _draw(table: Any, path: Path) -> Path:
    """Draw median and quartiles of the learning curves; return the path."""
    from matplotlib.figure import Figure

    from nengo_epes.files import write_atomically
    from nengo_epes.plots import learning_curves
    from nengo_epes.rl import runs

    # without pyplot, which would need a screen for its windows
    figure = Figure(layout="constrained")
    records = [runs.read_record(folder) for folder in table["folder"]]
    learning_curves({f"{len(table)} seeds": records}, ax=figure.subplots())
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150))
    return path
