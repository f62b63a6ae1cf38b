"""Images of an environment for Nengo GUI."""

import base64
import io
import re
import time
from types import SimpleNamespace

import gymnasium
import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from nengo_gui.components.htmlview import HTMLView
from PIL import Image

from nengo_epes import z
from nengo_epes.gui.view import view
from nengo_epes.rl.environment import Environment


def decode(html):
    """Return the image in an <img> element, (height, width, 3)."""
    (data,) = re.findall(r"base64,([\w+/=]+)", html)
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    return np.asarray(picture.convert("RGB"), dtype=float)


@pytest.fixture
def pole():
    """An environment, and a list that counts its frames."""
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    env.n_pictures, render = 0, env.render

    def counted():
        env.n_pictures += 1
        return render()

    env.render = counted
    yield env
    env.close()


def network(env):
    with nengo.Network(seed=0) as net:
        env_node = nengo.Node(Environment(env, steps_per_action=10))
        nengo.Connection(nengo.Node([0, 1]), env_node, synapse=z**-1)
        net.view = view(env_node, label="picture")
    return net


def test_nengo_gui_gets_what_gymnasium_draws(pole):
    """Nengo GUI gets an <img> in every simulator step; its image is Gymnasium's frame
    at half the size."""
    net = network(pole)
    component = HTMLView(net.view)
    component.add_nengo_objects(SimpleNamespace(model=net))
    component.data.clear()
    with nengo.Simulator(net) as sim:
        sim.run_steps(50)
    assert len(component.data) == 50
    show = component.obj_output
    show._next = 0.0
    found, expected = decode(show._nengo_html_), pole.render().astype(float)
    halved = expected.reshape(200, 2, 300, 2, 3).mean(axis=(1, 3))
    assert found.shape == halved.shape
    # levels of 255; the image has 16 colours and rounded halves
    assert np.abs(found - halved).mean() < 1.0


def test_draws_at_most_20_pictures_a_second(pole):
    """No frame is drawn before the first step or without Nengo GUI, and frames are at
    least 50 ms apart."""
    net = network(pole)
    assert net.view.output._nengo_html_ == ""
    with nengo.Simulator(net) as sim:
        sim.run_steps(50)
    assert pole.n_pictures == 0
    start = time.monotonic()
    while time.monotonic() < start + 0.3:
        assert net.view.output._nengo_html_.startswith("<img")
    assert 1 <= pole.n_pictures <= 6


@pytest.mark.parametrize(
    "environment",
    [
        "CartPole-v1",
        lambda: gymnasium.make("CartPole-v1", render_mode="rgb_array"),
        gymnasium.make("CartPole-v1"),
    ],
)
def test_refuses_environments_that_draw_nothing(environment):
    """A name, a constructor, an environment without rgb_array, and a Node without
    environment are refused."""
    with nengo.Network():
        env_node = nengo.Node(Environment(environment))
        with pytest.raises(ValidationError, match=r'render_mode="rgb_array"'):
            view(env_node)
        with pytest.raises(ValidationError, match="stimulus"):
            view(nengo.Node(1.0, label="stimulus"))
