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


def test_replaces_one_block():
    """A page without the marks, or with several, is refused."""
    marks = "<!-- t: generated -->\n<!-- t: end -->\n"
    for text in ("no marks", 2 * marks):
        with pytest.raises(ValueError, match="once"):
            tables.replace_block(text, "t", "new")
