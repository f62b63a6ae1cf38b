"""The delayed-error demonstration over seeds: python benchmarks/delayed_error.py."""

import json
from pathlib import Path

import matplotlib as mpl
import nengo
import numpy as np

from nengo_epes import demos as delayed_error
from nengo_epes.files import write_atomically

SEEDS = range(5)  # the trace's shape was chosen on seeds 1000 to 1002
RESULTS = Path(__file__).parent / "results"


def main():
    """Run the seeds, print the table, and write it with the figure of seed 0."""
    results = []
    for seed in SEEDS:
        result = delayed_error.run(seed=seed)
        results.append(result)
        print(seed, {k: round(v, 4) for k, v in result["rmse"].items()}, flush=True)
    rmse = {
        line: [result["rmse"][line] for result in results]
        for line in delayed_error.LINES
    }
    mean = {line: float(np.mean(values)) for line, values in rmse.items()}
    table = {
        "command": "python benchmarks/delayed_error.py",
        "versions": {"nengo": nengo.__version__, "numpy": np.__version__},
        **{k: results[0][k] for k in ("seconds", "delay", "learning_rate", "dt")},
        "seeds": list(SEEDS),
        "rmse": rmse,
        "mean": mean,
        "mean relative to PES": {k: v / mean["PES"] for k, v in mean.items()},
    }
    print(json.dumps(table["mean relative to PES"], indent=2))
    text = json.dumps(table, indent=2) + "\n"
    write_atomically(RESULTS / "delayed_error.json", lambda path: path.write_text(text))
    figure = delayed_error.plot(results[0])[0].figure
    write_atomically(
        RESULTS / "delayed_error.png", lambda path: figure.savefig(path, dpi=150)
    )


if __name__ == "__main__":
    mpl.use("agg")
    main()
