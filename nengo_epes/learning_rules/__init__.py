"""Learning rules, one a file, and what their builders share."""

from nengo_epes.learning_rules.activities import build_activities
from nengo_epes.learning_rules.epes import EPES
from nengo_epes.learning_rules.epes_build import build_epes
from nengo_epes.learning_rules.epes_sim import EPESSim
from nengo_epes.learning_rules.feedback import build_feedback, build_spread
from nengo_epes.learning_rules.post import build_post_activities
from nengo_epes.learning_rules.reinforce import (
    GaussianREINFORCE,
    build_gaussian_reinforce,
)
from nengo_epes.learning_rules.reinforce_sim import GaussianREINFORCESim
from nengo_epes.learning_rules.signals import (
    build_port,
    learned_shape,
    make_finite_check,
    sliced_encoders,
)

__all__ = [
    "EPES",
    "EPESSim",
    "GaussianREINFORCE",
    "GaussianREINFORCESim",
    "build_activities",
    "build_epes",
    "build_feedback",
    "build_gaussian_reinforce",
    "build_port",
    "build_post_activities",
    "build_spread",
    "learned_shape",
    "make_finite_check",
    "sliced_encoders",
]


def __dir__():
    return __all__
