"""Networks around the learning rules: agents and their parts."""

from nengo_epes.networks.actor_critic import ActorCritic
from nengo_epes.networks.baseline import Baseline
from nengo_epes.networks.critic import Critic
from nengo_epes.networks.features import (
    NormalizedExponential,
    grid,
    place_cells,
    random_features,
    sphere_features,
    state_cells,
    to_sphere,
)
from nengo_epes.networks.learned_decoders import LearnerSettings
from nengo_epes.networks.normalization import ObservationNormalization, RewardScaling
from nengo_epes.networks.policies import GaussianPolicy, SoftmaxPolicy
from nengo_epes.networks.rate_regularization import RateRegularization
from nengo_epes.networks.td_error import TDError

__all__ = [
    "ActorCritic",
    "Baseline",
    "Critic",
    "GaussianPolicy",
    "LearnerSettings",
    "NormalizedExponential",
    "ObservationNormalization",
    "RateRegularization",
    "RewardScaling",
    "SoftmaxPolicy",
    "TDError",
    "grid",
    "place_cells",
    "random_features",
    "sphere_features",
    "state_cells",
    "to_sphere",
]
