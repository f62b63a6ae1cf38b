"""The models for Nengo GUI and the command that opens them, without a browser."""

import runpy
import signal
import socket
import subprocess
import sys
from importlib import resources
from pathlib import Path

import nengo
import numpy as np
import pytest
from numpy.testing import assert_allclose

from nengo_epes import learned
from nengo_epes.__main__ import main
from nengo_epes.gui import MODELS, model_files

nengo_gui = pytest.importorskip("nengo_gui", reason="needs the extra gui")


@pytest.fixture
def files(tmp_path, request):
    """Copy of a model and its layout."""
    for name, text in model_files(request.param).items():
        (tmp_path / name).write_text(text)
    return tmp_path / f"{request.param}.py", tmp_path / f"{request.param}.py.cfg"


@pytest.mark.parametrize("files", MODELS, indirect=True)
def test_model_runs(files):
    """A model is short, has no probes, and runs twice in a plain simulator."""
    model, _ = files
    assert len(model.read_text().splitlines()) < 80
    network = runpy.run_path(str(model), run_name="builtins")["model"]
    assert network.all_probes == []  # a probe would grow while the page is open
    for _ in range(2):
        with nengo.Simulator(network) as sim:
            sim.run_steps(60)
            sim.reset()
            sim.run_steps(5)


@pytest.mark.parametrize("files", MODELS, indirect=True)
def test_layout_fits(files):
    """Every line of a layout runs, and each Node at the top level of a model has a
    position."""
    model, layout = files
    names = runpy.run_path(str(model), run_name="builtins")
    config = nengo_gui.config.Config()
    names |= {"nengo_gui": nengo_gui, "_viz_config": config}
    for line in layout.read_text().splitlines():
        exec(line, names)  # as Nengo GUI does, which ignores errors
    network = names["model"]
    for obj in network.nodes + network.ensembles + network.networks:
        assert config[obj].pos is not None, obj
    watched = [x for x in names.values() if isinstance(x, nengo_gui.components.Value)]
    assert watched


def load(name):
    """Return the names defined in a model."""
    path = resources.files("nengo_epes.gui") / f"{name}.py"
    return runpy.run_path(str(path), run_name="builtins")


@pytest.mark.parametrize("push", [-0.3, 0.3])
def test_push(push):
    """The slider value is added to the pole's angular velocity in each environment
    step."""
    velocities = []
    for value in (0.0, push):
        names = load("cartpole")
        names["push"].output = np.array([value])
        with names["model"]:
            seen = nengo.Probe(names["env_node"][3])
        with nengo.Simulator(names["model"]) as sim:
            sim.run_steps(3)  # the episode starts; its first step follows
        velocities.append(sim.data[seen][-1, 0])
    # the equations of motion depend on the square of the velocity
    assert_allclose(velocities[1] - velocities[0], push, atol=0.01)


@pytest.mark.parametrize("name", ["cartpole", "lander"])
def test_stop_learning(name):
    """The slider stops the learning."""
    names = load(name)
    agent = names["agent"]
    for stops in (1.0, 0.0):
        names["stop_learning"].output = np.array([stops])
        with nengo.Simulator(names["model"]) as sim:
            sim.run_steps(200)
            weights = [learned.weights(sim, x) for x in (agent.critic, agent.actor)]
        assert [(w == 0.0).all() for w in weights] == [stops == 1.0] * 2


@pytest.mark.parametrize("environment", ["Pendulum-v1", "MountainCar-v0"])
def test_lander_in_another_environment(environment, tmp_path):
    """The variable at the top of the model selects the environment."""
    text = model_files("lander")["lander.py"]
    assert text.count('environment = "LunarLander-v3"') == 1
    model = tmp_path / "lander.py"
    model.write_text(
        text.replace('environment = "Lunar', f'environment = "{environment}" #')
    )
    names = runpy.run_path(str(model), run_name="builtins")
    assert names["env"].spec.id == environment
    with nengo.Simulator(names["model"]) as sim:
        sim.run_steps(20)


def test_delayed_error_sliders():
    """One slider sets the delay of the errors, another a factor; errors are 0 during
    the first delay, even after a reset."""
    delay_errors = load("delayed_error")["delay_errors"]
    dt = 0.001
    for delay, factor in ((0.0, 1.0), (0.25, 2.0), (1.0, 0.0)):
        for step in range(1, 1500):
            t = step * dt
            got = delay_errors(t, np.array([t, -t, delay, factor]))
            then = t - delay
            expected = factor * then * (then > dt / 2)
            assert_allclose(got, [expected, -expected], atol=1e-12)


def test_lists_the_models(capsys):
    """Without a name the command lists the models."""
    assert main(["gui"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{name} " in printed for name in MODELS)


def test_sigterm_ends_a_process_that_draws():
    """SIGTERM stops a process even after it has drawn an environment."""
    code = """
import gymnasium, os, signal
from nengo_epes.__main__ import main
main(["gui"])
env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
env.reset()
env.render()
os.kill(os.getpid(), signal.SIGTERM)
"""
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code])
    assert ended.returncode == -signal.SIGTERM


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Return the files that the command would serve; the current folder is empty."""
    from nengo_gui.gui import InteractiveGUI

    monkeypatch.chdir(tmp_path)
    guis = []

    def start(gui):
        guis.append(gui.model_context.filename)
        for binding in gui.server.bindings:
            binding.socket.close()

    monkeypatch.setattr(InteractiveGUI, "start", start)
    return guis


def test_copies_a_model_once(served, tmp_path, capsys):
    """The first call copies a model with its layout; later calls open the copy."""
    command = ["gui", "bandit", "--no-browser"]
    assert main(command) == 0
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == model_files("bandit")
    mine = tmp_path / "bandit.py"
    mine.write_text("# mine\n")
    assert main(command) == 0
    assert mine.read_text() == "# mine\n"
    assert served == ["bandit.py"] * 2
    assert "opened as it is" in capsys.readouterr().out


def test_opens_a_file(served, tmp_path, capsys):
    """A file is opened in place, and nothing is copied."""
    (tmp_path / "mine").mkdir()
    mine = tmp_path / "mine" / "cartpole.py"
    mine.write_text("import nengo\nmodel = nengo.Network()\n")
    for name in ("mine/cartpole.py", str(mine)):
        assert main(["gui", name, "--no-browser"]) == 0
    assert [Path(name).resolve() for name in served] == [mine] * 2
    assert [path.name for path in tmp_path.rglob("*.py*")] == ["cartpole.py"]
    assert capsys.readouterr().out == ""


def test_refuses(served, tmp_path, capsys, monkeypatch):
    """Unknown files are refused, and a layout without its model is not overwritten. If
    a module is missing, the message names the extra."""
    assert main(["gui", "pong.py"]) == 1
    assert "pong.py: no such file" in capsys.readouterr().err
    layout = tmp_path / "bandit.py.cfg"
    layout.write_text("mine")
    assert main(["gui", "bandit", "--no-browser"]) == 1
    assert "without its model" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [layout.name]
    for model, module in (
        ("bandit", "nengo_gui"),
        ("cartpole", "gymnasium"),
        ("cartpole", "pygame"),
        ("lander", "Box2D"),
    ):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, module, None)
            assert main(["gui", model]) == 1
        error = capsys.readouterr().err
        assert f"{module}: not installed; pip install 'nengo-epes[gui]'" in error
    assert served == []


def test_port_is_taken(tmp_path):
    """A port in use is refused."""
    with socket.create_server(("localhost", 0)) as other:
        port = str(other.getsockname()[1])
        # in a subprocess, because Nengo GUI leaves a socket open
        ended = subprocess.run(
            [sys.executable, "-m", "nengo_epes", "gui", "bandit", "--port", port],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert ended.returncode == 1
    assert f"port {port} is in use" in ended.stderr


def test_opens_a_browser(served, monkeypatch):
    """Without --no-browser the command opens the address with its token."""
    addresses = []
    monkeypatch.setattr("webbrowser.open", addresses.append)
    assert main(["gui", "bandit"]) == 0
    assert len(served) == 1
    assert len(addresses) == 1 and "/?token=" in addresses[0]
