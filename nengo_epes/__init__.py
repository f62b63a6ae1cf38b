"""Three-factor learning for Nengo: errors and rewards that come late.

Learning rules, to be written as ``learning_rule_type``
    EPES : TD error times eligibility trace
    GaussianREINFORCE : reward times the score of a Gaussian policy
Networks
    networks.GaussianPolicy, networks.SoftmaxPolicy : actions, and their scores
    networks.Baseline : a reward less the mean of those before it
    networks.ActorCritic, networks.Actor, networks.Critic, networks.TDError : agents
    networks.place_cells, networks.random_features : neurons that represent states
Environments
    environments.Environment : Gymnasium's, as a process (not imported by itself)
    rendering.view : a Node that shows one in Nengo GUI (not imported by itself)
Nengo GUI
    watching.watch : a Node that shows a trace or weights (not imported by itself)
    gui : models, opened by ``nengo-epes gui`` (not imported by itself)
Long simulations
    checkpoints : a simulation in a file, to go on from (not imported by itself)
Studies
    sweep.sweep : trials over cases and seeds, on many machines (not imported by itself)
Figures
    plots : learning curves, value and policy over a plane of states, spikes and trace
Synapses
    z : ``z**-n`` delays by n steps; sums and multiples of such delays
    Delay, TappedDelay : what ``z`` makes
    from_lti : a synapse from a scipy, nengolib or python-control system
Arithmetic on plain arrays
    gaussian, softmax : policies
    updates : traces and changes of weights
    steps : bounded steps, ``EPES(step=...)``
    surrogates : pseudo-derivatives of neurons, ``EPES(post_derivative=...)``
    stability : which learning rates are stable, and which to try
"""

from nengo_epes import (
    gaussian,
    networks,
    plots,
    softmax,
    stability,
    steps,
    surrogates,
    updates,
)
from nengo_epes.learning_rules import EPES, GaussianREINFORCE
from nengo_epes.synapses import Delay, TappedDelay, from_lti, z
from nengo_epes.version import __version__ as __version__

# there once they have been imported by name
_BY_NAME = ("checkpoints", "environments", "rendering")

__all__ = [
    "EPES",
    "Delay",
    "GaussianREINFORCE",
    "TappedDelay",
    "from_lti",
    "gaussian",
    "networks",
    "plots",
    "softmax",
    "stability",
    "steps",
    "surrogates",
    "updates",
    "z",
]


def __dir__():
    return [*__all__, "__version__", *(x for x in _BY_NAME if x in globals())]
