"""A Gaussian policy learns the action with the largest reward: move the target.

The reward is minus the squared distance of action and target. The picture shows the
policy's density, the last action (a dot) and the target (a line).
"""

import nengo
import numpy as np

from nengo_epes import GaussianREINFORCE
from nengo_epes.gui.monitor import monitor
from nengo_epes.networks import Baseline, GaussianPolicy

xs = np.linspace(-200, 200, 81)


def draw(t, x):
    """Draw mean, standard deviation, action and target, forty times a second."""
    if round(t / 0.001) % 25 == 1:
        mean, std, action, target = 100 * np.asarray(x)
        heights = np.exp(-0.5 * ((xs - mean) / max(std, 1)) ** 2)
        pairs = zip(xs, -150 * heights, strict=True)
        points = " ".join(f"{x:.0f},{y:.1f}" for x, y in pairs)
        draw._nengo_html_ = f"""
            <svg width="100%" height="100%" viewBox="-210 -170 420 190">
            <line x1="{target}" x2="{target}" y1="-160" stroke="#009e73"/>
            <polyline points="{points}" fill="#0072b233" stroke="#0072b2"/>
            <circle cx="{action}" r="6" fill="#d55e00"/></svg>"""


with nengo.Network(seed=0) as model:
    target = nengo.Node(0.6)
    learn = nengo.Node(1.0)
    state = nengo.Ensemble(200, 1)
    nengo.Connection(nengo.Node(0.5, label="context"), state, synapse=None)
    policy = GaussianPolicy(period=0.02, log_std_bounds=(-2, 0), seed=0)
    reward = nengo.Node(lambda t, x: -((x[0] - x[1]) ** 2), size_in=2)
    nengo.Connection(policy.action, reward[0], synapse=None)
    nengo.Connection(target, reward[1], synapse=None)
    baseline = Baseline()
    nengo.Connection(reward, baseline.reward, synapse=None)
    nengo.Connection(policy.decision[0], baseline.event, synapse=None)
    rule = GaussianREINFORCE(1e-5, pre_synapse=0.005)
    learned = nengo.Connection(
        state, policy.input, function=lambda x: [-0.6, -0.7], learning_rule_type=rule
    )
    port = learned.learning_rule
    nengo.Connection(baseline.output, port[rule.reward], synapse=None)
    nengo.Connection(learn, port[rule.gate], synapse=None)
    nengo.Connection(policy.decision, port[rule.decision], synapse=None)
    mean = monitor(learned, "mean")
    std = monitor(learned, "standard_deviation", label="standard deviation")
    picture = nengo.Node(draw, size_in=4)
    nengo.Connection(mean, picture[0], synapse=None)
    nengo.Connection(std, picture[1], synapse=None)
    nengo.Connection(policy.action, picture[2], synapse=None)
    nengo.Connection(target, picture[3], synapse=None)
