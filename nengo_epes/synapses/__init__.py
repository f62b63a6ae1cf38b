"""Delays, weighted combinations of delays, and linear systems, as Nengo synapses.

The convention is Nengo's (and nengolib's): the simulator itself adds one step
when a Connection updates its target, so a synapse leaves one step out. Hence
``z**-k`` on a Connection is exactly ``k`` steps from end to end, while
``(z**-k).filt(u)[t] == u[t - (k - 1)]``, and ``PES(pre_synapse=z**-k)`` sees
activities that are ``k - 1`` steps old. A system with passthrough (a tap at lag
0) has no step to leave out: it arrives one step late on a Connection.
"""

from nengo_epes.synapses.conversion import from_lti
from nengo_epes.synapses.delays import Delay, TappedDelay, z
from nengo_epes.synapses.lti import LTI

__all__ = ["LTI", "Delay", "TappedDelay", "from_lti", "z"]


def __dir__():
    return __all__
