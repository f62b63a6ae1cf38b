"""Small networks in which one connection learns, for the tests of the rules."""

import nengo
import numpy as np

DT = 0.001


class Sines:
    """One sine in every dimension. A class, because closures cannot be pickled."""

    __name__ = "sines"

    def __init__(self, dimensions, seed):
        rng = np.random.RandomState(seed)
        self.frequencies, self.phases = rng.uniform(2, 20, (2, dimensions))

    def __call__(self, t):
        """Return the value at time t."""
        return np.sin(2 * np.pi * self.frequencies * t + self.phases)


def stimulus(dimensions, seed):
    """Make a node of sines, which drives every neuron for part of the time."""
    return nengo.Node(Sines(dimensions, seed), label="stimulus")


def connect(kind, rule, seed, neuron_type, n_pre=23, n_post=17, dimensions=2):
    """Make a connection of the given kind that learns by the given rule."""
    ensembles = {"dimensions": dimensions, "neuron_type": neuron_type}
    pre = nengo.Ensemble(n_pre, **ensembles, seed=seed)
    post = nengo.Ensemble(n_post, **ensembles, seed=seed + 1, radius=1.5)
    nengo.Connection(stimulus(dimensions, seed), pre, synapse=None)
    learns = {"learning_rule_type": rule, "seed": seed}

    def full(shape):
        return np.random.RandomState(seed).randn(*shape) * 1e-4

    if kind == "node":
        node = nengo.Node(size_in=dimensions)
        return nengo.Connection(pre, node, **learns)
    if kind == "ensemble":
        return nengo.Connection(pre, post, **learns)
    if kind == "ensemble slice":
        transform = np.ones((1, dimensions))
        return nengo.Connection(pre, post[1], transform=transform, **learns)
    if kind == "weight solver":
        solver = nengo.solvers.LstsqL2(weights=True)
        return nengo.Connection(pre, post, solver=solver, **learns)
    if kind == "neurons":
        transform = full((n_post, n_pre))
        return nengo.Connection(
            pre.neurons, post.neurons, transform=transform, **learns
        )
    if kind == "neuron slices":
        transform = full((len(range(n_post)[1:9:2]), len(range(n_pre)[3:20])))
        return nengo.Connection(
            pre.neurons[3:20], post.neurons[1:9:2], transform=transform, **learns
        )
    if kind == "neurons by list":
        transform = full((n_post, 3))
        return nengo.Connection(
            pre.neurons[[5, 1, 7]], post.neurons, transform=transform, **learns
        )
    if kind == "neurons to ensemble":
        transform = full((dimensions, n_pre))
        return nengo.Connection(pre.neurons, post, transform=transform, **learns)
    if kind == "neurons to node":
        node = nengo.Node(size_in=3)
        transform = full((3, n_pre))
        return nengo.Connection(pre.neurons, node, transform=transform, **learns)
    raise ValueError(kind)


DECODED = ("node", "ensemble", "ensemble slice", "neurons to ensemble")
WEIGHTS = ("weight solver", "neurons", "neuron slices", "neurons by list")


def drive(conn, **inputs):
    """Connect functions of time, or constants, to the named parts of a rule's port."""
    rule_type = conn.learning_rule_type
    for name, value in inputs.items():
        target = conn.learning_rule[getattr(rule_type, name)]
        nengo.Connection(nengo.Node(value, label=name), target, synapse=None)


def run(network, steps, dt=DT, optimize=True):
    """Simulate; return the data of the probes by label."""
    with nengo.Simulator(network, dt=dt, optimize=optimize) as sim:
        sim.run_steps(steps)
        return {probe.label: sim.data[probe].copy() for probe in network.all_probes}


def learn(rule, kind="node", seed=3, steps=300, probes=(), **options):
    """Let one EPES connection learn; the options are the inputs of its port."""
    dt = options.pop("dt", DT)
    neuron_type = options.pop("neuron_type", nengo.LIF())
    with nengo.Network(seed=seed) as net:
        conn = connect(kind, rule, seed, neuron_type)
        drive(conn, **options)
        nengo.Probe(conn, "weights", label="weights")
        for name in probes:
            nengo.Probe(conn.learning_rule, name, label=name)
    return run(net, steps, dt=dt)
