"""``nengo-epes demo``: learn from an error that is a second late."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace, _SubParsersAction

from nengo_epes.files import check_writable, write_atomically


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of this command."""
    demo = commands.add_parser(
        "demo",
        help="learn from an error that is a second late",
        description="Learn -cos(t) from an error that is a second late: with PES, "
        "with PES and delayed activities, and with EPES and an eligibility trace.",
    )
    demo.add_argument(
        "--seconds", type=float, default=100.0, help="simulated time (%(default)s)"
    )
    demo.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    demo.add_argument(
        "--output",
        default="delayed-error.png",
        metavar="FILE",
        help="the figure (%(default)s)",
    )
    demo.add_argument(
        "--json",
        default="delayed-error.json",
        metavar="FILE",
        help="the table (%(default)s)",
    )
    demo.set_defaults(command=_demo)


def _demo(options: Namespace) -> None:
    import numpy as np
    from matplotlib.backend_bases import FigureCanvasBase
    from matplotlib.figure import Figure

    from nengo_epes import demos as delayed_error

    # before the work, not after it
    figure_path = check_writable(options.output)
    table_path = check_writable(options.json)
    formats = FigureCanvasBase.get_supported_filetypes()
    if figure_path.suffix[1:].lower() not in formats:
        raise ValueError(
            f"--output {options.output}: no format {figure_path.suffix!r}; "
            f"supported formats: {', '.join(formats)}"
        )
    if figure_path == table_path:
        raise ValueError(f"--output and --json are the same file, {figure_path}")
    if not np.isfinite(options.seconds):
        raise ValueError(f"--seconds must be a finite number (got {options.seconds})")
    if not 0 <= options.seed < 2**31:
        raise ValueError(f"--seed must be from 0 to 2**31 - 1 (got {options.seed})")
    result = delayed_error.run(
        seed=options.seed, seconds=options.seconds, progress_bar=True
    )
    rmse = result["rmse"]
    parameters = ("seed", "seconds", "delay", "learning_rate", "dt", "rmse")
    table = json.dumps({name: result[name] for name in parameters}, indent=2) + "\n"
    write_atomically(table_path, lambda path: path.write_text(table))
    # without pyplot: a file is drawn, not a window, also where there is no screen
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    delayed_error.plot(result, figure.subplots(1, 2))
    write_atomically(figure_path, lambda path: figure.savefig(path, dpi=150))
    print(f"RMSE over the second half of {options.seconds:g} s, seed {options.seed}:\n")
    print(f"  {'line':<26}{'RMSE':>8}{'/ PES':>8}")
    for line, value in rmse.items():
        print(f"  {line:<26}{value:>8.4f}{value / rmse['PES']:>8.2f}")
    print(f"\nfigure: {figure_path}\ntable:  {table_path}")
