"""Random networks with one connection that learns in a closed loop.

The TD error of an `EPES` connection is v . (target - output). With a learning rate
above that of `nengo_epes.arithmetic.stability` each correction is larger than the last.
"""

from __future__ import annotations

import nengo
import numpy as np
from nengo.builder.ensemble import get_activities

from nengo_epes import EPES, z
from nengo_epes.arithmetic import stability

DT = 0.001
SYNAPSE = 0.005  # smooths the spikes on the learning connection
NEURON_TYPES = {
    "LIF": nengo.LIF(),
    "LIFRate": nengo.LIFRate(),
    "RectifiedLinear": nengo.RectifiedLinear(),
}


def draw(seed):
    """Draw the settings of a random network.

    ``every`` is the number of steps from one pulse of the TD error to the next, 1 if it
    is continuous; ``delay`` the number of steps by which a continuous one is delayed.
    """
    rng = np.random.RandomState(seed)
    pulses = bool(rng.rand() < 0.5)
    tau_e = float(10 ** rng.uniform(-2, 0))
    return {
        "n_neurons": int(rng.randint(20, 121)),
        "neuron_type": str(rng.choice(list(NEURON_TYPES))),
        "dimensions": int(rng.randint(1, 4)),
        "encoders": str(rng.choice(["axes", "sphere"])),
        "max_rates": [(100, 200), (200, 400)][rng.randint(2)],
        "learned": str(rng.choice(["decoders", "weights"])),
        "tau_e": tau_e if rng.rand() < 0.8 else None,
        "controls": [(), ("hold",), ("reset",), ("hold", "reset")][rng.randint(4)],
        "constant": bool(rng.rand() < 0.5),
        "every": int(rng.randint(10, 41)) if pulses else 1,
        "delay": 0 if pulses else int(rng.randint(0, 21)),
    }


def measured_stable_rate(seed):
    """Return the learning rate up to which a random network should be stable.

    One pulse has the effect of a continuous error during one second. For pulses it is
    therefore the limit with a time step equal to their interval, times the interval.
    """
    drawn = draw(seed)
    network, learned, _ = build(seed, EPES(0.0, size_eligibility=drawn["dimensions"]))
    with nengo.Simulator(network, dt=DT, progress_bar=False) as simulator:
        activities = _activities(simulator, network.pre, network.stimulus)
        gain = _gain_after(simulator, network, learned)
    delay, step, times = drawn["delay"] * DT + SYNAPSE, DT, 1.0
    if drawn["every"] > 1:
        delay, step = 0.0, drawn["every"] * DT
        times = step
    return times * stability.largest_stable_rate(activities, delay, step) / gain


def _activities(simulator, pre, stimulus):
    """Return the activities for the constant input, or else for any input."""
    if isinstance(stimulus.output, nengo.Process):
        return stability.activities_of(simulator, pre)
    return get_activities(simulator.data[pre], pre, stimulus.output[None, :])


def _gain_after(simulator, network, learned):
    """Return the largest ratio of output change to decoded change."""
    if isinstance(learned.post_obj, nengo.Node):
        return 1.0
    post = learned.post_obj.ensemble
    to_output = next(c for c in network.all_connections if c.pre_obj is post)
    built, decoders = simulator.data[post], simulator.data[to_output].weights
    direction = network.direction
    # Nengo multiplies the input of neurons by the gain, which the encoders contain too
    currents = built.gain * (built.scaled_encoders @ direction)
    active = stability.activities_of(simulator, post) > 0
    return float(np.abs((active * currents) @ decoders.T @ direction).max())


def build(seed, rule):
    """Build a random network; the rule must have the sizes and controls of `draw`.

    Returns the network, the connection that learns, and a probe of the error,
    v . (target - output), and of v . target, where v is a direction.
    """
    drawn = draw(seed)
    size = drawn["dimensions"]
    rng = np.random.RandomState([seed, 1])
    direction = rng.randn(size)
    direction /= np.linalg.norm(direction)
    to_target = direction @ rng.randn(size, size) / np.sqrt(size)
    learns = {"synapse": SYNAPSE, "learning_rule_type": rule}
    with nengo.Network(seed=seed) as network:
        stimulus, pre = _stimulus(drawn, seed, rng), _ensemble(drawn, seed)
        network.direction, network.stimulus, network.pre = direction, stimulus, pre
        nengo.Connection(stimulus, pre, synapse=None)
        output = nengo.Node(size_in=size, label="output")
        if drawn["learned"] == "decoders":
            learned = nengo.Connection(
                pre, output, function=lambda x: np.zeros(size), **learns
            )
        else:
            # unlimited rates, so that nothing limits the divergence
            post = nengo.Ensemble(60, size, neuron_type=nengo.RectifiedLinear())
            transform = np.zeros((60, drawn["n_neurons"]))
            learned = nengo.Connection(
                pre.neurons, post.neurons, transform=transform, **learns
            )
            nengo.Connection(post, output, synapse=None)
        lacking = nengo.Node(size_in=2, label="error and target")
        nengo.Connection(stimulus, lacking, transform=[to_target] * 2, synapse=None)
        nengo.Connection(output, lacking[0], transform=[-direction], synapse=None)
        _teach(learned, lacking[0], direction, drawn)
        probe = nengo.Probe(lacking)
    return network, learned, probe


def _stimulus(drawn, seed, rng):
    size = drawn["dimensions"]
    if drawn["constant"]:
        within = rng.uniform(-1, 1, size) / np.sqrt(size)
        return nengo.Node(within, label="stimulus")
    rms = 0.5 / np.sqrt(size)
    process = nengo.processes.WhiteSignal(10.0, high=2.0, rms=rms, seed=seed)
    return nengo.Node(process, size_out=size, label="stimulus")


def _ensemble(drawn, seed):
    size = drawn["dimensions"]
    axes = nengo.dists.Choice(np.concatenate([np.eye(size), -np.eye(size)]))
    return nengo.Ensemble(
        drawn["n_neurons"],
        size,
        neuron_type=NEURON_TYPES[drawn["neuron_type"]],
        encoders=axes if drawn["encoders"] == "axes" else nengo.Default,
        max_rates=nengo.dists.Uniform(*drawn["max_rates"]),
        seed=seed,
    )


def _teach(learned, lacking, direction, drawn):
    """Connect the error, continuously or in pulses, and the controls."""
    rule, port = learned.learning_rule_type, learned.learning_rule
    every = drawn["every"]
    delay = z ** -drawn["delay"] if drawn["delay"] else None
    if every > 1:

        def pulse(t, x):
            return x / DT if round(t / DT) % every == 0 else np.zeros(1)

        pulses = nengo.Node(pulse, size_in=1, size_out=1, label="pulses")
        nengo.Connection(lacking, pulses, synapse=None)
        lacking = pulses
    nengo.Connection(lacking, port[rule.td_error], synapse=delay)
    eligibility = nengo.Node(direction, label="eligibility")
    nengo.Connection(eligibility, port[rule.eligibility], synapse=None)
    if "hold" in rule.controls:
        hold = nengo.Node(lambda t: float(t % 0.05 > 0.03), label="hold")
        nengo.Connection(hold, port[rule.hold], synapse=None)
    if "reset" in rule.controls:
        reset = nengo.Node(lambda t: float(t % 0.7 < 0.0015), label="reset")
        nengo.Connection(reset, port[rule.reset], synapse=None)
