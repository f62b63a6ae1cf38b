"""Half a million steps."""

import resource

import nengo
import numpy as np
import pytest
from harness import connect, drive

from nengo_epes import EPES


@pytest.mark.slow
def test_memory_of_half_a_million_steps():
    """The process does not grow in 400,000 steps after the first 100,000, and the
    weights remain finite."""
    with nengo.Network(seed=1) as net:
        rule = EPES(1e-7, size_eligibility=2, post_derivative="auto")
        conn = connect("neurons", rule, 1, nengo.LIF(), n_pre=10, n_post=10)
        drive(conn, td_error=np.sin, eligibility=lambda t: [np.cos(t), 1.0])
    with nengo.Simulator(net) as sim:
        sim.run_steps(100_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sim.run_steps(400_000)
        growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        weights = sim.signals[sim.model.sig[conn]["weights"]]
        assert np.all(np.isfinite(weights)) and np.any(weights)
    # kilobytes: a single number a step would be 3200
    assert growth < 1500
