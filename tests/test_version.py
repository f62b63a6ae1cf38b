"""The package knows its version."""

import tomllib
from pathlib import Path

import nengo_epes


def test_version():
    """It is the one that pyproject.toml says."""
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    with pyproject.open("rb") as file:
        assert nengo_epes.__version__ == tomllib.load(file)["project"]["version"]
