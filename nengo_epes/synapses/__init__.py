"""Delays, weighted combinations of delays, and linear systems, as Nengo synapses.

The convention is Nengo's (and nengolib's): the simulator itself adds one step
when a Connection updates its target, so a synapse omits one step. Hence ``z**-k``
on a Connection delays by exactly ``k`` steps from end to end. In contrast,
``(z**-k).filt(u)[t] == u[t - (k - 1)]``, and ``PES(pre_synapse=z**-k)`` receives
activities that are ``k - 1`` steps old. A system with passthrough (a tap at lag 0)
has no step to omit: on a Connection it is delayed by one more step.
"""

from nengo_epes.synapses.conversion import from_lti
from nengo_epes.synapses.delays import Delay, TappedDelay, z
from nengo_epes.synapses.lti import LTI

__all__ = ["LTI", "Delay", "TappedDelay", "from_lti", "z"]
