"""A built Nengo model as a pure function in JAX; needs the extra ``jax``."""

from nengo_epes.functional import agents, operators, policies, rules
from nengo_epes.functional.environments import ENVIRONMENTS, Dynamics
from nengo_epes.functional.model import (
    Arrays,
    Step,
    batch,
    compile,
    node,
    run,
    translates,
)

__all__ = [
    "ENVIRONMENTS",
    "Arrays",
    "Dynamics",
    "Step",
    "agents",
    "batch",
    "compile",
    "node",
    "operators",
    "policies",
    "rules",
    "run",
    "translates",
]
