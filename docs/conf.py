"""Settings of the documentation; build with ``sphinx-build -W docs docs/_build``."""

import os
import zlib
from importlib.metadata import version as installed_version
from pathlib import Path

DOCS = Path(__file__).parent

project = "nengo_epes"
author = "The nengo_epes developers"
copyright = author
release = version = installed_version("nengo-epes")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",  # formulas need no network
    "sphinx_copybutton",
    "sphinx_design",
    "numpydoc",
    "myst_nb",
]
# jupyter_execute: what a build into docs/_build leaves next to it
exclude_patterns = [
    "_build",
    "jupyter_execute",
    "**/.ipynb_checkpoints",
    ".jupyter_cache",
]
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_theme = "furo"
html_title = f"nengo_epes {release}"

# `name` in a docstring is a link where the documentation has that name
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say the types
# the docstring of a class has its parameters; the pages list its members
numpydoc_show_class_members = False
# the references of a module's docstring need no marks in its text
suppress_warnings = ["ref.citation"]

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

# notebooks are stored without their output; each one runs again when its code has
# changed. Outputs are in docs/.jupyter_cache, also after docs/_build was removed. The
# cache knows nothing of the package: remove it to run all notebooks again.
nb_execution_mode = "cache"
# only the prompts of examples, not what they print
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
# notebooks show their figures by the kernel's own backend
os.environ.pop("MPLBACKEND", None)


def write_inventories(folder):
    """Write inventory.txt as Sphinx inventories; return their mapping and all names.

    The names are committed, so that a build needs no network for its links.
    """
    projects, names = {}, []
    for line in (DOCS / "inventory.txt").read_text(encoding="utf-8").splitlines():
        match line.split():
            case [project, address]:
                projects[project] = address, []
            case [role, name, page] if not line.startswith("#"):
                entries = projects[project][1]
                entries.append(f"{name} py:{role} 1 {page}#$ -\n")
                names.append(name)
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for project, (address, entries) in projects.items():
        header = (
            "# Sphinx inventory version 2\n"
            f"# Project: {project}\n"
            "# Version: \n"
            "# The remainder of this file is compressed using zlib.\n"
        )
        path = folder / f"{project}.inv"
        path.write_bytes(header.encode() + zlib.compress("".join(entries).encode()))
        mapping[project] = address, str(path)
    return mapping, names


intersphinx_mapping, names = write_inventories(DOCS / "_build" / "inventories")
# the types of parameters are links, if they are in the inventory or in this list
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
types = {name: name for name in names}
types |= {name.rpartition(".")[2]: name for name in names if name.startswith("nengo")}
types |= {"array": "numpy.ndarray", "ndarray": "numpy.ndarray"}
types |= {name: f"nengo_epes.{name}" for name in ("EPES", "GaussianREINFORCE")}
for module, own in {
    "arithmetic.gaussian.spec": ["GaussianPolicySpec"],
    "arithmetic.step_sizes": ["Intentional", "ObGD"],
    "arithmetic.surrogates": ["RateDerivative", "VoltageSurrogate"],
}.items():
    types |= {name: f"nengo_epes.{module}.{name}" for name in own}
numpydoc_xref_aliases = {
    name: f":obj:`{name} <{target}>`" for name, target in types.items()
}
# numpydoc would link these words to pages that the inventory does not have
for word in ("None", "array_like", "callable", "iterable", "scalar", "sequence"):
    numpydoc_xref_aliases[word] = word
