"""``nengo-epes study``: a trial over its cases and many seeds."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path


def add(commands):
    """Add the parser of this command to those of all."""
    study = commands.add_parser(
        "study",
        help="run a trial over many seeds",
        description="Run a trial of nengo_epes.trials with many seeds, for each of the "
        "cases that it compares, and write a table. What was broken off goes on.",
    )
    study.add_argument("name", metavar="NAME", help="a trial, such as cartpole")
    study.add_argument(
        "--seeds", type=int, default=20, metavar="N", help="how many (%(default)s)"
    )
    study.add_argument(
        "--first-seed", type=int, default=0, metavar="SEED", help="(%(default)s)"
    )
    study.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a dask scheduler, such as tcp://host:8786 (this machine's cores)",
    )
    study.add_argument(
        "--output", metavar="DIR", help="folder for table and trials (study-NAME)"
    )
    study.set_defaults(command=_study)


def _study(options):
    from nengo_epes.sweep import read, sweep

    trials = _trials_of(options.name)
    if options.seeds < 1:
        raise ValueError(f"--seeds must be at least 1 (got {options.seeds})")
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    if not 0 <= seeds[0] <= seeds[-1] < 2**31:
        raise ValueError(
            f"seeds must be from 0 to 2**31 - 1 (got {seeds[0]} to {seeds[-1]})"
        )
    folder = Path(options.output or f"study-{options.name}")
    path = folder / "table.csv"
    table = sweep(
        trials.trial, trials.STUDY, seeds, folder, path, client=options.scheduler
    )
    _print_summary(table, trials.STUDY)
    print(f"\ntable:  {path}\ntrials: {folder}/*.json")
    runs = _runs(read(folder), trials.STUDY)
    if runs:
        figure = folder / "learning-curves.png"
        _plot(runs, figure)
        print(f"figure: {figure}")
    if table["error"].notna().any():
        raise SystemExit(1)


def _trials_of(name):
    """Return the module of a study."""
    import nengo_epes.trials

    names = [module.name for module in pkgutil.iter_modules(nengo_epes.rl.__path__)]
    if name in names and hasattr(_module(name), "STUDY"):
        return _module(name)
    known = [x for x in names if hasattr(_module(x), "STUDY")]
    raise ValueError(f"there is no study of {name!r}, but of {', '.join(known)}")


def _module(name):
    return importlib.import_module(f"nengo_epes.rl.{name}")


def _print_summary(table, cases):
    """Print the median of each result, and how many trials have one."""
    parameters = {name for case in cases.values() for name in case}
    others = {"case", "seed", "error", *parameters}
    results = [
        name
        for name in table.columns
        # what no trial has is told, too: it is what all have failed to reach
        if name not in others and not any(isinstance(x, str) for x in table[name])
    ]
    print("Median of those trials that have a number, and how many have one:")
    for case, rows in table.groupby("case", sort=False):
        failed = rows["error"].notna().sum()
        print(f"\n{case}: {len(rows)} trials, {failed} failed with an error")
        for name in results:
            found = rows[name].dropna().astype(float)
            median = f"{found.median():.6g}" if len(found) else "-"
            print(f"  {name:<38}{median:>10}  {len(found)} of {len(rows)}")
    for message, count in table["error"].value_counts().items():
        print(f"\n{count} times: {message}")


def _runs(records, cases):
    """Return the returns of all episodes, by case, of the trials that have some."""
    runs = {case: [] for case in cases}
    for record in records:
        returns = (record["result"] or {}).get("returns")
        if returns and record["case"] in runs:
            # over episodes, which are counted: not all trials tell lengths
            run = {"returns": returns, "steps": range(1, len(returns) + 1)}
            runs[record["case"]].append(run)
    return {
        f"{case}, {len(found)} seeds": found for case, found in runs.items() if found
    }


def _plot(runs, path):
    from matplotlib.figure import Figure

    from nengo_epes.files import write_atomically
    from nengo_epes.plots import learning_curves

    # without pyplot: a file is drawn, not a window, also where there is no screen
    figure = Figure(layout="constrained")
    learning_curves(runs, over="episodes", ax=figure.subplots())
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150))
