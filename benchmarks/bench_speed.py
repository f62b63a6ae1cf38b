"""The networks of speed.py, for pytest-benchmark.

Run ``python -m pytest benchmarks/bench_speed.py``. The rules run one after another, not
interleaved, which suffices to compare two versions. Install the extra ``benchmarks``.
"""

import nengo
import pytest
from speed import rules, simulator

SIZES = [("decoders", (1000, 2)), ("neurons", (300, 300)), ("neurons", (1000, 1000))]
CASES = [
    pytest.param(kind, shape, name, id=f"{kind} {shape[0]} x {shape[1]}, {name}")
    for kind, shape in SIZES
    for name in rules(kind, shape[1])
]


@pytest.mark.parametrize(("kind", "shape", "name"), CASES)
def test_hundred_steps(benchmark, kind, shape, name):
    """Time a hundred steps of a network with LIF neurons."""
    benchmark.group = f"{kind} {shape[0]} x {shape[1]}"
    with simulator(kind, shape, nengo.LIF, rules(kind, shape[1])[name]) as sim:
        sim.run_steps(100, progress_bar=False)
        benchmark.pedantic(
            sim.run_steps, (100,), {"progress_bar": False}, rounds=10, iterations=1
        )
