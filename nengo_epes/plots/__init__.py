"""Figures of what agents do and learn.

They can be read in grey, and by the colour-blind. Every function draws into the axes
that it is given, and makes a figure with pyplot only where there are none.
"""

from nengo_epes.plots.curves import learning_curves
from nengo_epes.plots.maps import policy_map, value_map
from nengo_epes.plots.spikes import raster

__all__ = ["learning_curves", "policy_map", "raster", "value_map"]
