"""What a new user meets first: import, tab completion, help, examples, messages."""

import functools
import inspect
import pydoc
import re
import subprocess
import sys
from importlib import import_module

import pytest
import test_docs

import nengo_epes

# what takes long to import, or need not be installed
HEAVY = {
    "dask",
    "distributed",
    "gymnasium",
    "imageio",
    "matplotlib",
    "nengo_gui",
    "pandas",
    "scipy.optimize",
    "scipy.signal",
    "scipy.stats",
    "selenium",
}
BY_NAME = ("checkpoints", "demos", "gui", "learned", "rl")
PUBLIC_MODULES = [
    thing.__name__
    for thing in (getattr(nengo_epes, name) for name in nengo_epes.__all__)
    if inspect.ismodule(thing)
]
MODULES = [
    "nengo_epes.checkpoints",
    "nengo_epes.gui",
    "nengo_epes.learned",
    "nengo_epes.learning_rules",
    "nengo_epes.synapses",
    *PUBLIC_MODULES,
]


@functools.cache
def run(script):
    """Run a script in a new process; return the words that it prints."""
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def heavy(modules):
    """Return which of them are heavy, and not imported by Nengo itself."""
    return HEAVY & (set(modules) - set(run("import sys, nengo; print(*sys.modules)")))


def test_import_is_light():
    """`import nengo_epes` imports nothing heavy that `import nengo` does not."""
    modules = run("import sys, nengo_epes; print(*sys.modules)")
    assert "nengo_epes.learning_rules" in modules
    assert not heavy(modules)


def test_completion_of_the_package():
    """Tab completion shows the public names, and what was imported by its name."""
    public = {*nengo_epes.__all__, "__version__"}
    everything = ", ".join(f"nengo_epes.{name}" for name in BY_NAME)
    assert set(run("import nengo_epes; print(*dir(nengo_epes))")) == public
    found = set(run(f"import {everything}; print(*dir(nengo_epes))"))
    assert found == {*public, *BY_NAME}


@pytest.mark.parametrize("name", MODULES)
def test_completion_of_modules(name):
    """``__all__`` lists what is public, and all of it exists."""
    module = import_module(name)
    assert all(hasattr(module, public) for public in module.__all__)
    private = [x for x in module.__all__ if x.startswith("_")]
    foreign = [
        x
        for x in module.__all__
        if not getattr(getattr(module, x), "__module__", "nengo_epes").startswith(
            "nengo_epes"
        )
    ]
    assert not private and not foreign


def test_help_begins_with_the_contents():
    """`help(nengo_epes)` begins with a table in which every public name stands."""
    text = pydoc.plain(pydoc.render_doc(nengo_epes))
    contents = inspect.getdoc(nengo_epes)
    description = text.index("DESCRIPTION")
    for line in contents.splitlines()[1:]:
        description = text.index(line.strip(), description)
    words = set(re.findall(r"\w+", contents))
    assert {*nengo_epes.__all__, *BY_NAME} <= words


@pytest.mark.parametrize("thing", test_docs.public_objects())
def test_has_an_example(thing):
    """Every public class and function has an example, which the doctests run, or
    names the one that has it."""
    examples = inspect.getdoc(thing).partition("Examples\n--------\n")[2]
    assert ">>> " in examples or re.match(r"See `[~\w.]+`\.$", examples)


@pytest.mark.parametrize(
    ("missing", "use", "extra"),
    [
        ("gymnasium", "rl.environment.Environment('CartPole-v1')", "environments"),
        ("gymnasium", "rl.Agent('CartPole-v1')", "environments"),
        ("gymnasium", "rl.runs.create_run('a', 'CartPole-v1')", "environments"),
        ("tqdm", "rl.Agent('CartPole-v1').learn(1)", "environments"),
        ("distributed", "rl.study.study('CartPole-v1', [0], '.')", "studies"),
        ("pandas", "rl.study.study('CartPole-v1', [0], '.')", "studies"),
    ],
)
def test_missing_library(missing, use, extra):
    """What needs a library that is not there says which extra has it. (Movies have a
    test of their own.)"""
    module, _, call = use.partition("(")
    module = module.rpartition(".")[0] if call else module
    script = f"""
import sys
sys.modules[{missing!r}] = None
try:
    import nengo_epes.{module}
    nengo_epes.{use}
except ImportError as error:
    print(error)
"""
    assert f"'nengo-epes[{extra}]'" in run(script)


@pytest.mark.parametrize(
    "command", ["", "demo", "train", "evaluate", "movie", "study", "gui"]
)
def test_help_of_commands(command):
    """Every command has help, and none of it needs a heavy import."""
    script = f"""
import sys
from nengo_epes.__main__ import main
try:
    main({[command, "--help"] if command else ["--help"]})
except SystemExit as end:
    print("\\nexit status", end.code, *sys.modules)
"""
    words = run(script)
    assert words[0] == "usage:"
    # the help itself may speak of libraries
    status, *modules = words[words.index("status") + 1 :]
    assert status == "0"
    assert not heavy(modules)


def test_version_of_the_command():
    """`nengo-epes --version` prints the version, and nothing else."""
    script = "from nengo_epes.__main__ import main; main(['--version'])"
    assert run(script) == [nengo_epes.__version__]
