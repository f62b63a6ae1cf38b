"""Learning rules, one a file, and what their builders share."""

from nengo_epes.learning_rules.epes import EPES, EPESSim, build_epes
from nengo_epes.learning_rules.reinforce import (
    GaussianREINFORCE,
    build_gaussian_reinforce,
)
from nengo_epes.learning_rules.reinforce_sim import GaussianREINFORCESim

__all__ = [
    "EPES",
    "EPESSim",
    "GaussianREINFORCE",
    "GaussianREINFORCESim",
    "build_epes",
    "build_gaussian_reinforce",
]
