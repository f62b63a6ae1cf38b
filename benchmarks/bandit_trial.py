"""A bandit with continuous actions, learned by the decoders of spiking neurons.

In every decision the agent sees a context x, draws an action a, and gets the reward
r = -(a - target(x))^2. Without contexts the best action is always ``target``; with
contexts it is ``target * x``, and x is drawn anew from [-1, 1] for every decision.
"""

from __future__ import annotations

import nengo
import numpy as np

from nengo_epes.learning_rules import GaussianREINFORCE
from nengo_epes.networks import Baseline, GaussianPolicy

# the cases that a study compares, see `nengo_epes.sweep`
STUDY = {
    "one best action": {"contextual": False},
    "with contexts": {"contextual": True},
}


def build(
    seed=0,
    contextual=False,
    target=0.6,
    learning_rate=1e-5,
    period=0.03,
    n_neurons=200,
    neuron_type=None,
):
    """Build the agent and its bandit.

    Parameters
    ----------
    seed : int
        Of the network, the contexts and the noise.
    contextual : bool
        Whether the best action depends on a context.
    target : float
        The best action, or its ratio to the context.
    learning_rate : float
        Of `GaussianREINFORCE`.
    period : float
        Seconds between decisions; long enough for the decoded values to settle.
    n_neurons : int
        Neurons that represent the context.
    neuron_type : nengo.neurons.NeuronType, optional
        None for spiking LIF.

    Returns
    -------
    network : nengo.Network
        To be simulated.
    probes : dict of str to nengo.Probe
        ``mean``, ``standard_deviation``, ``action``, ``reward`` and ``context``, once a
        decision.
    """
    neuron_type = nengo.LIF() if neuron_type is None else neuron_type
    contexts = nengo.processes.PresentInput(
        np.random.RandomState(seed).uniform(-1, 1, (10_000, 1)), period
    )
    rule = GaussianREINFORCE(learning_rate, pre_synapse=0.005)
    with nengo.Network(seed=seed) as network:
        context = nengo.Node(contexts if contextual else 0.5, label="context")
        state = nengo.Ensemble(n_neurons, 1, neuron_type=neuron_type, label="state")
        policy = GaussianPolicy(
            period=period, log_std_bounds=(-2.7, 2), seed=seed, label="policy"
        )
        reward = nengo.Node(
            lambda t, x: -((x[0] - target * (x[1] if contextual else 1.0)) ** 2),
            size_in=2,
            label="reward",
        )
        baseline = Baseline(label="baseline")
        nengo.Connection(context, state, synapse=None)
        learned = nengo.Connection(
            state,
            policy.input,
            function=lambda x: [0.0, np.log(0.5)],
            synapse=rule.pre_synapse,
            learning_rule_type=rule,
            label="policy's decoders",
        )
        port = learned.learning_rule
        nengo.Connection(policy.action, reward[0], synapse=None)
        nengo.Connection(context, reward[1], synapse=None)
        nengo.Connection(reward, baseline.reward, synapse=None)
        nengo.Connection(policy.decision[0], baseline.event, synapse=None)
        nengo.Connection(baseline.output, port[rule.reward], synapse=None)
        nengo.Connection(nengo.Node(1.0), port[rule.gate], synapse=None)
        nengo.Connection(policy.decision, port[rule.decision], synapse=None)
        probes = {
            name: nengo.Probe(port, name, sample_every=period)
            for name in ("mean", "standard_deviation", "action")
        }
        probes["reward"] = nengo.Probe(reward, sample_every=period)
        probes["context"] = nengo.Probe(context, sample_every=period)
    return network, probes


def run(seed=0, n_decisions=3000, progress_bar=False, period=0.03, **options):
    """Let the agent decide and learn.

    Parameters
    ----------
    seed : int
        See `build`.
    n_decisions : int
        How often the agent decides.
    progress_bar : bool
        Whether to show Nengo's.
    period : float
        Seconds between decisions.
    **options
        See `build`.

    Returns
    -------
    dict of str to (n_decisions,) array
        What was probed, by the names of `build`.

    Examples
    --------
    >>> sorted(run(n_decisions=2))
    ['action', 'context', 'mean', 'reward', 'standard_deviation']
    """
    network, probes = build(seed, period=period, **options)
    with nengo.Simulator(network, progress_bar=progress_bar) as simulator:
        simulator.run_steps(n_decisions * round(period / simulator.dt))
        return {name: simulator.data[probe][:, 0] for name, probe in probes.items()}


def summary(result):
    """Reduce a run to the numbers that are reported.

    Parameters
    ----------
    result : dict
        From `run`.

    Returns
    -------
    dict of str to float
    """
    return {
        "mean, last 100": float(result["mean"][-100:].mean()),
        "largest standard deviation, last 100": float(
            result["standard_deviation"][-100:].max()
        ),
        "reward, last 300": float(result["reward"][-300:].mean()),
    }


def trial(seed, **options):
    """Let the agent decide and learn, and return what `nengo_epes.sweep` collects.

    Parameters
    ----------
    seed : int
        See `build`.
    **options
        For `run`.

    Returns
    -------
    dict of str to float
        See `summary`.

    Examples
    --------
    >>> list(trial(seed=0, n_decisions=2))
    ['mean, last 100', 'largest standard deviation, last 100', 'reward, last 300']
    """
    return summary(run(seed, **options))
