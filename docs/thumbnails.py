"""Thumbnails of the gallery: python docs/thumbnails.py, after a build of the pages.

Takes one figure of each executed notebook from ``docs/jupyter_execute``, and writes it
to ``docs/_static/thumbnails``, small, on a white ground.
"""

import base64
import io
from pathlib import Path

import nbformat
from PIL import Image

DOCS = Path(__file__).parent
SIZE = 400, 250
# the figure of each notebook that shows best what it is about, counted from 0
FIGURES = {
    "actor-critic-cartpole": 1,
    "delayed-error-pes": 5,
    "eligibility-traces": 1,
    "eprop-memory": 2,
    "eprop-pattern": 1,
    "gaussian-reinforce": 0,
    "hidden-layer-credit": 1,
    "reward-stdp": 4,
    "your-own-environment": 1,
}


def figures(path):
    """Return the figures of an executed notebook."""
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    data = [output.get("data", {}) for output in outputs]
    return [
        Image.open(io.BytesIO(base64.b64decode(each["image/png"])))
        for each in data
        if "image/png" in each
    ]


def thumbnail(figure):
    """Return a figure as large as fits, in the middle of a white rectangle."""
    figure = figure.convert("RGBA")
    figure.thumbnail(SIZE, Image.Resampling.LANCZOS)
    ground = Image.new("RGBA", SIZE, "white")
    corner = [(a - b) // 2 for a, b in zip(SIZE, figure.size, strict=True)]
    ground.alpha_composite(figure, tuple(corner))
    return ground.convert("RGB").quantize(64)  # 64 colours: less than 40 kB


def main():
    """Write all thumbnails."""
    for name, index in FIGURES.items():
        notebook = DOCS / "jupyter_execute" / "notebooks" / f"{name}.ipynb"
        path = DOCS / "_static" / "thumbnails" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        found = figures(notebook)
        if not found:  # a build from the cache stores no outputs
            print(f"{name}: unchanged, because the last build did not run it")
            continue
        thumbnail(found[index]).save(path, optimize=True)


if __name__ == "__main__":
    main()
