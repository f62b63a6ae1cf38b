"""Parallel calls of one function, with a JSON file for each result."""

import functools
import json

import nengo
from dask.system import CPU_COUNT
from distributed import Client, as_completed

from nengo_epes.files import make_folder, write_atomically


def run_many(function, cases, seeds, folder):
    """Call ``function(seed, **cases[case])`` for all cases and seeds.

    A case and seed with a file in the folder is not run again. Returns the results of
    each case in the order of the seeds.
    """
    folder = make_folder(folder)
    paths = {
        (case, seed): folder / f"{case}, seed {seed}.json"
        for case in cases
        for seed in seeds
    }
    options = {"n_workers": CPU_COUNT, "threads_per_worker": 1}
    with Client(**options, dashboard_address="127.0.0.1:0") as client:
        futures = {
            client.submit(_call, function, seed, cases[case], pure=False): path
            for (case, seed), path in paths.items()
            if not path.exists()
        }
        for future in as_completed(futures):
            text = json.dumps(future.result()) + "\n"
            write_atomically(futures[future], functools.partial(_write, text))
            print(futures[future], flush=True)
    return {
        case: [json.loads(paths[case, seed].read_text()) for seed in seeds]
        for case in cases
    }


def _call(function, seed, parameters):
    # otherwise all processes wait for the lock of the cache
    nengo.rc.set("decoder_cache", "enabled", "False")
    return function(seed, **parameters)


def _write(text, path):
    path.write_text(text)
