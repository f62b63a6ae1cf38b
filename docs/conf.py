"""Settings of the documentation; build with ``sphinx-build -W docs docs/_build``."""

import os
from importlib.metadata import version as installed_version

project = "nengo_epes"
author = "The nengo_epes developers"
copyright = author
release = version = installed_version("nengo-epes")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",  # formulas need no network
    "sphinx_copybutton",
    "sphinx_design",
    "numpydoc",
    "myst_nb",
]
# jupyter_execute: what a build into docs/_build leaves next to it
exclude_patterns = ["_build", "jupyter_execute", "**/.ipynb_checkpoints"]
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

# notebooks are stored without their output; each one runs again when it has changed
nb_execution_mode = "cache"
# only the prompts of examples, not what they print
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
# notebooks show their figures by the kernel's own backend
os.environ.pop("MPLBACKEND", None)

# links into other projects need a network: only where it is asked for
if os.environ.get("NENGO_EPES_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "nengo": ("https://www.nengo.ai/nengo", None),
    }
