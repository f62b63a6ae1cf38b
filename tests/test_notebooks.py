"""Notebooks are committed without output and run to their end."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"


@pytest.fixture(params=sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.name)
def notebook(request):
    """Each of the notebooks."""
    return nbformat.read(request.param, as_version=4)


def test_there_are_notebooks():
    """The folder of the notebooks is found."""
    assert list(FOLDER.glob("*.ipynb"))


def test_is_clean(notebook):
    """A notebook is valid and has neither outputs nor execution counts."""
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.slow
def test_runs(notebook, monkeypatch):
    """A notebook runs to its end with its own nengorc, and every cell that makes a
    figure shows it."""
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel has its own settings
    resources = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=600, resources=resources).execute()
    call = re.compile(r"^\S.*plt\.subplots\(", re.MULTILINE)
    makers = [cell for cell in notebook.cells if call.search(cell.source)]
    assert makers
    for cell in makers:
        data = [output.get("data", {}) for output in cell.outputs]
        assert any("image/png" in each for each in data), cell.source
