"""The installed package: built as a wheel and tested away from the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nengo_epes.gui import MODELS, model_files

ROOT = Path(__file__).parents[1]

COPY = """
import pathlib, sys
import nengo_epes
from nengo_epes.gui import MODELS, model_files
assert pathlib.Path(nengo_epes.__file__).is_relative_to(sys.argv[1])
for name in MODELS:
    for file, text in model_files(name).items():
        pathlib.Path(file).write_text(text)
"""


def run(*command, **options):
    """Run a Python command; return its output."""
    command = [sys.executable, *map(str, command)]
    ended = subprocess.run(command, capture_output=True, text=True, **options)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_wheel(tmp_path):
    """The content of the wheel runs on its own, with the GUI models and their layouts,
    and does not include the tests."""
    source = tmp_path / "source"  # a build leaves a folder behind
    shutil.copytree(ROOT / "nengo_epes", source / "nengo_epes")
    for file in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    run("-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("nengo_epes-*.whl")
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    run("-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel)
    assert {path.name.partition("-")[0] for path in site.iterdir()} == {
        "bin",
        "nengo_epes",
    }
    # before the repository, which may be installed in place
    options = {"cwd": elsewhere, "env": os.environ | {"PYTHONPATH": str(site)}}
    run("-c", COPY, site, **options)
    for name in MODELS:
        for file, text in model_files(name).items():
            assert (elsewhere / file).read_text() == text
    assert run("-m", "nengo_epes", "gui", **options).count("\n") == len(MODELS)
