"""The Gaussian policy: sampling, log density, score, and the REINFORCE update.

The module uses plain numpy arrays and no Nengo. The learning rule, the policy node and
the tests all use it. Symbols and shapes, for B decisions (the batch dimension is
optional), A actions and R decoded values (rows of the weights):

* decoded values (B, R): m for each action, then l for each action. R is 2A, or A if the
  standard deviation is fixed and there is no l;
* mu = f(m), sigma = exp(clip(l, lo, hi)), y ~ N(mu, sigma^2): all (B, A);
* weights W (R, n_pre), activity a (B, n_pre), decoded = a W^T;
* r (B,): the reward minus a baseline, which is any number that does not depend on y.

Drawing (`decide`) and learning (`policy_gradient`) are separate: store the score of a
decision until its reward is known. Results have the floating-point type of the input.
Shapes that do not fit raise ValueError.

References
----------
.. [1] Williams, R. J. (1992). Simple statistical gradient-following algorithms for
   connectionist reinforcement learning. Machine Learning, 8, 229-256.
.. [2] ``REINFORCESynapse`` of ngc-learn 3.2. Its weights are the transpose of W.
"""

from nengo_epes.arithmetic.gaussian.density import (
    Decision,
    clip_action,
    decide,
    distribution,
    log_density,
    sample,
    score,
)
from nengo_epes.arithmetic.gaussian.spec import (
    GaussianPolicySpec,
    check_n_actions,
    decision_layout,
)
from nengo_epes.arithmetic.gaussian.update import (
    apply_change,
    average_gradient,
    objective,
    policy_gradient,
)

__all__ = [
    "Decision",
    "GaussianPolicySpec",
    "apply_change",
    "average_gradient",
    "check_n_actions",
    "clip_action",
    "decide",
    "decision_layout",
    "distribution",
    "log_density",
    "objective",
    "policy_gradient",
    "sample",
    "score",
]
