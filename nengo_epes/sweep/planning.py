"""Which trials a sweep consists of."""

from __future__ import annotations

import importlib
import inspect
import itertools
import operator

from nengo.exceptions import ValidationError

from nengo_epes.sweep import records

# columns of the table that are neither parameters nor results
OWN_COLUMNS = {"case", "seed", "error", "wall seconds"}


def grid(**values):
    """Return all combinations of some parameters, as cases for `sweep`.

    Parameters
    ----------
    **values
        The values of each parameter, as lists.

    Returns
    -------
    dict of str to dict
        The parameters of each case; their values are its name.

    Examples
    --------
    >>> grid(lambda_=[0.9, 0.0], n_neurons=[500])
    {'lambda_=0.9, n_neurons=500': {'lambda_': 0.9, 'n_neurons': 500},
     'lambda_=0.0, n_neurons=500': {'lambda_': 0.0, 'n_neurons': 500}}
    """
    combinations = [
        dict(zip(values, chosen, strict=True))
        for chosen in itertools.product(*values.values())
    ]
    return {
        ", ".join(f"{name}={value}" for name, value in chosen.items()): chosen
        for chosen in combinations
    }


def plan(trial, cases, seeds):
    """Return what the file of each trial will begin with, by its name."""
    name = _importable(trial)
    seeds = _checked_seeds(seeds)
    if not isinstance(cases, dict) or not cases:
        raise ValidationError(
            f"must be the parameters of each case, by its name (got {cases!r}); for "
            "all combinations of lists see grid()",
            attr="cases",
        )
    planned = {}
    for case, parameters in cases.items():
        if not isinstance(case, str):
            raise ValidationError(
                f"the name of a case must be a text (got {case!r}); grid() makes names",
                attr="cases",
            )
        if not isinstance(parameters, dict):
            raise ValidationError(
                f"the parameters of case {case!r} must be a dict (got {parameters!r}); "
                "for all combinations of lists see grid()",
                attr="cases",
            )
        for seed in seeds:
            _check_arguments(trial, case, seed, parameters)
            known = records.plain(parameters)
            file = records.file_name(name, known, seed)
            if file in planned:
                raise ValidationError(
                    f"seed {seed} is there twice, in case {case!r} and in "
                    f"{planned[file]['case']!r}, with the same parameters",
                    attr="cases",
                )
            planned[file] = {
                "trial": name,
                "case": case,
                "parameters": known,
                "seed": seed,
            }
    return planned


def _checked_seeds(seeds):
    if isinstance(seeds, int):
        raise ValidationError(
            f"must be several (got {seeds}); give range({seeds}) or [{seeds}]",
            attr="seeds",
        )
    try:
        whole = [operator.index(seed) for seed in seeds]
    except TypeError as error:
        raise ValidationError(
            f"must be whole numbers, as in range(20) (got {seeds!r})", attr="seeds"
        ) from error
    if not whole:
        raise ValidationError("there are none; give range(20)", attr="seeds")
    return whole


def _importable(trial):
    """Return the name by which a worker imports the trial."""
    module = getattr(trial, "__module__", None)
    name = getattr(trial, "__qualname__", "")
    found = None
    if module not in (None, "__main__") and name.isidentifier():
        found = getattr(importlib.import_module(module), name, None)
    if found is not trial:
        raise ValidationError(
            f"must be a function of a module that can be imported, so that other "
            f"processes find it; put it into a file of its own (got {trial!r})",
            attr="trial",
        )
    return f"{module}:{name}"


def _check_arguments(trial, case, seed, parameters):
    taken = set(parameters) & OWN_COLUMNS
    if taken:
        raise ValidationError(
            f"case {case!r}: no parameter can be called {taken}", attr="cases"
        )
    try:
        inspect.signature(trial).bind(seed, **parameters)
    except TypeError as error:
        raise ValidationError(f"case {case!r}: {error}", attr="cases") from error
