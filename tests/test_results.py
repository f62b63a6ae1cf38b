"""Numbers that are told of agents are those of the committed results."""

import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
AGENTS = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def runs(study, case):
    """Return what every seed of a case has reached, and how many seeds there are."""
    table = json.loads((ROOT / "benchmarks/results" / f"{study}.json").read_text())
    found = table["runs"]
    if isinstance(found, list):
        return [run for run in found if run["case"] == case]
    return found[case]


def median(found, name):
    """Failures count as never."""
    return np.median([np.inf if run[name] is None else run[name] for run in found])


def learned(found):
    return f"{sum(run['steps'] is not None for run in found)} of {len(found)}"


def row(*cells):
    """Return a row of a table; what is empty is there as such."""
    return f"{' | '.join(cells)} |".replace("|  |", "| |")


@pytest.mark.parametrize("case", ["relu", "lif", "relu, step sizes"])
def test_cart_pole(case):
    """Of those methods with which most seeds learn: how many, and the medians."""
    found = runs("cartpole", case)
    assert [run["seed"] for run in found] == list(range(20))
    episodes, steps = median(found, "episodes"), round(median(found, "steps"))
    assert f"| {learned(found)} | {episodes:g} | {steps:,} |" in AGENTS


def test_cart_pole_without_traces():
    """None learns with `Intentional`; with step sizes so many within so many steps."""
    assert learned(runs("cartpole", "relu, lambda 0")) == "0 of 20"
    found = runs("cartpole", "relu, lambda 0, step sizes")
    steps = np.array(
        [np.inf if run["steps"] is None else run["steps"] for run in found]
    )
    last = max(run["steps"] for run in runs("cartpole", "relu"))
    assert f"{median(found, 'episodes'):g} | {round(np.median(steps)):,} |" in AGENTS
    assert not (steps <= 34_900).any()
    assert f"3\nwithin the {last:,}" in AGENTS and (steps <= last).sum() == 3
    assert "step sizes 15 of 20" in README and (steps <= 70_000).sum() == 15


@pytest.mark.parametrize(
    ("study", "n_steps"), [("mountain_car", "50,000"), ("acrobot", "100,000")]
)
def test_car_and_links(study, n_steps):
    """Of ten seeds: how many learned and when, and what they earn when greedy."""
    for case in ("with traces", "without traces"):
        found = runs(study, case)
        assert [run["seed"] for run in found] == list(range(10))
        greedy = [run["greedy mean"] for run in found]
        steps = median(found, "steps")
        when = f"{round(steps):,}" if np.isfinite(steps) else ""
        told = [f"{x:.1f}".removesuffix(".0") for x in (np.mean(greedy), min(greedy))]
        assert f"| {row(n_steps, learned(found), when, *told)}" in AGENTS


def test_pendulum():
    """Of ten seeds: what they earn when greedy, and when they swung it up."""
    for case in ("with traces", "without traces"):
        found = runs("pendulum", case)
        assert [run["seed"] for run in found] == list(range(10))
        greedy = [run["greedy mean"] for run in found]
        episodes = median(found, "episodes")
        when = f"{episodes:g}" if np.isfinite(episodes) else ""
        told = f"{np.mean(greedy):.1f}", f"{min(greedy):.1f}"
        assert row(*told, learned(found), when) in AGENTS


def test_readme():
    """The line of each task has the numbers of its study."""
    lines = {
        line.split(",")[0]: line
        for line in README.splitlines()
        if "actor-critic" in line
    }
    for case in ("relu", "lif"):
        found = runs("cartpole", case)
        for number in (f"{median(found, 'episodes'):g}", f"{learned(found)}"):
            assert number in lines["| CartPole-v1"]
        assert f"{median(found, 'steps') / 1000:.1f}k" in lines["| CartPole-v1"]
    for study, name in (
        ("pendulum", "| Pendulum-v1"),
        ("mountain_car", "| MountainCarContinuous-v0"),
        ("acrobot", "| Acrobot-v1"),
    ):
        greedy = [run["greedy mean"] for run in runs(study, "with traces")]
        assert f"{np.mean(greedy):.1f}" in lines[name]
        assert "worst" not in lines[name] or f"worst {min(greedy):.1f}" in lines[name]
