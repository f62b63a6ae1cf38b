"""Three-factor learning for Nengo: delayed errors and rewards.

Learning rules, for ``nengo.Connection(learning_rule_type=...)``
    EPES : third factor times eligibility trace
    GaussianREINFORCE : reward times the score of a Gaussian policy
    RewardSTDP : reward times pairs of spikes
Synapses
    z : ``z**-n`` delays by n steps; sums and multiples of such delays
    Delay, TappedDelay : what ``z`` makes
    from_lti : a synapse from a scipy, nengolib or python-control system
Networks
    networks.GaussianPolicy, networks.SoftmaxPolicy : actions, and their scores
    networks.Baseline : a reward minus the mean of earlier rewards
    networks.ActorCritic, networks.Actor, networks.Critic, networks.TDError : agents
    networks.place_cells, networks.random_features : neurons that represent states
Learned weights and whole simulations (imported by their own names)
    learned.weights, learned.save, learned.load : read, save and load learned weights
    learned.freeze : a copy of a network with fixed weights, without learning rules
    checkpoints.save, checkpoints.load : the whole state of a simulation, to resume it
Arithmetic on plain arrays, in `nengo_epes.arithmetic`
    gaussian, softmax : policies
    updates : traces and changes of weights
    step_sizes : bounded steps, ``EPES(step=...)``
    surrogates : pseudo-derivatives of neurons, ``EPES(post_derivative=...)``
    stability : which learning rates are stable, and which to try
Figures
    plots : learning curves, value and policy over a plane of states, spikes and trace
    demos : learning from an error delayed by 1 s (imported by its own name)
Reinforcement learning (imported by their own names)
    rl.environment.Environment : a Gymnasium environment as a process
    rl.Agent : an agent with one setting for any environment
    rl.runs, rl.evaluation, rl.movie : training in a folder, its evaluation, a movie
    rl.study.study : runs with many seeds, on one machine or many
Nengo GUI (imported by their own names)
    gui.monitor.monitor : a Node that shows a trace, a TD error or weights
    gui.view.view : a Node that shows an environment
    gui : models that learn in the browser, opened by ``nengo-epes gui``
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
from nengo_epes.learning_rules import EPES, GaussianREINFORCE, RewardSTDP
from nengo_epes.synapses import Delay, TappedDelay, from_lti, z
from nengo_epes.version import __version__ as __version__

# available once they have been imported by name
_BY_NAME = ("checkpoints", "demos", "gui", "learned", "rl")

__all__ = [
    "EPES",
    "Delay",
    "GaussianREINFORCE",
    "RewardSTDP",
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
