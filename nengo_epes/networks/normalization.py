"""Running normalization of observations and rewards, as signals of a simulation.

Both are processes for a Node. Their statistics are arrays of the simulation: they can
be probed, they are in every checkpoint, and `nengo_epes.rl.Agent.save` stores them with
the weights. An observation lasts for several simulator steps, so an input marks the
step in which both count a sample.
"""

from __future__ import annotations

import math

import nengo
import numpy as np
from nengo.exceptions import ValidationError
from nengo.params import BoolParam, NdarrayParam, NumberParam

__all__ = ["ObservationNormalization", "RewardScaling"]

# added to variances: an entry that never changes is 0, not 0 / 0; a larger number would
# suppress quantities in small units
TINY = 1e-16


class ObservationNormalization(nengo.Process):
    r"""Subtracts the running mean of observations and divides by their deviation.

    .. math:: y = \mathrm{clip}\left(\frac{x - \bar x}{\sqrt{s^2 + 10^{-16}}},
       -c, c\right)

    with the mean :math:`\bar x` and the variance :math:`s^2` of all samples so far. The
    output is the point :math:`[y, 1] / |[y, 1]|` on the unit sphere, which
    `sphere_features` represents.

    Parameters
    ----------
    dimensions : int
        Number of entries of an observation.
    clip : float, optional
        The bound c, in standard deviations.
    normalized : bool, optional
        Whether to normalize. False: y is the observation, clipped.
    statistics : (3, dimensions) array_like, optional
        Fixed mean, sum of squared differences from the mean, and number of samples
        (equal in all entries). None: the process updates them from the first sample on.

    Raises
    ------
    ValidationError
        If a parameter is out of range.

    Notes
    -----
    The input is the observation, and then whether it is a new sample (above 0.5). With
    given statistics it is the observation alone. State: ``statistics``, shape (3,
    dimensions), and ``point``, the output, which stays until the next sample. Before
    the second sample y is 0.

    References
    ----------
    .. [1] Welford, B. P. (1962). Note on a method for calculating corrected sums of
       squares and products. Technometrics, 4(3), 419-420.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes.networks import ObservationNormalization
    >>> with nengo.Network() as net:
    ...     node = nengo.Node(ObservationNormalization(1), size_in=2)
    ...     samples = nengo.Node(nengo.processes.PresentInput([[1, 1], [3, 1]], 0.001))
    ...     feed = nengo.Connection(samples, node, synapse=None)
    ...     probe = nengo.Probe(node)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run_steps(2)
    >>> y = sim.data[probe][-1, 0] / sim.data[probe][-1, 1]
    >>> print(y.round(6))  # (3 - 2) / sqrt(2)
    0.707107
    """

    clip = NumberParam("clip", low=0, low_open=True)
    normalized = BoolParam("normalized")
    statistics = NdarrayParam("statistics", shape=(3, "*"), optional=True)

    def __init__(self, dimensions, clip=3.0, normalized=True, statistics=None):
        super().__init__(
            default_size_in=dimensions + (statistics is None),
            default_size_out=dimensions + 1,
        )
        self.clip = clip
        self.normalized = normalized
        self.statistics = statistics
        if statistics is not None and self.statistics.shape[1] != dimensions:
            raise ValidationError(
                f"has {self.statistics.shape[1]} columns; give one for each of the "
                f"{dimensions} entries of an observation",
                attr="statistics",
                obj=self,
            )

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        """Make the statistics, which stay in double precision, and the output."""
        point = np.zeros(shape_out, dtype=dtype)
        point[-1] = 1.0
        statistics = np.zeros((3, self.default_size_out - 1))
        if self.statistics is not None:
            statistics[...] = self.statistics
        return {"statistics": statistics, "point": point}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one simulator step."""
        mean, squares, count = state["statistics"]
        point, size, clip = state["point"], self.default_size_out - 1, self.clip
        is_fixed, is_normalized = self.statistics is not None, self.normalized

        def step_normalization(t, x):
            if not is_fixed and x.item(size) <= 0.5:
                return point  # the observation of this sample is still there
            y = x[:size]
            if not is_fixed:
                count[...] += 1.0
                difference = y - mean
                mean[...] += difference / count
                squares[...] += difference * (y - mean)
            if is_normalized:
                n = count.item(0)
                if n < 2.0:
                    y = np.zeros(size)
                else:
                    y = (y - mean) / np.sqrt(squares / (n - 1.0) + TINY)
            y = np.maximum(np.minimum(y, clip), -clip)
            length = math.sqrt(y.dot(y) + 1.0)
            point[:size] = y / length
            point[size] = 1.0 / length
            return point

        return step_normalization


class RewardScaling(nengo.Process):
    r"""Divides rewards by the running standard deviation of their discounted sum.

    The discounted sum of past rewards is :math:`G \leftarrow \gamma G + r`. When an
    episode ends, it restarts from the last reward, :math:`G = r`. Rewards are divided
    by the standard deviation of all values of G so far. So values have the order of 1,
    for any unit of the rewards. This is the convention of
    `gymnasium.wrappers.NormalizeReward`.

    Parameters
    ----------
    discount : float, optional
        Discount :math:`\gamma`.

    Notes
    -----
    Inputs: ``observe`` (above 0.5: there is a new reward), the reward, ``truncated``
    and ``terminated`` (above 0.5: the episode ends), and ``reset`` (above 0.5: an
    episode starts, without a reward). State: ``statistics``, the discounted sum, the
    mean of its values, the sum of their squared differences from the mean, and their
    number, shape (4,).

    References
    ----------
    .. [1] Elsayed, M., Vasan, G., & Mahmood, A. R. (2024). Streaming deep reinforcement
       learning finally works. arXiv 2410.14606.

    Examples
    --------
    The standard deviation of sums of 1 and 3 is the square root of 2:

    >>> import nengo
    >>> from nengo_epes.networks import RewardScaling
    >>> with nengo.Network() as net:
    ...     node = nengo.Node(RewardScaling(discount=1.0), size_in=5)
    ...     rewards = [[1, 1, 0, 0, 0], [1, 2, 0, 0, 0]]
    ...     source = nengo.Node(nengo.processes.PresentInput(rewards, 0.001))
    ...     feed = nengo.Connection(source, node, synapse=None)
    ...     probe = nengo.Probe(node)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run_steps(2)
    >>> print(sim.data[probe][-1].round(6))  # 2 / sqrt(2)
    [1.414214]
    """

    discount = NumberParam("discount", low=0, high=1)

    def __init__(self, discount=0.99):
        super().__init__(default_size_in=5, default_size_out=1)
        self.discount = discount

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        """Make the statistics, which stay in double precision."""
        return {"statistics": np.zeros(4)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one simulator step."""
        statistics, discount = state["statistics"], self.discount
        output = np.zeros(1)

        def step_scaling(t, x):
            observes, reward, truncated, terminated, starts = x.tolist()
            discounted, mean, squares, count = statistics.tolist()
            if observes > 0.5 >= starts:
                is_over = truncated > 0.5 or terminated > 0.5
                discounted = reward + (0.0 if is_over else discount * discounted)
                count += 1.0
                difference = discounted - mean
                mean += difference / count
                squares += difference * (discounted - mean)
                statistics[:] = discounted, mean, squares, count
            variance = squares / (count - 1.0) if count > 1.0 else 1.0
            output[0] = reward / math.sqrt(variance + TINY)
            return output

        return step_scaling
