"""The models run in Nengo GUI in a browser and can be edited.

``GUI_SCREENSHOTS=docs/_static pytest -m browser`` also writes screenshots of the pages.
"""

import operator
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nengo_epes.gui import MODELS, model_files

PROGRAMS = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not all(PROGRAMS.values()),
        reason=f"needs chromium and chromedriver: {PROGRAMS}",
    ),
]

COMMAND = [sys.executable, "-u", "-m", "nengo_epes", "gui"]
# timeout in seconds for a reaction of the page
PATIENCE = 60
# Nengo GUI 0.6 draws a Raster once before it sets the range of its axis
RASTER_MESSAGE = 'attribute transform: Trailing garbage, "translate(0,NaN)"'
SIZE = 1400, 900
# of simulated time, after which the page is worth a picture
SHOWN_AT = {
    "delayed_error": 24,
    "bandit": 6,
    "pattern": 24,
    "cartpole": 20,
    "lander": 60,
}
SCREENSHOTS = os.environ.get("GUI_SCREENSHOTS")
# model and backend; with the second one, a picture of an environment and a monitor
SERVED = [
    *((name, "nengo") for name in MODELS),
    ("cartpole", "compiled"),
    ("delayed_error", "compiled"),
]


def wait_until(condition):
    """Return the first true value of a condition."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"{condition} did not come true in {PATIENCE} s")


@pytest.fixture(scope="module")
def driver():
    """A headless browser."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = PROGRAMS["chromium"]
    # root has no sandbox
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.add_argument("--hide-scrollbars")  # of the editor, in the pictures
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(PROGRAMS["chromedriver"])
    driver = webdriver.Chrome(options, service)
    inner = "return [window.innerWidth, window.innerHeight]"
    driver.set_window_size(*SIZE)
    border = [a - b for a, b in zip(SIZE, driver.execute_script(inner), strict=True)]
    driver.set_window_size(*(a + b for a, b in zip(SIZE, border, strict=True)))
    yield driver
    driver.quit()


class Page:
    """Page of a model in the browser."""

    def __init__(self, driver):
        self.driver = driver

    def press(self, button):
        self.driver.find_element("id", f"{button}_button").click()

    def ask(self, script, *arguments):
        return self.driver.execute_script(f"return {script}", *arguments)

    @property
    def time(self):
        return self.ask("sim.time")

    @property
    def graphs(self):
        return self.ask("document.querySelectorAll('.graph').length")

    @property
    def drawn(self):
        """Return all curves of the plots, and the images."""
        script = "Array.from(document.querySelectorAll('path.line, .htmlview'), "
        return self.ask(script + "shape => shape.getAttribute('d') || shape.innerHTML)")

    @property
    def code(self):
        return self.ask("Nengo.ace.editor.getValue()")

    @property
    def node_labels(self):
        script = "Array.from(document.querySelectorAll('g.node text'), "
        return self.ask(script + "text => text.textContent)")

    def wait_until_all_move(self, n_least):
        """Wait until at least `n_least` curves and images exist and each has
        changed."""
        wait_until(lambda: len(self.drawn) >= n_least)
        before = self.drawn
        wait_until(lambda: all(map(operator.ne, before, self.drawn)))

    def check(self):
        """Assert that neither the page nor the browser's console shows an error."""
        assert self.ask("Nengo.ace.console_error.textContent") == ""
        assert self.ask("document.querySelectorAll('.ace_error').length") == 0
        log = self.driver.get_log("browser")
        severe = [entry["message"] for entry in log if entry["level"] == "SEVERE"]
        assert [message for message in severe if RASTER_MESSAGE not in message] == []


@pytest.fixture
def server(request, tmp_path):
    """Start the server of a model; return its address and a function that returns its
    output."""
    name, backend = request.param
    if backend == "compiled":
        pytest.importorskip("numba")
    log = tmp_path / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*COMMAND, name, "--backend", backend, "--no-browser"],
            cwd=tmp_path,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    address = re.compile(r"http://\S+\?token=\w+")
    try:
        found = wait_until(lambda: address.search(log.read_text()) or process.poll())
        assert process.poll() is None, log.read_text()
        yield name, found.group(), log.read_text
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.parametrize("server", SERVED, ids=" ".join, indirect=True)
def test_model_in_a_browser(server, driver):
    """A page runs, plots, draws, resets, and continues after an edit, without an error
    on the page, in the console, or in the output of the server."""
    name, address, output = server
    layout = model_files(name)[f"{name}.py.cfg"]
    driver.get(address)
    page = Page(driver)
    shown = len(re.findall(r"components\.(Value|Slider|Raster|HTMLView)\(", layout))
    wait_until(lambda: page.graphs == shown and page.code)
    assert page.code == model_files(name)[f"{name}.py"]

    page.press("pause")
    # a plot has at least one curve
    n_least = len(re.findall(r"components\.(Value|Raster|HTMLView)\(", layout))
    wait_until(lambda: page.time > 0.1)
    page.wait_until_all_move(n_least)
    page.check()
    if SCREENSHOTS:
        while page.time < SHOWN_AT[name]:
            time.sleep(0.1)
        page.ask("Nengo.ace.editor.scrollToLine(0)")
        path = Path(SCREENSHOTS) / f"gui-{name.replace('_', '-')}.png"
        assert driver.save_screenshot(str(path))

    page.press("reset")
    wait_until(lambda: page.time < 0.1)
    page.press("pause")
    wait_until(lambda: page.time > 0.1)
    page.check()

    # the rebuilt network contains the edit
    edit = "with model:\n    nengo.Node(1.0, label='one more')\n"
    assert "one more" not in page.node_labels
    page.ask("Nengo.ace.editor.setValue(arguments[0])", page.code + edit)
    wait_until(lambda: "one more" in page.node_labels)
    wait_until(lambda: page.ask("sim.paused"))
    page.press("pause")
    page.wait_until_all_move(n_least)
    page.check()
    driver.get("about:blank")
    assert "Traceback" not in output()
