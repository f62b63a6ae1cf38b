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
            cells.append(f"{_number(statistics.median(seeds))} ({_number(min(seeds))})")
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


def main():
    """Write the tables."""
    path = RESULTS / "one_setting_rate.json"
    tasks = json.loads(path.read_text(encoding="utf-8"))["tasks"]
    for page, names in ((ROOT / "README.md", SHORT), (ROOT / "docs/results.md", None)):
        text = page.read_text(encoding="utf-8")
        text = replace_block(text, "one setting", one_setting(tasks, names))
        write_atomically(
            page, lambda path, text=text: path.write_text(text, encoding="utf-8")
        )


if __name__ == "__main__":
    main()
