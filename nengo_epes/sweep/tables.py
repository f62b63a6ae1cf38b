"""One table of all trials."""

from __future__ import annotations

import json

from nengo.exceptions import ValidationError

from nengo_epes.files import check_writable, write_atomically


def to_table(records):
    """Return one row a trial.

    Parameters
    ----------
    records : list of dict
        As `read` returns them.

    Returns
    -------
    pandas.DataFrame
        ``case``, ``seed``, the parameters, all results but lists, ``error`` and
        ``wall seconds``. What a trial lacks is missing.
    """
    import pandas as pd

    rows, parameters, results = [], {}, {}
    for record in records:
        given = {
            name: json.dumps(x) if isinstance(x, list | dict) else x
            for name, x in record["parameters"].items()
        }
        found = {
            name: x
            for name, x in (record["result"] or {}).items()
            if not isinstance(x, list | dict)
        }
        error = record["error"]
        row = {"case": record["case"], "seed": record["seed"], **given, **found}
        row["error"] = error and f"{error['type']}: {error['message']}"
        row["wall seconds"] = record["wall seconds"]
        rows.append(row)
        parameters.update(given)
        results.update(found)
    # what is a parameter in one case may be a result in another: one column
    names = {**parameters, **results}
    columns = ["case", "seed", *names, "error", "wall seconds"]
    table = pd.DataFrame(rows, columns=columns)
    for name in columns:
        kinds = {type(x) for x in table[name].dropna()}
        if str in kinds and len(kinds) > 1:  # Parquet wants one type a column
            table[name] = table[name].map(str, na_action="ignore")
    return table


def check_table(path):
    """Refuse a table that could not be written, before the work for it begins.

    Parameters
    ----------
    path : path
        The file to be written, see `write_table`.

    Returns
    -------
    Path

    Raises
    ------
    ValidationError
        If its suffix is another.
    """
    path = check_writable(path)
    if path.suffix not in (".csv", ".parquet"):
        raise ValidationError(
            f"a table ends in .csv or .parquet (got {path.name})", attr="table"
        )
    return path


def write_table(table, path):
    """Write a table as its suffix says.

    Parameters
    ----------
    table : pandas.DataFrame
        From `to_table`.
    path : path
        With the suffix ``.csv`` or ``.parquet``.
    """
    path = check_table(path)
    write = table.to_csv if path.suffix == ".csv" else table.to_parquet
    write_atomically(path, lambda temporary: write(temporary, index=False))
