"""Names of cases, parameters and results, of which a table has its columns."""

import numpy as np
import pandas as pd
import pytest
import sweep_trials
from nengo.exceptions import ValidationError

from nengo_epes.sweep import sweep
from nengo_epes.sweep.planning import plan
from nengo_epes.sweep.running import run_trial
from nengo_epes.sweep.tables import to_table, write_table


def test_result_that_is_a_parameter_elsewhere(tmp_path):
    """Where a trial tells the default of a parameter that other cases set, there is
    one column of this name, and the table can be written."""
    planned = plan(sweep_trials.telling, {"a": {}, "b": {"rate": 0.5}}, [0, 1])
    outcomes = [
        each | run_trial(each["trial"], each["parameters"], each["seed"])
        for each in planned.values()
    ]
    table = to_table(outcomes)
    assert list(table) == ["case", "seed", "rate", "twice", "error", "wall seconds"]
    assert table["rate"].tolist() == [0.1, 0.1, 0.5, 0.5]
    assert table["twice"].tolist()[:2] == [0.2, 0.2]
    # in the other case it is a result with the name of a column
    assert table["error"].isna().tolist() == [True, True, False, False]
    path = tmp_path / "table.parquet"
    write_table(table, path)
    pd.testing.assert_frame_equal(pd.read_parquet(path), table)


@pytest.mark.parametrize("name", [3, np.int64(3), 0.5, None])
def test_names_of_cases(name, tmp_path):
    """A name that is no text, which a file could not hold as it is, is refused before
    anything is run."""
    folder = tmp_path / "trials"
    with pytest.raises(ValidationError, match=r"name of a case.*grid\(\)"):
        sweep(sweep_trials.kind, {name: {"x": 1}}, [0], folder)
    assert not folder.exists()
