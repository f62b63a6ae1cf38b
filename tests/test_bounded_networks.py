"""Bounded steps keep networks from diverging that would diverge without."""

import bounded_steps_trial as bounded_steps
import pytest
import random_networks

# weights between neurons that learn from a late error, and decoders that learn from
# pulses; benchmarks/bounded_steps.py has more of them, for longer
SEEDS = [1000, 1017]
N_STEPS = 3000


def test_networks_are_of_both_kinds():
    """The two networks differ in what they learn, and in how they are told."""
    drawn = [random_networks.draw(seed) for seed in SEEDS]
    assert [d["learned"] for d in drawn] == ["weights", "decoders"]
    assert [d["every"] > 1 for d in drawn] == [False, True]


@pytest.mark.parametrize("seed", SEEDS)
def test_plain_step_diverges(seed):
    """With the plain step and ten times the largest stable learning rate the weights
    grow beyond all bounds; with a tenth of that rate the error falls."""
    fast = bounded_steps.run(seed, "plain", N_STEPS, chunk=500)
    assert not fast["finite"] or fast["largest_weight"][-1] > 1e20
    slow = bounded_steps.run(seed, "plain, a tenth of the rate", N_STEPS, chunk=500)
    assert slow["finite"]
    assert slow["error"][-1] < 0.2


@pytest.mark.parametrize("line", ["ObGD", "Intentional"])
@pytest.mark.parametrize("seed", SEEDS)
def test_bounded_steps_do_not(seed, line):
    """With a bounded step and the same learning rate, the error falls or stands."""
    result = bounded_steps.run(seed, line, N_STEPS, chunk=500)
    assert result["finite"]
    assert result["n_steps"] == N_STEPS
    assert result["error"][-1] <= result["error"][0] <= 1.0


def test_a_fraction_above_two_overshoots():
    """To correct five times the error with each pulse is no bounded step any more."""
    result = bounded_steps.run(1017, "Intentional, eta x 10", N_STEPS, chunk=500)
    assert not result["finite"] or result["largest_weight"][-1] > 1e20
