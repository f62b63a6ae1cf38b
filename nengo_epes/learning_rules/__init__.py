"""Learning rules, one in each file, and functions that their builders share."""

from nengo_epes.learning_rules.builder_tools import (
    build_activities,
    build_port,
    learned_shape,
    post_encoders,
)
from nengo_epes.learning_rules.divergence import make_check
from nengo_epes.learning_rules.epes import EPES, EPESSim, build_epes
from nengo_epes.learning_rules.feedback import build_feedback, build_spread
from nengo_epes.learning_rules.postsynaptic import build_post_activities
from nengo_epes.learning_rules.reinforce import (
    GaussianREINFORCE,
    GaussianREINFORCESim,
    build_gaussian_reinforce,
)
from nengo_epes.learning_rules.stdp import (
    RewardSTDP,
    RewardSTDPSim,
    build_reward_stdp,
)

__all__ = [
    "EPES",
    "EPESSim",
    "GaussianREINFORCE",
    "GaussianREINFORCESim",
    "RewardSTDP",
    "RewardSTDPSim",
    "build_activities",
    "build_epes",
    "build_feedback",
    "build_gaussian_reinforce",
    "build_port",
    "build_post_activities",
    "build_reward_stdp",
    "build_spread",
    "learned_shape",
    "make_check",
    "post_encoders",
]
