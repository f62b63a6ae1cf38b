"""What tells one network from another, for checkpoints."""

import nengo
import numpy as np
import pytest

from nengo_epes import checkpoints


def played(inputs):
    """Make a simulator of a network that plays inputs, one a step."""
    with nengo.Network(seed=0) as net:
        player = nengo.Node(nengo.processes.PresentInput(inputs, 0.001))
        nengo.Connection(player, nengo.Ensemble(10, 1))
    return nengo.Simulator(net, optimize=False)


@pytest.mark.parametrize("length", [20, 3000])
def test_inputs_of_any_length(length, tmp_path):
    """The checkpoint of a network that plays other inputs is refused, also where
    they are too many to be shown and one of them differs; with the same it goes on."""
    inputs, path = np.zeros((length, 1)), tmp_path / "a"
    with played(inputs) as sim:
        sim.run_steps(3)
        checkpoints.save(sim, path)
    with played(inputs.copy()) as sim:
        checkpoints.load(sim, path)
        assert sim.n_steps == 3
    inputs[length // 2] = 0.5
    with (
        played(inputs) as sim,
        pytest.raises(checkpoints.CheckpointError, match="another network"),
    ):
        checkpoints.load(sim, path)
