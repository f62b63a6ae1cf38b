"""``nengo-epes gui``: open a model in Nengo GUI."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from functools import partial
from pathlib import Path

from nengo_epes.cli import options as shared
from nengo_epes.files import check_writable, write_atomically
from nengo_epes.optional import load
from nengo_epes.simulators import NAMES, choose_simulator

# modules that a model imports in addition to nengo_gui
NEEDED = {
    "cartpole": ("gymnasium", "pygame"),
    "lander": ("gymnasium", "pygame", "Box2D"),
}


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of this command."""
    gui = commands.add_parser(
        "gui",
        help="open a model in Nengo GUI",
        description="Open a model in Nengo GUI, where you can edit it. A model of the "
        "package is first copied to the current folder, if it is not there yet.",
    )
    gui.add_argument(
        "model",
        nargs="?",
        metavar="NAME|FILE.py",
        help="model of the package, or a file of your own (default: list the models)",
    )
    gui.add_argument(
        "--backend",
        choices=NAMES,
        default="nengo",
        help="simulator (default: %(default)s); compiled is faster and needs numba, "
        "from nengo_epes[compiled]",
    )
    gui.add_argument(
        "--port",
        type=shared.number(int, 0, 65536),
        default=0,
        metavar="N",
        help="port of the server (default: 0, a free port)",
    )
    gui.add_argument(
        "--no-browser",
        action="store_true",
        help="print the address instead of opening a browser",
    )
    gui.set_defaults(command=_gui, parser=gui)


def _gui(options: Namespace) -> None:
    from nengo_epes.gui import MODELS

    name = options.model
    if name is None:
        for each, description in MODELS.items():
            print(f"{each:<15}{description}")
        return
    is_ours = name in MODELS
    if not is_ours and not name.endswith(".py"):
        options.parser.error(
            f"argument NAME|FILE.py: must be {', '.join(MODELS)}, or a file FILE.py "
            f"(got {name!r})"
        )
    if not is_ours and not Path(name).is_file():
        raise FileNotFoundError(f"{name}: no such file; name an existing file")
    # a missing module would be a traceback in the browser
    for module in ("nengo_gui", *(NEEDED.get(name, ()) if is_ours else ())):
        load(module, "gui")
    choose_simulator(options.backend)
    backend = {"nengo": "nengo", "compiled": "nengo_epes.compiled"}[options.backend]
    model = _copy(name) if is_ours else Path(name)
    _serve(model, backend, options.port, not options.no_browser)


def _copy(name: str) -> Path:
    """Copy a model and its layout to the current folder, unless it is there."""
    from nengo_epes.gui import model_files

    model = check_writable(f"{name}.py")
    if model.exists():
        print(f"{model} exists already and is opened as it is")
        return model
    layout, texts = Path(f"{model}.cfg"), model_files(name)
    if layout.exists():
        raise FileExistsError(f"{layout} exists without its model; move it away")
    # the model last: if it exists, its layout exists
    for path in (layout, model):
        text = texts[path.name]
        write_atomically(path, partial(Path.write_text, data=text, encoding="utf-8"))
    print(f"copied the model to {model}, which you can edit")
    return model


def _serve(model: Path, backend: str, port: int, opens_browser: bool) -> None:
    """Serve a model until its last page is closed, or Ctrl-C is pressed."""
    import signal
    import threading
    import webbrowser

    from nengo_gui.gui import InteractiveGUI
    from nengo_gui.guibackend import GuiServerSettings, ModelContext
    from nengo_gui.page import PageSettings

    settings = GuiServerSettings(("localhost", port))
    try:
        gui = InteractiveGUI(
            ModelContext(filename=str(model)),
            settings,
            page_settings=PageSettings(backend=backend),
        )
    except RuntimeError as error:  # of Nengo GUI
        raise OSError(f"port {port} is in use; leave out --port") from error
    if opens_browser:
        address = str(gui.server.get_url(token="one-time"))
        # some browsers return only when they are closed
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    gui._confirm_shutdown = signal.default_int_handler  # no question after Ctrl-C
    gui.start()
