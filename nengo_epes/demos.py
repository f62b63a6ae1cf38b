"""The forum's delayed-error task: learn from an error delayed by 1 s.

An ensemble receives cos(t) and learns to output -cos(t). The error of its output
reaches the learning rule ``delay`` simulator steps later, at another phase of the task.
Three rules are compared:

1. ``PES`` as it is corrects activities that did not cause the error;
2. ``PES(pre_synapse=z**-(delay + 1))`` corrects the activities of that time;
3. ``EPES`` receives only a scalar TD error, and its eligibility trace spans the delay.
"""

from __future__ import annotations

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_epes.learning_rules import EPES
from nengo_epes.progress import make_bar
from nengo_epes.simulators import choose_simulator
from nengo_epes.synapses import z

LINES = ("PES", "PES, delayed activities", "EPES")


def rules(delay=1000, learning_rate=1e-5, dt=0.001):
    """Return the learning rule of every line.

    Parameters
    ----------
    delay : int
        Delay of the error in simulator steps.
    learning_rate : float
        Learning rate of all three rules.
    dt : float
        The step in seconds.

    Returns
    -------
    dict of str to LearningRuleType
        By the names in ``LINES``.

    Examples
    --------
    >>> [*rules()]
    ['PES', 'PES, delayed activities', 'EPES']
    """
    return {
        "PES": nengo.PES(learning_rate),
        # the simulator adds a step to the error's delay, but not to this synapse
        "PES, delayed activities": nengo.PES(
            learning_rate, pre_synapse=z ** -(delay + 1)
        ),
        # an Alpha of time constant tau has a mean delay of 2 tau
        "EPES": EPES(learning_rate, trace_synapse=nengo.Alpha(0.5 * delay * dt)),
    }


def build(seed=0, delay=1000, learning_rate=1e-5, dt=0.001):
    """Build the network of all three lines, side by side.

    Parameters
    ----------
    seed : int
        Seed of the ensembles, which are the same in each line.
    delay, learning_rate, dt
        See `rules`.

    Returns
    -------
    network : nengo.Network
        To be simulated with ``dt``.
    probes : dict of str to nengo.Probe
        The outputs, by the names in ``LINES``, and ``"target"``.

    Examples
    --------
    >>> network, probes = build(delay=100)
    >>> len(network.ensembles), [*probes]
    (3, ['target', 'PES', 'PES, delayed activities', 'EPES'])
    """
    with nengo.Network(seed=seed) as network:
        stimulus = nengo.Node(np.cos, label="cos(t)")
        target = nengo.Node(size_in=1, label="target, -cos(t)")
        nengo.Connection(stimulus, target, transform=-1, synapse=None)
        eligibility = nengo.Node(1.0, label="eligibility")
        probes = {"target": nengo.Probe(target, sample_every=10 * dt)}
        for line, rule in rules(delay, learning_rate, dt).items():
            ensemble = nengo.Ensemble(
                100, dimensions=1, neuron_type=nengo.LIFRate(), seed=seed, label=line
            )
            output = nengo.Node(size_in=1)
            nengo.Connection(stimulus, ensemble, synapse=None)
            learned = nengo.Connection(
                ensemble,
                output,
                function=lambda x: 0.0,
                synapse=None,
                learning_rule_type=rule,
            )
            port, sign = learned.learning_rule, 1
            if isinstance(rule, EPES):
                nengo.Connection(eligibility, port[rule.eligibility], synapse=None)
                # a TD error is positive where PES's error is negative
                port, sign = port[rule.td_error], -1
            late = z**-delay
            nengo.Connection(output, port, transform=sign, synapse=late)
            nengo.Connection(target, port, transform=-sign, synapse=late)
            probes[line] = nengo.Probe(output, sample_every=10 * dt)
    return network, probes


def run(
    seed=0,
    seconds=100.0,
    delay=1000,
    learning_rate=1e-5,
    dt=0.001,
    progress_bar=False,
    simulator="nengo",
):
    """Run the task and measure each line over the second half.

    Parameters
    ----------
    seed : int
        Seed of the network.
    seconds : float
        Simulated time; more than twice the delay.
    delay, learning_rate, dt
        See `rules`.
    progress_bar : bool or callable
        Whether to show a progress bar of tqdm. Also a function of the number of
        simulator steps that returns a bar, such as ``nengo_epes.progress.Bar``.
    simulator : str or type
        "nengo", "compiled", or a subclass of `nengo.Simulator`.

    Returns
    -------
    dict
        ``"rmse"``: root mean squared error by line, from ``seconds / 2`` to
        ``seconds``; ``"time"``, ``"target"`` and ``"output"`` (by line): what was
        recorded, every tenth step; and the parameters by their names.

    Raises
    ------
    ValidationError
        If the time is too short for an error to arrive in the first half.

    Examples
    --------
    >>> result = run(seconds=1.0, delay=100)
    >>> sorted(result["rmse"])
    ['EPES', 'PES', 'PES, delayed activities']
    """
    if not seconds / 2 > delay * dt:
        raise ValidationError(
            f"must be more than twice the delay of {delay * dt:g} s (got {seconds:g})",
            attr="seconds",
        )
    network, probes = build(seed, delay, learning_rate, dt)
    n_steps = round(seconds / dt)
    with (
        choose_simulator(simulator)(network, dt=dt, progress_bar=False) as sim,
        make_bar(n_steps, progress_bar) as bar,
    ):
        for _ in range(n_steps):
            sim.step()
            bar.update()
        time = sim.trange(sample_every=10 * dt)
    target = sim.data[probes["target"]][:, 0]
    output = {line: sim.data[probes[line]][:, 0] for line in LINES}
    late = time > seconds / 2
    return {
        "rmse": {
            line: float(np.sqrt(np.mean((output[line] - target)[late] ** 2)))
            for line in LINES
        },
        "time": time,
        "target": target,
        "output": output,
        "seed": seed,
        "seconds": seconds,
        "delay": delay,
        "learning_rate": learning_rate,
        "dt": dt,
    }


def plot(result, axes=None):
    """Draw how the error of each line shrinks, and the output at the end.

    Parameters
    ----------
    result : dict
        From `run`.
    axes : pair of matplotlib.axes.Axes, optional
        Where to draw; None for a new figure.

    Returns
    -------
    pair of matplotlib.axes.Axes

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> left, right = plot(run(seconds=1.0, delay=100))
    >>> left.get_title()
    'error delayed by 0.1 s'
    """
    import matplotlib.pyplot as plt

    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    time, target = result["time"], result["target"]
    period = min(2 * np.pi, result["seconds"] / 4)
    window = max(1, round(period / (time[1] - time[0])))
    last = time > time[-1] - period
    # blue, orange and green of Okabe and Ito (2008), which differ in their dashes, too
    styles = [("#0072B2", ":"), ("#E69F00", "--"), ("#009E73", "-")]
    for line, (colour, dashes) in zip(LINES, styles, strict=True):
        squared = (result["output"][line] - target) ** 2
        running = np.convolve(squared, np.ones(window) / window, mode="valid")
        style = {"color": colour, "ls": dashes, "lw": 1.8, "label": line}
        axes[0].plot(time[window - 1 :], np.sqrt(running), **style)
        axes[1].plot(time[last], result["output"][line][last], **style)
    axes[1].plot(time[last], target[last], color="0.3", lw=1, label="target")
    axes[0].set(
        xlabel="time (s)",
        ylabel=f"RMSE over the last {period:.3g} s",
        yscale="log",
        title=f"error delayed by {result['delay'] * result['dt']:g} s",
    )
    axes[1].set(xlabel="time (s)", ylabel="output", title="learned output")
    axes[1].legend(fontsize="small")
    return axes
