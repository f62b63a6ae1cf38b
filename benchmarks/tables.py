"""Write the tables of README and documentation: python benchmarks/tables.py.

The tables are generated from the files in ``benchmarks/results``.
"""

import json
import re
import statistics
from pathlib import Path

from nengo_epes.files import write_atomically

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results"
SHORT = (
    "CartPole-v1",
    "MountainCar-v0",
    "Pendulum-v1",
    "MountainCarContinuous-v0",
    "LunarLander-v3",
)


def one_setting(tasks, names=None):
    """Return the Markdown table of an agent's returns.

    Parameters
    ----------
    tasks : dict of str to dict
        ``environment steps``, and the returns ``exploring`` and ``greedy`` with their
        ``seeds``, by task; optionally ``best possible``.
    names : sequence of str, optional
        Tasks to show; None for all.

    Returns
    -------
    str

    Examples
    --------
    >>> returns = {"seeds": [9.0, 11.0, 10.0]}
    >>> task = {"environment steps": 5000, "exploring": returns, "greedy": returns}
    >>> print(one_setting({"Walk-v0": task}))
    | task | environment steps | return while it explores: median (worst) of the seeds \
| return of the best actions |
    |---|---|---|---|
    | Walk-v0 | 5,000 | 10.0 (9.0) | 10.0 (9.0) |
    """
    lines = [
        "| task | environment steps | return while it explores: median (worst) of the "
        "seeds | return of the best actions |",
        "|---|---|---|---|",
    ]
    for name in tasks if names is None else names:
        task = tasks[name]
        title = name
        if "best possible" in task:
            title += f" (best possible: {_number(task['best possible'])})"
        cells = [title, f"{task['environment steps']:,}"]
        for kind in ("exploring", "greedy"):
            seeds = task[kind]["seeds"]
            cells.append(_median_and_worst(seeds))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value):
    return f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"


def replace_block(text, name, block):
    r"""Return a text with another block between its two marks.

    Examples
    --------
    >>> text = "a\n<!-- t: generated -->\nold\n<!-- t: end -->\nb"
    >>> replace_block(text, "t", "new").splitlines()
    ['a', '<!-- t: generated -->', 'new', '<!-- t: end -->', 'b']
    """
    start, stop = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    pattern = f"{re.escape(start)}.*?{re.escape(stop)}"
    new, count = re.subn(
        pattern, lambda _: f"{start}\n{block}\n{stop}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"must contain {start!r} and {stop!r} once (got {count})")
    return new


def results(name):
    """Return the content of a results file, None if the file does not exist."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def peers(ours, theirs):
    """Return the Markdown table of all algorithms, while they explore.

    Parameters
    ----------
    ours, theirs : dict of str to dict
        The tasks of ``one_setting_rate.json`` and of ``peers.json``.

    Returns
    -------
    str
    """
    names = [
        *dict.fromkeys(
            name
            for row in theirs.values()
            for name, found in row.items()
            if name != "environment steps" and "exploring" in found
        )
    ]
    lines = [f"| task | Agent | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for task, row in theirs.items():
        cells = [task, _median_and_worst(ours[task]["exploring"]["seeds"])]
        for name in names:
            found = row.get(name, {}).get("exploring")
            cells.append(_median_and_worst(found["seeds"]) if found else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ablations(full, reduced):
    """Return the Markdown table of an agent without one of its parts.

    Parameters
    ----------
    full, reduced : dict of str to dict
        The tasks of ``one_setting_rate.json`` and of ``one_setting_ablations.json``,
        with names such as "Pendulum-v1, no traces".

    Returns
    -------
    str
    """
    tasks = [*dict.fromkeys(name.split(", ")[0] for name in reduced)]
    parts = [*dict.fromkeys(name.split(", ")[1] for name in reduced)]
    lines = [f"| | {' | '.join(tasks)} |", "|---" * (len(tasks) + 1) + "|"]
    for part in ["all parts", *parts]:
        cells = [part]
        for task in tasks:
            row = full[task] if part == "all parts" else reduced.get(f"{task}, {part}")
            # the noise of a continuous policy hides what its mean has learned
            kind = "greedy" if task == "Pendulum-v1" else "exploring"
            cells.append(_median_and_worst(row[kind]["seeds"]) if row else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def eprop_pattern(cases):
    """Return the Markdown table of generated patterns, with three readouts.

    The readouts are of the network whose neurons do not learn.
    """
    lines = [
        "| | seeds | while it learns | afterwards, without learning |",
        "|---|---|---|---|",
    ]

    def row(name, runs, *keys):
        cells = [_median_and_range([run[key] for run in runs]) for key in keys]
        cells = ["", *cells][-2:]
        lines.append(f"| {name} | {len(runs)} | {' | '.join(cells)} |")

    for name, case in cases.items():
        readouts = ("Adam", "least squares")
        if name.endswith("before learning"):  # too short for anything else
            readouts = ("least squares",)
        else:
            row(name, case["runs"], "result", "without learning")
        for readout in readouts:
            if readout in case["runs"][0]:
                row(f"{name}, {readout}", case["runs"], readout)
    return "\n".join(lines)


def over_seeds(cases, **columns):
    """Return a Markdown table of medians and ranges over the runs of each case.

    Parameters
    ----------
    cases : dict of str to dict
        Cases with their ``runs``.
    **columns : str
        Key of a run for each heading; of a list, the last entry is taken.

    Returns
    -------
    str
    """
    lines = [f"| | seeds | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
    for name, case in cases.items():
        cells = [name, str(len(case["runs"]))]
        for key in columns.values():
            values = [run[key] for run in case["runs"]]
            last = [x[-1] if isinstance(x, list) else x for x in values]
            cells.append(_median_and_range(last))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def compiled_speed(rows):
    """Return the Markdown table of the compiled simulator's speed."""
    lines = [
        "| model | `nengo` (µs) | `compiled` (µs) | times as fast |",
        "|---|---|---|---|",
    ]
    for name, row in rows.items():
        numbers = row["nengo"], row["compiled"], row["times as fast"]
        lines.append(f"| {name} | {' | '.join(f'{x:g}' for x in numbers)} |")
    return "\n".join(lines)


def functional_speed(rows):
    """Return the Markdown table of the speed of models in JAX."""
    lines = [
        "| model | `nengo` | JAX | times as fast |",
        "|---|---|---|---|",
    ]
    for name, row in rows.items():
        if "jax" in row:
            cells = f"{row['nengo']:g} µs", f"{row['jax']:g} µs", row["times as fast"]
        else:
            steps = row.get("nengo, with Gymnasium"), row["environment steps a second"]
            cells = [f"{x:,.0f} environment steps/s" if x else "" for x in steps]
            cells.append(round(steps[1] / steps[0], 1) if steps[0] else "")
        lines.append(f"| {name} | {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)


def gradients(models):
    """Return the Markdown table of angles to backpropagation through time."""
    forms = list(next(iter(models.values())))
    lines = [f"| neurons | {' | '.join(forms)} |", f"|---{'|---' * len(forms)}|"]
    for name, degrees in models.items():
        cells = [f"{statistics.median(degrees[form]):.0f}°" for form in forms]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _median_and_range(values):
    low, high = min(values), max(values)
    return f"{statistics.median(values):.3g} ({low:.3g} to {high:.3g})"


def _median_and_worst(seeds):
    return f"{_number(statistics.median(seeds))} ({_number(min(seeds))})"


def main():
    """Write the tables."""
    rate = results("one_setting_rate")["tasks"]
    blocks = {"one setting": one_setting(rate)}
    if found := results("one_setting_lif"):
        lif = {name.removesuffix(", lif"): row for name, row in found["tasks"].items()}
        blocks["one setting, lif"] = one_setting(lif)
    if found := results("one_setting_ablations"):
        blocks["ablations"] = ablations(rate, found["tasks"])
    if found := results("peers"):
        blocks["peers"] = peers(rate, found["tasks"])
    if found := results("eprop_pattern"):
        blocks["e-prop, pattern"] = eprop_pattern(found["cases"])
    for name, file, columns in (
        (
            "e-prop, memory",
            "eprop_memory",
            {"trials": "trials", "right answers": "result"},
        ),
        (
            "distal reward",
            "distal_reward",
            {
                "the rewarded synapse": "rewarded",
                "mean of the others": "mean of the others",
            },
        ),
        (
            "bandit of spikes",
            "stdp_bandit",
            {"before the exchange": "before the exchange", "at the end": "at the end"},
        ),
    ):
        if found := results(file):
            blocks[name] = over_seeds(found["cases"], **columns)
    speed = results("compiled_speed")["microseconds a step"]
    compiled = {"compiled speed": compiled_speed(speed)}
    angles = results("bptt_gradients")
    angles = angles["degrees to backpropagation through time, by seed"]
    speed = results("functional_speed_cpu")["microseconds a step"]
    functional = {
        "functional speed": functional_speed(speed),
        "gradients": gradients(angles),
    }
    short = {"one setting": one_setting(rate, SHORT)}
    for page, tables in (
        (ROOT / "README.md", short),
        (ROOT / "docs/results.md", blocks),
        (ROOT / "docs/compiled.md", compiled),
        (ROOT / "docs/functional.md", functional),
    ):
        text = page.read_text(encoding="utf-8")
        for name, block in tables.items():
            text = replace_block(text, name, block)
        write_atomically(
            page, lambda path, text=text: path.write_text(text, encoding="utf-8")
        )


if __name__ == "__main__":
    main()
