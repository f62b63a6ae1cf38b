"""Networks around the learning rules: policies and baselines."""

from nengo_epes.networks.baseline import Baseline
from nengo_epes.networks.policies import GaussianPolicy, SoftmaxPolicy

__all__ = ["Baseline", "GaussianPolicy", "SoftmaxPolicy"]
