"""Many trials, on one machine or many: parameters and seeds in, one table out."""

from nengo_epes.sweep.planning import grid
from nengo_epes.sweep.records import read
from nengo_epes.sweep.sweeping import sweep

__all__ = ["grid", "read", "sweep"]
