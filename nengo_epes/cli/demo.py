"""``nengo-epes demo``: learn from an error that is delayed by 1 s."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace, _SubParsersAction

from nengo_epes.cli import options as shared
from nengo_epes.files import check_writable, write_atomically


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of this command."""
    demo = commands.add_parser(
        "demo",
        help="learn from an error that is delayed by 1 s",
        description="Learn -cos(t) from an error that is delayed by 1 s: with PES, "
        "with PES and delayed activities, and with EPES and an eligibility trace.",
    )
    demo.add_argument(
        "--seconds",
        type=shared.number(float, 3),
        default=100.0,
        metavar="S",
        help="simulated time (default: %(default)s)",
    )
    demo.add_argument(
        "--seed",
        type=shared.SEED,
        default=0,
        metavar="K",
        help="seed of the network (default: %(default)s)",
    )
    demo.add_argument(
        "--output",
        default="delayed-error.png",
        metavar="FILE",
        help="figure to write (default: %(default)s)",
    )
    demo.add_argument(
        "--json",
        default="delayed-error.json",
        metavar="FILE",
        help="table to write (default: %(default)s)",
    )
    shared.add_simulator(demo)
    shared.add_quiet(demo)
    demo.set_defaults(command=_demo, parser=demo)


def _demo(options: Namespace) -> None:
    figure_path = check_writable(options.output)
    table_path = check_writable(options.json)
    if figure_path == table_path:
        options.parser.error(
            f"argument --output: must differ from --json (got {figure_path} for both)"
        )
    shared.announce(options, f"simulating {options.seconds:g} s of three networks")
    from matplotlib.backend_bases import FigureCanvasBase
    from matplotlib.figure import Figure

    from nengo_epes import demos as delayed_error

    formats = FigureCanvasBase.get_supported_filetypes()
    if figure_path.suffix[1:].lower() not in formats:
        options.parser.error(
            f"argument --output: must have a suffix of {', '.join(formats)} "
            f"(got {options.output})"
        )
    bar = shared.bar(options, "steps")
    result = delayed_error.run(
        options.seed,
        options.seconds,
        progress_bar=bar,
        simulator=options.simulator or "nengo",
    )
    rmse = result["rmse"]
    parameters = ("seed", "seconds", "delay", "learning_rate", "dt", "rmse")
    table = json.dumps({name: result[name] for name in parameters}, indent=2) + "\n"
    write_atomically(table_path, lambda path: path.write_text(table))
    # without pyplot: no window opens, so no screen is needed
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    delayed_error.plot(result, figure.subplots(1, 2))
    write_atomically(figure_path, lambda path: figure.savefig(path, dpi=150))
    print(f"RMSE over the second half of {options.seconds:g} s, seed {options.seed}:\n")
    print(f"  {'line':<26}{'RMSE':>8}{'/ PES':>8}")
    for line, value in rmse.items():
        print(f"  {line:<26}{value:>8.4f}{value / rmse['PES']:>8.2f}")
    print(f"\nfigure: {figure_path}\ntable:  {table_path}")
