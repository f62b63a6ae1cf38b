"""Version of the package and of its dependencies."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

import nengo_epes

ROOT = Path(__file__).parents[1]


def test_version():
    """The version equals the version in pyproject.toml."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert nengo_epes.__version__ == tomllib.load(file)["project"]["version"]


def test_oldest_versions():
    """.ci/oldest.txt pins the lower bounds of pyproject.toml, and each dependency has
    one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    names = (
        "compiled",
        "completion",
        "environments",
        "jax",
        "studies",
        "tensorboard",
        "movies",
        "gui",
        "tests",
    )
    stated = [*project["dependencies"], *(x for name in names for x in extras[name])]
    bounds = {
        requirement.name: {Version(bound.version) for bound in requirement.specifier}
        for requirement in map(Requirement, stated)
        if requirement.name != "nengo-epes"
    }
    lines = (ROOT / ".ci" / "oldest.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    assert bounds == {name: {Version(version)} for name, version in pins}
