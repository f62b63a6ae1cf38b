"""Three-factor learning for Nengo: errors and rewards that come late.

Learning rules, to be written as ``learning_rule_type``
    EPES : TD error times eligibility trace
    GaussianREINFORCE : reward times the score of a Gaussian policy
Networks
    networks.GaussianPolicy, networks.SoftmaxPolicy : actions, and their scores
    networks.Baseline : a reward less the mean of those before it
    networks.ActorCritic, networks.Actor, networks.Critic, networks.TDError : agents
    networks.place_cells, networks.random_features : neurons that represent states
Environments (imported by their own names)
    environments.Environment : Gymnasium's, as a process
    rendering.view : a Node that shows one in Nengo GUI
Long runs and many (imported by their own names)
    checkpoints.save, checkpoints.load : a simulation that goes on later
    sweep.sweep : trials over parameters and seeds, on one machine or many
Nengo GUI (imported by their own names)
    watching.watch : a Node that shows a trace, a TD error or weights
    gui : models that learn while one watches, opened by ``nengo-epes gui``
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

from nengo_epes import networks, plots
from nengo_epes.arithmetic import (
    gaussian,
    softmax,
    stability,
    step_sizes,
    surrogates,
    updates,
)
from nengo_epes.learning_rules import EPES, GaussianREINFORCE
from nengo_epes.synapses import Delay, TappedDelay, from_lti, z
from nengo_epes.version import __version__ as __version__

# available once they have been imported by name
_BY_NAME = ("checkpoints", "demos", "gui", "learned", "rl")

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
    "step_sizes",
    "surrogates",
    "updates",
    "z",
]


def __dir__() -> list[str]:
    return [*__all__, "__version__", *(x for x in _BY_NAME if x in globals())]
