"""The tables of README and documentation agree with the committed results."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tables

ROOT = Path(__file__).parents[1]
TASKS = json.loads((ROOT / "benchmarks/results/one_setting_rate.json").read_text())[
    "tasks"
]


def read_rows(page):
    """Return the numbers of the generated table of a page, by task."""
    text = (ROOT / page).read_text(encoding="utf-8")
    (block,) = re.findall(
        r"<!-- one setting: generated -->\n(.*?)<!-- one setting: end -->", text, re.S
    )
    rows = [line.strip("|").split("|") for line in block.splitlines()[2:]]
    numbers = {}
    for title, *cells in rows:
        name = title.split("(")[0].strip()
        numbers[name] = [
            float(x.replace(",", "")) for x in re.findall(r"-?[\d.,]+", " ".join(cells))
        ]
    return numbers


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_one_setting(page):
    """Steps, median and worst return of all seeds equal the results."""
    rows = read_rows(page)
    assert len(rows) == (5 if page == "README.md" else len(TASKS))
    for name, found in rows.items():
        task = TASKS[name]
        expected = [task["environment steps"]]
        for kind in ("exploring", "greedy"):
            seeds = task[kind]["seeds"]
            assert len(seeds) == 10
            expected += [np.median(seeds), np.min(seeds)]
        # one decimal, or two below 1
        np.testing.assert_allclose(found, expected, atol=0.0501)


def medians(title, *columns):
    """Return the medians of a generated table of the results page, by row."""
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    (block,) = re.findall(
        rf"<!-- {title}: generated -->\n(.*?)<!-- {title}: end -->", text, re.S
    )
    found = {}
    for line in block.splitlines()[2:]:
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        found[name] = [float(cells[i].split()[0]) for i in columns if cells[i]]
    return found


@pytest.mark.parametrize(
    ("title", "file", "columns", "keys"),
    [
        (
            "e-prop, pattern",
            "eprop_pattern",
            (1, 2),
            ("result", "without learning"),
        ),
        ("e-prop, memory", "eprop_memory", (1, 2), ("trials", "result")),
        (
            "bandit of spikes",
            "stdp_bandit",
            (1, 2),
            ("before the exchange", "at the end"),
        ),
    ],
)
def test_medians_of_runs(title, file, columns, keys):
    """The table has the medians of all runs."""
    path = ROOT / f"benchmarks/results/{file}.json"
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    found = medians(title, *columns)
    for name, case in cases.items():
        if "before learning" in name:  # only its best readout is in the table
            continue
        wanted = [np.median([run[key] for run in case["runs"]]) for key in keys]
        # three digits
        np.testing.assert_allclose(found[name], wanted, rtol=0.006)


def test_distal_reward():
    """The table has the medians of the weights of all seeds."""
    path = ROOT / "benchmarks/results/distal_reward.json"
    found = medians("distal reward", 1, 2)
    for name, case in json.loads(path.read_text())["cases"].items():
        last = [
            [run[key][-1] for run in case["runs"]]
            for key in ("rewarded", "mean of the others")
        ]
        np.testing.assert_allclose(found[name], np.median(last, axis=1), rtol=0.006)


def test_replaces_one_block():
    """A page without the marks, or with several, is refused."""
    marks = "<!-- t: generated -->\n<!-- t: end -->\n"
    for text in ("no marks", 2 * marks):
        with pytest.raises(ValueError, match="once"):
            tables.replace_block(text, "t", "new")
