"""The documentation: its code runs, and it names what there is."""

import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import matplotlib as mpl
import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc

import nengo_epes

ROOT = Path(__file__).parents[1]
MODULES = (
    "nengo_epes",
    "nengo_epes.synapses",
    "nengo_epes.learning_rules",
    "nengo_epes.arithmetic.updates",
    "nengo_epes.demos",
    "nengo_epes.rl",
    "nengo_epes.rl.evaluation",
    "nengo_epes.rl.movie",
    "nengo_epes.rl.runs",
    "nengo_epes.networks",
    "nengo_epes.rl.environment",
    "nengo_epes.gui.view",
    "nengo_epes.checkpoints",
    "nengo_epes.learned",
    "nengo_epes.gui.monitor",
    "nengo_epes.gui",
    "nengo_epes.rl.study",
    "nengo_epes.compiled",
    "nengo_epes.functional",
)
FENCE = re.compile(
    r"^```(?P<kind>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


def code_blocks(page):
    """Return the line numbers and texts of the Python blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        # a cell of a notebook in Markdown begins with its settings
        (
            text[: block.start("code")].count("\n"),
            re.sub(r"\A---\n.*?^---$", _blank, block["code"], flags=re.M | re.S),
        )
        for block in FENCE.finditer(text)
        if re.match(r"python\b|\{code-cell\}", block["kind"])
    ]


def _blank(match):
    # as many lines as there were, so that line numbers in tracebacks are right
    return "\n" * match[0].count("\n")


def pages():
    """Return the pages with code; the demonstration of the first page is slow."""
    found = []
    for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]:
        if page.exists() and code_blocks(page):
            marks = [pytest.mark.slow] if page.name == "index.md" else []
            found.append(pytest.param(page, id=page.name, marks=marks))
    return found


@pytest.mark.parametrize("page", pages())
def test_code_runs(page, tmp_path, monkeypatch):
    """Every block of Python on a page runs, after those above it on the page."""
    mpl.use("agg")
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for line, code in code_blocks(page):
        exec(compile("\n" * line + code, str(page), "exec"), namespace)


def test_reference_is_complete():
    """Every public name has its entry in the reference."""
    pages = ROOT.glob("docs/api/*.md")
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    entries = set(re.findall(r"^\.\. [\w:]+:: (nengo_epes[\w.]*)$", text, re.MULTILINE))
    public = {name: getattr(nengo_epes, name) for name in nengo_epes.__all__}
    names = {
        thing.__name__ if inspect.ismodule(thing) else f"nengo_epes.{name}"
        for name, thing in public.items()
    }
    for package in (nengo_epes.networks, import_module("nengo_epes.rl")):
        names |= {f"{package.__name__}.{name}" for name in package.__all__}
    missing = names - entries
    assert not missing


def public_objects():
    """Return the public classes and functions of the package, each once."""
    found = {}
    modules = [import_module(name) for name in MODULES]
    # a module that is itself a public name has public names of its own
    modules += [x for x in vars(nengo_epes).values() if _is_public_module(x)]
    for module in modules:
        names = getattr(module, "__all__", None)
        for name, thing in vars(module).items():
            defined_here = getattr(thing, "__module__", None) == module.__name__
            public = name in names if names else defined_here and name[0] != "_"
            if public and (_is_class(thing) or inspect.isfunction(thing)):
                found[f"{thing.__module__}.{name}"] = thing
    return [pytest.param(thing, id=name) for name, thing in sorted(found.items())]


def _is_class(thing):
    # exceptions are made by nobody else, and have no parameters of their own
    return inspect.isclass(thing) and not issubclass(thing, BaseException)


def _is_public_module(thing):
    return inspect.ismodule(thing) and any(
        getattr(nengo_epes, name) is thing for name in nengo_epes.__all__
    )


@pytest.mark.parametrize("thing", public_objects())
def test_parameters_are_documented(thing):
    """The documented parameters equal the parameters of the signature, each once."""
    parse = ClassDoc if inspect.isclass(thing) else FunctionDoc
    documented = [
        name.strip()
        for parameter in parse(thing)["Parameters"]
        for name in parameter.name.split(",")  # like ones may share a line
    ]
    taken = [
        "*" * (parameter.kind is parameter.VAR_POSITIONAL) + parameter.name
        for parameter in inspect.signature(thing).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    assert sorted(n for n in documented if not n.startswith("**")) == sorted(taken)


def test_inventory_names_exist():
    """The names of other projects to which the documentation links exist."""
    names = [
        line.split()[1]
        for line in (ROOT / "docs/inventory.txt").read_text("utf-8").splitlines()
        if len(line.split()) == 3 and not line.startswith("#")
    ]
    assert "nengo.Connection" in names
    for name in names:
        assert pkgutil.resolve_name(name if "." in name else f"builtins.{name}")


def test_gallery_has_all_notebooks():
    """The gallery shows each notebook with a link, a download and a small picture."""
    gallery = (ROOT / "docs/examples.md").read_text(encoding="utf-8")
    notebooks = sorted(ROOT.glob("notebooks/*.ipynb"))
    assert notebooks
    for path in notebooks:
        assert f"{{doc}}`Read <notebooks/{path.stem}>`" in gallery
        assert f"{{download}}`Download <notebooks/{path.name}>`" in gallery
        picture = ROOT / f"docs/_static/thumbnails/{path.stem}.png"
        assert f":img-top: _static/thumbnails/{picture.name}" in gallery
        assert picture.stat().st_size < 40_000
