"""The numbers of agents in README and documentation are those of the results."""

import json
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
AGENTS, README = (
    (ROOT / page).read_text(encoding="utf-8")
    for page in ("docs/agents.md", "README.md")
)


class Case:
    """All seeds of one case of a study; a seed that has not learned counts as never."""

    def __init__(self, study, case, n_seeds):
        table = json.loads((ROOT / f"benchmarks/results/{study}.json").read_text())
        runs = table["runs"]
        if isinstance(runs, dict):
            runs = runs[case]
        runs = [run for run in runs if run.get("case", case) == case]
        assert [run["seed"] for run in runs] == list(range(n_seeds))
        never = {None: np.inf}
        self.steps = np.array([never.get(run["steps"], run["steps"]) for run in runs])
        episodes = [never.get(run["episodes"], run["episodes"]) for run in runs]
        self.episodes = f"{np.median(episodes):g}".replace("inf", "")
        self.learned = f"{np.isfinite(self.steps).sum()} of {n_seeds}"
        self.median = np.median(self.steps)
        greedy = [run.get("greedy mean", np.nan) for run in runs]
        self.greedy = f"{np.mean(greedy):.1f}"
        self.worst = f"{np.min(greedy):.1f}"


def row(*cells):
    """Return the end of a row of a table, in which cells may be empty."""
    return f"{' | '.join(cells)} |".replace("|  |", "| |")


def test_cart_pole():
    """The tables and the text have the numbers of CartPole-v1."""
    line = next(x for x in README.splitlines() if x.startswith("| CartPole-v1"))
    for name in ("relu", "lif", "relu, step sizes"):
        case = Case("cartpole", name, 20)
        assert row(case.learned, case.episodes, f"{case.median:,.0f}") in AGENTS
        if name != "relu, step sizes":
            for number in (case.learned, case.episodes, f"{case.median / 1000:.1f}k"):
                assert number in line
    assert Case("cartpole", "relu, lambda 0", 20).learned == "0 of 20"
    case = Case("cartpole", "relu, lambda 0, step sizes", 20)
    last = Case("cartpole", "relu", 20).steps.max()
    assert row(case.episodes, f"{case.median:,.0f}") in AGENTS
    assert not (case.steps <= 34_900).any()
    assert f"3\nwithin the {last:,.0f}" in AGENTS and (case.steps <= last).sum() == 3
    assert "step sizes 15 of 20" in README and (case.steps <= 70_000).sum() == 15


def test_other_tasks():
    """The tables have the numbers of the other three tasks."""
    for study, environment, n_steps in (
        ("pendulum", "Pendulum-v1", None),
        ("mountain_car", "MountainCarContinuous-v0", "50,000"),
        ("acrobot", "Acrobot-v1", "100,000"),
    ):
        line = next(x for x in README.splitlines() if x.startswith(f"| {environment}"))
        for name in ("with traces", "without traces"):
            case = Case(study, name, 10)
            if study == "pendulum":
                expected = row(case.greedy, case.worst, case.learned, case.episodes)
            else:
                steps = f"{case.median:,.0f}".replace("inf", "")
                greedy = (x.removesuffix(".0") for x in (case.greedy, case.worst))
                expected = row(n_steps, case.learned, steps, *greedy)
            assert expected in AGENTS
            if name == "with traces":
                assert case.greedy in line
                assert "worst" not in line or f"worst {case.worst}" in line
