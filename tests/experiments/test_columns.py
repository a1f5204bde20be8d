"""Every column that a run writes is described, and nothing is described that no run writes."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import neuroattn
from neuroattn.experiments.columns import FINDINGS, STATISTICS, SYNTHETIC, Column, data_dictionary, meaning_of
from neuroattn.experiments.run import protocol_named, protocols

TINY = {"n_stimuli": 60, "n_control_stimuli": 20, "n_resamples": 100, "controls": []}


@pytest.fixture(scope="module")
def runs(finished, tmp_path_factory):
    """Return the folder of a run of every protocol."""
    folders = {name: finished(name) for name in protocols() if name != "cost_and_benefit"}
    run = neuroattn.run("cost_and_benefit", out=tmp_path_factory.mktemp("cost") / "run", **TINY)
    return folders | {"cost_and_benefit": run.path}


@pytest.mark.slow
def test_every_column_of_a_run_is_described_and_nothing_else(runs):
    stated = set()
    for name, folder in runs.items():
        columns = [*pd.read_parquet(folder / "units.parquet").columns]
        described = protocol_named(name).columns
        assert [column for column in columns if meaning_of(described, column) is None] == [], name
        assert [one.name for one in described if not any(map(one.describes, columns))] == [], name
        stated |= {*pd.read_csv(folder / "statistics.csv", nrows=0).columns}
    assert stated == {column.name for column in STATISTICS} - {SYNTHETIC.name}


@pytest.mark.slow
def test_every_field_of_findings_is_described_and_nothing_else(runs):
    fields = set()
    for folder in runs.values():
        for record in json.loads((folder / "findings.json").read_text()):
            fields |= {*record, *(f"rests_on.{name}" for estimate in record["rests_on"] for name in estimate)}
    assert fields == {column.name for column in FINDINGS}


@pytest.mark.parametrize("name", protocols())
def test_descriptions_are_whole_and_tell_columns_apart(name):
    table = data_dictionary(protocol_named(name).columns)
    assert not table.duplicated(["table", "column"]).any()
    assert not table.duplicated(["table", "meaning"]).any()
    allowed = {"", "1", "response", "degree", "step", "phase", "count", "index", "see unit"}
    assert set(table["unit"]) <= allowed


def test_a_name_stands_for_several_columns_and_for_no_other():
    column = Column("kappa_{state}_{reduction}", "1", "")
    assert column.describes("kappa_attended_mean")
    assert not column.describes("kappa_attended_median")
    assert not column.describes("a kappa_attended_mean")
    assert Column("response_stage{l}", "", "").describes("response_stage12")
