"""Faster simulation of the same model, compiled by numba: `Simulator`."""

from nengo_epes.compiled.simulator import Simulator
from nengo_epes.compiled.translations import Table, translates

__all__ = ["Simulator", "Table", "translates"]
