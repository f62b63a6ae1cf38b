"""Agents, and the environments in which they learn."""

from nengo_epes.rl.agent import Agent, Episode
from nengo_epes.rl.environment import Environment
from nengo_epes.rl.evaluation import Evaluation
from nengo_epes.rl.network import build_network, connect
from nengo_epes.rl.settings import Settings

__all__ = [
    "Agent",
    "Environment",
    "Episode",
    "Evaluation",
    "Settings",
    "build_network",
    "connect",
]
