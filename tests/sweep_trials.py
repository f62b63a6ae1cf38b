"""Trials that tests send to other processes."""

import ctypes
import os
import re
import time
from pathlib import Path

import numpy as np


def counted(seed, log, factor=1, seconds=0.0, fails=(), kills=()):
    """Return ``factor * seed`` and lists; tell in a file that it was run."""
    with open(log, "a") as file:  # short appended lines are never torn
        file.write(f"{factor} {seed}\n")
    time.sleep(seconds)
    if seed in fails:
        raise ArithmeticError(f"seed {seed} is not to be")
    if seed in kills:
        os._exit(1)
    return {
        "product": np.float64(factor * seed),
        "odd": None if seed % 2 == 0 else seed,
        "returns": np.arange(seed),
    }


def runs(log):
    """Return how often each trial of `counted` began, by factor and seed."""
    found = [
        tuple(int(x) for x in line.split())
        for line in Path(log).read_text().splitlines()
    ]
    return {each: found.count(each) for each in found}


def threads(seed):
    """Return with how many threads numpy's linear algebra runs here."""
    np.ones((2, 2)) @ np.ones((2, 2))
    maps = Path("/proc/self/maps").read_text()
    (library,) = set(re.findall(r"/\S*numpy\.libs/\S*openblas\S*", maps))
    return {
        "OMP_NUM_THREADS": os.environ["OMP_NUM_THREADS"],
        "BLAS": ctypes.CDLL(library).scipy_openblas_get_num_threads64_(),
    }


def described(seed, neuron_type=None, array=None):
    """Return what arrived."""
    return {"tau": neuron_type.tau_rc, "sum": float(np.sum(array))}


def kind(seed, x=None):
    """Return of which type the parameter is that arrived."""
    return {"kind": type(x).__name__}


def telling(seed, rate=0.1):
    """Return the parameter, too."""
    return {"rate": rate, "twice": 2 * rate}


def returns_seed(seed):
    """Return a result that has the name of a column."""
    return {"seed": seed}


def returns_number(seed):
    """Return no dict."""
    return seed
