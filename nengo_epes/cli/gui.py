"""``nengo-epes gui``: open a model in Nengo GUI."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from functools import partial
from pathlib import Path

from nengo_epes.files import check_writable, write_atomically


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of this command to those of all."""
    gui = commands.add_parser(
        "gui",
        help="open a model in Nengo GUI",
        description="Copy a model to the current folder, if it is not there yet, and "
        "open the copy in Nengo GUI, where it can be edited. Without a name: list the "
        "models.",
    )
    gui.add_argument("name", nargs="?", metavar="NAME", help="a model")
    gui.add_argument(
        "--port", type=int, default=0, help="of the server (any that is free)"
    )
    gui.add_argument(
        "--no-browser",
        action="store_true",
        help="print the address instead of opening a browser",
    )
    gui.set_defaults(command=_gui)


def _gui(options: Namespace) -> None:
    from nengo_epes.gui import MODELS

    if options.name is None:
        for name, what in MODELS.items():
            print(f"{name:<15}{what}")
        return
    if options.name not in MODELS:
        raise ValueError(f"there is no model {options.name!r}, but {', '.join(MODELS)}")
    if not 0 <= options.port <= 65535:
        raise ValueError(f"--port must be from 0 to 65535 (got {options.port})")
    try:
        # in the browser a missing module would be a traceback
        import gymnasium  # noqa: F401
        import nengo_gui  # noqa: F401
        import pygame  # noqa: F401
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{error.name} is not installed: pip install 'nengo-epes[gui]'"
        ) from error
    _serve(_copy(options.name), options.port, not options.no_browser)


def _copy(name: str) -> Path:
    """Copy a model and its layout to the current folder, unless it is there."""
    from nengo_epes.gui import model_files

    model = check_writable(f"{name}.py")
    if model.exists():
        print(f"{model} is here already, and is opened as it is")
        return model
    layout, texts = Path(f"{model}.cfg"), model_files(name)
    if layout.exists():
        raise FileExistsError(f"{layout} is here without its model; move it away")
    # the model last: where it stands, the layout stands
    for path in (layout, model):
        text = texts[path.name]
        write_atomically(path, partial(Path.write_text, data=text, encoding="utf-8"))
    print(f"copied the model to {model}; what you change there is yours")
    return model


def _serve(model: Path, port: int, opens_browser: bool) -> None:
    """Serve a model until the last page of it is closed, or Ctrl-C is pressed."""
    import threading
    import webbrowser

    from nengo_gui.gui import InteractiveGUI
    from nengo_gui.guibackend import GuiServerSettings, ModelContext

    settings = GuiServerSettings(("localhost", port))
    try:
        gui = InteractiveGUI(ModelContext(filename=str(model)), settings)
    except RuntimeError as error:  # as Nengo GUI says it
        raise OSError(f"port {port} cannot be had; leave out --port") from error
    if opens_browser:
        address = str(gui.server.get_url(token="one-time"))
        # some browsers do not return before they are closed
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    gui.start()
