"""Ten times the largest stable learning rate, with and without bounded steps.

On the networks of `random_networks` the plain step makes each
correction larger than the last, and the weights grow until they are no numbers any
more. With the bounded steps of `nengo_epes.arithmetic.step_sizes` they must not.
"""

from __future__ import annotations

import nengo
import numpy as np
import random_networks
from nengo.exceptions import SimulationError
from random_networks import DT

from nengo_epes import EPES
from nengo_epes.arithmetic import step_sizes

# the learning rate, relative to the largest stable one, and how steps are bounded
LINES = {
    "plain, a tenth of the rate": (0.1, None),
    "plain": (10.0, None),
    "ObGD": (10.0, step_sizes.ObGD()),
    "Intentional": (10.0, step_sizes.Intentional()),
    "Intentional, eta x 10": (10.0, step_sizes.Intentional(eta=5.0)),
}


def rule_of(seed, line):
    """Return the rule by which a random network learns.

    Parameters
    ----------
    seed : int
        Of the network.
    line : str
        One of `LINES`: the learning rate, and how the step is bounded.

    Returns
    -------
    EPES

    Examples
    --------
    >>> rule_of(seed=0, line="ObGD").step
    ObGD(kappa=2.0, max_rate=400.0)
    """
    drawn = random_networks.draw(seed)
    factor, step = LINES[line]
    return EPES(
        factor * random_networks.largest_stable_rate(seed),
        trace_synapse=drawn["tau_e"],
        size_eligibility=drawn["dimensions"],
        step=step,
        controls=drawn["controls"],
    )


def run(seed=0, line="ObGD", n_steps=100_000, chunk=1000):
    """Let a random network learn, and look whether its weights stay numbers.

    Parameters
    ----------
    seed, line
        See `rule_of`.
    n_steps : int, optional
        How long, in steps of 1 ms.
    chunk : int, optional
        Number of steps between two measurements.

    Returns
    -------
    dict
        ``finite``, whether all steps were simulated and all weights are finite;
        ``n_steps``, the number of steps before the measurement that failed;
        ``largest_weight`` and ``error``, chunk by chunk: the largest size of a weight,
        and the root mean square of the error relative to that without learning.

    Examples
    --------
    >>> result = run(seed=0, line="ObGD", n_steps=100, chunk=50)
    >>> result["finite"], result["n_steps"], result["error"].shape
    (True, 100, (2,))
    """
    rule = rule_of(seed, line)
    network, learned, probe = random_networks.build(seed, rule)
    largest, squares, finite = [], [], True
    # what overflows is what is looked for
    with (
        np.errstate(over="ignore"),
        nengo.Simulator(network, dt=DT, progress_bar=False) as simulator,
    ):
        weights = simulator.signals[simulator.model.sig[learned]["weights"]]
        while finite and simulator.n_steps < n_steps:
            before = simulator.n_steps
            try:
                simulator.run_steps(min(chunk, n_steps - before))
                finite = bool(np.isfinite(weights).all())
            except (SimulationError, FloatingPointError):
                finite = False
            if finite:
                largest.append(np.abs(weights).max())
                squares.append((simulator.data[probe][before:] ** 2).mean(axis=0))
        n_simulated = simulator.n_steps if finite else before
    error, target = np.reshape(squares, (-1, 2)).T
    return {
        "finite": finite,
        "n_steps": n_simulated,
        "largest_weight": np.array(largest),
        "error": np.sqrt(error / target.mean()) if squares else error,
    }
