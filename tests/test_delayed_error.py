"""The delayed-error demonstration: what it computes, shows and writes."""

import json
import re

import matplotlib as mpl
import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_epes import demos as delayed_error
from nengo_epes.__main__ import main

mpl.use("agg")

DELAYED, TRACE = delayed_error.LINES[1:]


def same(rmse):
    """Two builds of a network add up in any order: equal to rounding."""
    return pytest.approx(rmse, rel=1e-9)


@pytest.fixture(scope="module")
def short():
    """A fifth of the full length; a longer delay, which shows earlier."""
    return delayed_error.run(seed=5, seconds=20.0, delay=1500, learning_rate=2e-5)


def test_rmse_is_that_of_the_second_half(short):
    """The numbers are those of what was recorded, from half of the time on, against
    the true target -cos(t)."""
    time = short["time"]
    assert np.allclose(short["target"], -np.cos(time), atol=1e-9)
    late = time > 10.0
    for line, output in short["output"].items():
        expected = np.sqrt(np.mean((output + np.cos(time))[late] ** 2))
        assert short["rmse"][line] == pytest.approx(expected, rel=1e-6)


def test_short_demonstration_learns(short):
    """Also the shortened form is helped by delayed activities and by a trace."""
    assert short["rmse"][DELAYED] < 0.6 * short["rmse"]["PES"]
    assert short["rmse"][TRACE] < 0.6 * short["rmse"]["PES"]


@pytest.mark.slow
def test_full_demonstration():
    """At full length, mean over seeds 0 to 4: delayed activities, and the trace, each
    at most 0.6 times the error without."""
    rmse = [delayed_error.run(seed=seed)["rmse"] for seed in range(5)]
    mean = {line: np.mean([r[line] for r in rmse]) for line in delayed_error.LINES}
    assert mean[DELAYED] <= 0.6 * mean["PES"]
    assert mean[TRACE] <= 0.6 * mean["PES"]


def test_seeds_decide():
    """The same seed gives the same numbers, another seed others."""
    options = {"seconds": 2.0, "delay": 100}
    one, again, other = (
        delayed_error.run(seed=s, **options)["rmse"] for s in (1, 1, 2)
    )
    assert one == same(again)
    for line in delayed_error.LINES:
        assert abs(one[line] - other[line]) > 1e-6


def test_too_short():
    """A run in which no error arrives in time is refused."""
    with pytest.raises(ValidationError, match=r"seconds.*twice the delay of 1 s.*2"):
        delayed_error.run(seconds=2.0)


def test_command_writes_figure_and_table(tmp_path, capsys):
    """The command prints a table, and writes the same numbers and a PNG."""
    figure, table = tmp_path / "a.png", tmp_path / "b.json"
    arguments = f"demo --seconds 3 --seed 4 --output {figure} --json {table}"
    assert main(arguments.split()) == 0
    assert figure.read_bytes().startswith(b"\x89PNG")
    written = json.loads(table.read_text())
    assert written["seed"] == 4
    assert written["rmse"] == same(delayed_error.run(seed=4, seconds=3.0)["rmse"])
    printed = capsys.readouterr().out
    for line, value in written["rmse"].items():
        assert f"{line:<26}{value:8.4f}" in printed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--output /nowhere/a.png", "no folder /nowhere"),
        ("--json .", "is a folder"),
    ],
)
def test_command_refuses(arguments, message, tmp_path, capsys, monkeypatch):
    """Impossible options are refused before anything is simulated or written."""
    monkeypatch.chdir(tmp_path)
    assert main(["demo", *arguments.split()]) == 1
    error = capsys.readouterr().err
    assert error.startswith("nengo-epes: ")
    assert re.search(message, error, re.IGNORECASE)
    assert list(tmp_path.iterdir()) == []
