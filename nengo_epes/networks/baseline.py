"""A baseline for rewards: the running mean of earlier rewards."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.params import NumberParam


class _RunningMean(nengo.Process):
    """Outputs the reward minus the mean of past rewards; see `Baseline`."""

    rate = NumberParam("rate", low=0, low_open=True, high=1)

    def __init__(self, rate):
        super().__init__(default_size_in=2, default_size_out=1)
        self.rate = rate

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        """Make the mean and the number of rewards in it."""
        return {
            "mean": np.zeros(1, dtype=dtype),
            "count": np.zeros(1, dtype=np.int64),
        }

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one step."""
        mean, count = state["mean"], state["count"]

        def step_baseline(t, x):
            reward, counts = x[0], x[1] > 0.5
            # the first reward has no past to be compared with
            advantage = reward - mean[0] if count[0] else 0.0 * reward
            if counts:
                count[0] += 1
                mean[0] += max(self.rate, 1.0 / count[0]) * (reward - mean[0])
            return np.array([advantage])

        return step_baseline


class Baseline(nengo.Network):
    r"""Subtracts from a reward the running mean of the rewards before it.

    .. math:: b \leftarrow b + \max(\beta, 1/k)\,(r_k - b)

    The current reward is never in its own baseline, which would bias the gradient. The
    first reward has no past and gives 0. A reward counts as past in the step after its
    event. If you use a reward for several steps, send the event in the last of them.

    Parameters
    ----------
    rate : float, optional
        Weight :math:`\beta` of a new reward; the first 1 / beta rewards have equal
        weights.
    label, seed, add_to_container : optional
        See `nengo.Network`.

    Notes
    -----
    Nodes: ``reward`` (1), ``event`` (1) and ``output`` (1). The event is above 0.5 in
    steps with a new reward. An example is the first entry of a policy's ``decision``.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes.networks import Baseline
    >>> with nengo.Network() as net:
    ...     baseline = Baseline()
    ...     reward = nengo.Node(lambda t: 3.0 if t < 0.0025 else 5.0)
    ...     wire = nengo.Connection(reward, baseline.reward, synapse=None)
    ...     every = nengo.Connection(nengo.Node(1), baseline.event, synapse=None)
    ...     probe = nengo.Probe(baseline.output)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.004)
    >>> sim.data[probe][:, 0].round(12).tolist()
    [0.0, 0.0, 2.0, 1.333333333333]
    """

    def __init__(self, rate=0.05, label=None, seed=None, add_to_container=None):
        super().__init__(label=label, seed=seed, add_to_container=add_to_container)
        with self:
            self.reward = nengo.Node(size_in=1, label="reward")
            self.event = nengo.Node(size_in=1, label="event")
            mean = nengo.Node(_RunningMean(rate), size_in=2, label="running mean")
            self.output = nengo.Node(size_in=1, label="reward - baseline")
            nengo.Connection(self.reward, mean[0], synapse=None)
            nengo.Connection(self.event, mean[1], synapse=None)
            nengo.Connection(mean, self.output, synapse=None)
