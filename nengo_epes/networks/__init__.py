"""Networks around the learning rules: policies, baselines, critics and actors."""

from nengo_epes.networks.baseline import Baseline
from nengo_epes.networks.critic import Critic
from nengo_epes.networks.policies import GaussianPolicy, SoftmaxPolicy
from nengo_epes.networks.td_error import TDError

__all__ = ["Baseline", "Critic", "GaussianPolicy", "SoftmaxPolicy", "TDError"]
