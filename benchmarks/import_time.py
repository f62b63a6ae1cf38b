"""Time of ``import nengo_epes`` in addition to ``import nengo``.

New processes import both modules alternately, so that other load affects both equally.
The median of the differences is printed. The first pair reads from the disk and is not
counted.
"""

import statistics
import subprocess
import sys

REPEATS = 15


def seconds(module):
    """Return how long a new process takes to import a module."""
    script = (
        "import time; before = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - before)"
    )
    command = [sys.executable, "-W", "ignore", "-c", script]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def main():
    """Print the medians."""
    pairs = [(seconds("nengo"), seconds("nengo_epes")) for _ in range(REPEATS + 1)][1:]
    nengo = statistics.median(pair[0] for pair in pairs)
    more = statistics.median(b - a for a, b in pairs)
    print(f"import nengo: {nengo:.3f} s; import nengo_epes: {more:.3f} s more")


if __name__ == "__main__":
    main()
