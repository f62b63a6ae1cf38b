"""Drawings of environments: where things are, and what Nengo GUI gets of them."""

import math
import pickle
import re
from types import SimpleNamespace
from xml.etree import ElementTree

import gymnasium
import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from nengo_gui.components.htmlview import HTMLView
from numpy.testing import assert_allclose
from toy_environments import Counter

from nengo_epes import rendering, z
from nengo_epes.gui.view import live
from nengo_epes.rl.environment import Environment
from nengo_epes.rl.spaces import ObservationSpace

# coordinates are written with two decimals
ROUNDED = 0.0051


def shapes(svg, tag):
    """Return the attributes of all elements of a kind."""
    root = ElementTree.fromstring(svg)
    return [x.attrib for x in root.iter("{http://www.w3.org/2000/svg}" + tag)]


def thickest(svg):
    """Return x1, y1, x2, y2 of the thickest line: the pole, or the rod."""
    line = max(shapes(svg, "line"), key=lambda x: float(x["stroke-width"]))
    return [float(line[name]) for name in ("x1", "y1", "x2", "y2")]


def numbers(attributes, *names):
    return [float(attributes[name]) for name in names]


@pytest.mark.parametrize(("x", "angle"), [(0.0, 0.0), (-2.4, 0.2), (1.3, -0.1)])
def test_cart_pole(x, angle):
    """The pole, a metre long, stands on the middle of the cart; its tip is at
    x + l sin(angle), l cos(angle); the marks are where an episode ends."""
    svg = rendering.cart_pole_svg(x, angle)
    foot_and_tip = [x, 0, x + math.sin(angle), -math.cos(angle)]
    assert_allclose(thickest(svg), 100 * np.array(foot_and_tip), atol=ROUNDED)
    (cart,) = shapes(svg, "rect")
    left, width = numbers(cart, "x", "width")
    assert left + width / 2 == pytest.approx(100 * x, abs=ROUNDED)
    limit = gymnasium.make("CartPole-v1").unwrapped.x_threshold
    marks = {float(a["x1"]) for a in shapes(svg, "line") if a["x1"] == a["x2"]}
    assert {-100 * limit, 100 * limit} <= marks


@pytest.mark.parametrize("angle", [0.0, 0.5, -2.0, math.pi])
def test_pendulum(angle):
    """The rod is a metre long and turns counterclockwise from upright."""
    turned = 100j * np.exp(1j * angle)
    expected = [0, 0, turned.real, -turned.imag]
    assert_allclose(thickest(rendering.pendulum_svg(angle)), expected, atol=ROUNDED)


def test_mountain_car():
    """Car, flag and curve are at the height that Gymnasium gives them."""
    world = gymnasium.make("MountainCarContinuous-v0").unwrapped
    svg = rendering.mountain_car_svg(-0.7, world.goal_position)
    (car,), (curve,) = shapes(svg, "circle"), shapes(svg, "polyline")
    cx, cy, radius = numbers(car, "cx", "cy", "r")
    wheel = [-70, -100 * world._height(-0.7)]
    assert_allclose([cx, cy + radius], wheel, atol=ROUNDED)
    points = np.array([p.split(",") for p in curve["points"].split()], dtype=float)
    assert points[[0, -1], 0].tolist() == [
        100 * world.min_position,
        100 * world.max_position,
    ]
    # one decimal
    assert_allclose(-points[:, 1], 100 * world._height(points[:, 0] / 100), atol=0.051)
    (pole,) = shapes(svg, "line")
    foot = [100 * world.goal_position, -100 * world._height(world.goal_position)]
    assert_allclose(numbers(pole, "x1", "y1"), foot, atol=ROUNDED)


def test_bars():
    """A bar begins at the middle, and goes up by 50 for 1."""
    bars = shapes(rendering.bars_svg([0.5, -1.0, 0.0]), "rect")
    spans = [numbers(bar, "y", "height") for bar in bars]
    assert spans == [[-25, 25], [0, 50], [0, 0]]
    lefts = [float(bar["x"]) for bar in bars]
    assert np.ptp(np.diff(lefts)) == 0 < lefts[1] - lefts[0] - float(bars[0]["width"])


def test_caption_is_text():
    """A caption is not markup, whatever is in it."""
    svg = rendering.cart_pole_svg(0, 0, "a < b & c")
    root = ElementTree.fromstring(svg)
    assert "".join(root.itertext()) == "a < b & c"


@pytest.mark.parametrize(
    ("name", "state", "to_pixel", "points", "colour"),
    [
        ("CartPole-v1", [0.8, 0, 0.2, 0], (125, 300, 292.5), (0.5, 0.9), (202, 152)),
        ("Pendulum-v1", [0.7, 0], (500 / 4.4, 250, 250), (0.5, 0.9), (204, 77)),
    ],
)
def test_as_gymnasium_draws_it(name, state, to_pixel, points, colour):
    """Along the pole, or the rod, Gymnasium's own picture has its colour."""
    world = gymnasium.make(name, render_mode="rgb_array")
    world.reset(seed=0)
    world.unwrapped.state = np.array(state)
    frame = world.render()
    world.close()
    seen = (
        (state[0], 0, state[2])
        if name == "CartPole-v1"
        else (math.cos(state[0]), math.sin(state[0]), 0)
    )
    draw = live._DRAWINGS[type(world.unwrapped).__name__]
    x1, y1, x2, y2 = np.array(thickest(draw(seen, ""))) / 100
    scale, left, top = to_pixel
    for share in points:
        column = left + scale * (x1 + share * (x2 - x1))
        row = top + scale * (y1 + share * (y2 - y1))
        assert tuple(frame[round(row), round(column), :2]) == colour


def simulate(environment, action, steps=50):
    """Show an environment; return its Node and the last observation and step."""
    with nengo.Network(seed=0) as net:
        world = nengo.Node(environment)
        nengo.Connection(nengo.Node(action), world, synapse=z**-1)
        shown = rendering.view(world, label="picture")
        probe = nengo.Probe(world)
    with nengo.Simulator(net) as sim:
        sim.run_steps(steps)
        return shown, sim.data[probe][-1]


def test_view_undoes_the_scale():
    """What is drawn is the cart-pole of the environment itself, not that of [-1, 1];
    and the caption tells where the episode is."""
    world = gymnasium.make("CartPole-v1")
    env = Environment(
        world, steps_per_action=5, observation_range=[2.4, 3, 0.21, 3], seed=3
    )
    shown, last = simulate(env, [0, 1], steps=48)
    assert (shown.label, shown.size_out) == ("picture", 0)
    x, _, angle, _ = world.unwrapped.state
    assert abs(angle) > 0.05
    expected = 100 * np.array([x, 0, x + math.sin(angle), -math.cos(angle)])
    # Gymnasium observes in single precision
    assert_allclose(
        thickest(shown.output._nengo_html_), expected, rtol=1e-6, atol=ROUNDED
    )
    (caption,) = ElementTree.fromstring(shown.output._nengo_html_).itertext()
    assert caption == "episode 0, step 9, return 9"
    assert last[env.step] == 9


@pytest.mark.parametrize(
    ("name", "action", "kind"),
    [
        ("Pendulum-v1", [1.0], "line"),
        ("MountainCar-v0", [0, 0, 1], "polyline"),
        ("MountainCarContinuous-v0", [1.0], "polyline"),
        ("Acrobot-v1", [0, 0, 1], "rect"),
    ],
)
def test_view_of_others(name, action, kind):
    """Each environment has its drawing; one without has a bar an observation."""
    env = Environment(name, steps_per_action=1)
    shown, last = simulate(env, action)
    found = shapes(shown.output._nengo_html_, kind)
    seen = last[env.observation]
    if kind == "rect":
        heights = [float(bar["height"]) for bar in found]
        assert_allclose(heights, 50 * abs(seen), atol=ROUNDED)
    elif kind == "polyline":
        (car,) = shapes(shown.output._nengo_html_, "circle")
        # from -1.2 to 0.6
        assert float(car["cx"]) == pytest.approx(90 * seen[0] - 30, abs=ROUNDED)
    else:
        tip = thickest(shown.output._nengo_html_)[2:]
        assert_allclose(tip, [-100 * seen[1], -100 * seen[0]], atol=ROUNDED)


def test_view_of_another_observation():
    """A wrapper that changes what is observed is not taken for the environment."""

    def flipped():
        inner = gymnasium.make("CartPole-v1")
        space = gymnasium.spaces.Box(-1.0, 1.0, (3,))
        return gymnasium.wrappers.TransformObservation(inner, lambda x: x[:3], space)

    shown, _ = simulate(Environment(flipped, steps_per_action=1), [0, 1], steps=3)
    assert len(shapes(shown.output._nengo_html_, "rect")) == 3


def test_view_draws_only_when_asked(monkeypatch):
    """Without Nengo GUI nothing is drawn; with it, a picture is drawn every 25 ms, and
    anew after a reset of the simulation."""
    pictures = []
    draw = live.bars_svg
    monkeypatch.setattr(live, "bars_svg", lambda *a: pictures.append(a) or draw(*a))
    shown, _ = simulate(Environment(Counter, steps_per_action=1), [0, 0, 1], 100)
    assert not pictures
    show = shown.output
    for step in range(100):
        show(0.001 * step, np.full(5, 0.01 * step))
        assert show._nengo_html_
    assert len(pictures) == 4
    before = show._nengo_html_
    show(0.001, np.zeros(5))
    assert show._nengo_html_ != before


def test_nengo_gui_gets_the_pictures():
    """The GUI's own component is sent a picture a simulator step, with its time."""
    env = Environment("CartPole-v1", steps_per_action=10)
    with nengo.Network(seed=0) as net:
        world = nengo.Node(env)
        shown = rendering.view(world)
        component = HTMLView(shown)
        component.add_nengo_objects(SimpleNamespace(model=net))
    component.data.clear()
    with nengo.Simulator(net) as sim:
        sim.run_steps(100)
    times, pictures = zip(*(x.split(" ", 1) for x in component.data), strict=True)
    assert_allclose(np.array(times, dtype=float), sim.trange(), rtol=1e-5)
    captions = ["".join(ElementTree.fromstring(x).itertext()) for x in pictures]
    steps = np.array([int(re.search(r"step (\d+)", x)[1]) for x in captions])
    # 10 simulator steps a step; the pictures are at most 25 ms old
    now = np.arange(100) // 10
    assert (steps <= now).all() and (now - steps <= 3).all()
    assert len(set(pictures)) == 4


def test_view_is_pickled():
    """With the network that it is in, as sweeps and checkpoints need it."""
    shown, _ = simulate(Environment("CartPole-v1", steps_per_action=1), [0, 1], 9)
    again = pickle.loads(pickle.dumps(shown.output))
    assert again._nengo_html_ == shown.output._nengo_html_


def test_view_refuses_other_nodes():
    """A Node without environment is refused, by name."""
    with nengo.Network(), pytest.raises(ValidationError, match="stimulus"):
        rendering.view(nengo.Node(1.0, label="stimulus"))


def test_unscale_is_the_inverse_of_scale():
    """Of observations within bounds, and of those without."""
    space = gymnasium.spaces.Box(
        np.array([-4.0, -np.inf, 0.0]), np.array([4.0, np.inf, 10.0]), dtype=np.float64
    )
    seen = np.array([1.0, -2.5, 9.0])
    for ranges in (None, [2, 3, 20]):
        scaler = ObservationSpace(space, ranges)
        # tanh loses digits towards 1
        assert_allclose(scaler.unscale(scaler.scale(seen)), seen, rtol=1e-12)
    assert np.isfinite(ObservationSpace(space).unscale([1.0, -1.0, 1.0])).all()
