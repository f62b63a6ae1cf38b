"""Drawings of environments, as SVG, and a Node that shows one live in Nengo GUI."""

from nengo_epes.rendering.drawings import (
    bars_svg,
    cart_pole_svg,
    mountain_car_svg,
    pendulum_svg,
)
from nengo_epes.rendering.live import View, view

__all__ = [
    "View",
    "bars_svg",
    "cart_pole_svg",
    "mountain_car_svg",
    "pendulum_svg",
    "view",
]


def __dir__():
    return __all__
