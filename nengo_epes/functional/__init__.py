"""A built Nengo model as a pure function in JAX; needs the extra ``jax``."""

from nengo_epes.functional import agents, operators, policies, rules  # noqa: F401, registers
from nengo_epes.functional.model import (
    Arrays,
    Step,
    batch,
    compile,
    node,
    run,
    translates,
)

__all__ = ["Arrays", "Step", "batch", "compile", "node", "run", "translates"]
