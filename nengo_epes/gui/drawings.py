"""Environments as SVG, from what is observed of them."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

import numpy as np

_ROD, _BODY, _GROUND = "#d55e00", "#333333", "#999999"


def _svg(left, top, width, height, shapes, caption):
    size = width / 22
    text = (
        f'<text x="{left + width / 2:g}" y="{top + size:g}" font-size="{size:.1f}" '
        f'text-anchor="middle" font-family="sans-serif">{escape(caption)}</text>'
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="100%" height="100%" '
        f'viewBox="{left:g} {top:g} {width:g} {height:g}">{"".join(shapes)}{text}</svg>'
    )


def _line(x1, y1, x2, y2, colour, width):
    return (
        f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" '
        f'stroke="{colour}" stroke-width="{width}" stroke-linecap="round"/>'
    )


def _circle(x, y, radius, colour):
    return f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius}" fill="{colour}"/>'


def _rect(x, y, width, height, colour):
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" '
        f'fill="{colour}"/>'
    )


def cart_pole_svg(position, angle, caption=""):
    """Draw CartPole-v1: one unit of the picture is a centimetre.

    Parameters
    ----------
    position : float
        Of the cart, in metres; the marks are at -2.4 and 2.4, where an episode ends.
    angle : float
        Of the pole from upright, in radians; positive leans to the right.
    caption : str
        Written above.

    Returns
    -------
    str
        The SVG.

    Examples
    --------
    >>> cart_pole_svg(0.0, 0.1).startswith("<svg")
    True
    """
    x = 100.0 * position
    shapes = [
        _line(-260, 10, 260, 10, _GROUND, 1),
        *(_line(end, -10, end, 20, _GROUND, 3) for end in (-240, 240)),
        _rect(x - 20, -12, 40, 22, _BODY),
        # one metre
        _line(x, 0, x + 100 * math.sin(angle), -100 * math.cos(angle), _ROD, 6),
    ]
    return _svg(-270, -150, 540, 180, shapes, caption)


def pendulum_svg(angle, caption=""):
    """Draw Pendulum-v1: one unit of the picture is a centimetre.

    Parameters
    ----------
    angle : float
        From upright, in radians; positive leans to the left.
    caption : str
        Written above.

    Returns
    -------
    str
        The SVG.

    Examples
    --------
    >>> pendulum_svg(0.5, caption="step 3").count("step 3")
    1
    """
    tip = -100.0 * math.sin(angle), -100.0 * math.cos(angle)
    shapes = [_line(0, 0, *tip, _ROD, 14), _circle(0, 0, 4, _BODY)]
    return _svg(-130, -140, 260, 260, shapes, caption)


def mountain_car_svg(position, goal=0.45, caption=""):
    """Draw MountainCar-v0 or MountainCarContinuous-v0: a position of 1 is 100 units.

    Parameters
    ----------
    position : float
        Of the car, from -1.2 to 0.6.
    goal : float
        Position of the flag.
    caption : str
        Written above.

    Returns
    -------
    str
        The SVG.

    Examples
    --------
    >>> mountain_car_svg(-0.5).count("<circle")
    1
    """
    points = " ".join(
        f"{100 * x:.0f},{-_height(x):.1f}" for x in np.linspace(-1.2, 0.6, 37)
    )
    x, flag, foot = 100.0 * position, 100.0 * goal, -_height(goal)
    shapes = [
        f'<polyline points="{points}" fill="none" stroke="{_GROUND}"/>',
        _line(flag, foot, flag, foot - 20, _BODY, 1),
        f'<polygon points="{flag:.1f},{foot - 20:.1f} {flag:.1f},{foot - 12:.1f} '
        f'{flag + 10:.1f},{foot - 16:.1f}" fill="{_ROD}"/>',
        _circle(x, -_height(position) - 4, 4, _BODY),
    ]
    return _svg(-130, -145, 200, 145, shapes, caption)


def _height(position):
    # Gymnasium's curve, in a hundredth
    return 100.0 * (0.45 * math.sin(3 * position) + 0.55)


def bars_svg(values, caption=""):
    """Draw numbers between -1 and 1 as bars, up or down from the middle.

    Parameters
    ----------
    values : (entries,) array_like
        The numbers.
    caption : str
        Written above.

    Returns
    -------
    str
        The SVG: a bar is ten units wide, and fifty high for 1.

    Examples
    --------
    >>> bars_svg([0.5, -1.0]).count("<rect")
    2
    """
    heights = 50.0 * np.asarray(values, dtype=float)
    width = max(14 * len(heights), 150)
    first = (width - 14 * len(heights)) / 2
    shapes = [
        *(_line(0, y, width, y, _GROUND, 0.5) for y in (-50, 0, 50)),
        *(
            _rect(first + 14 * i + 2, -max(height, 0.0), 10, abs(height), _ROD)
            for i, height in enumerate(heights)
        ),
    ]
    return _svg(-10, -80, width + 20, 140, shapes, caption)
