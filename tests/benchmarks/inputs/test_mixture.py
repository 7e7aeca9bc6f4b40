"""Mixtures as settings name them: what is refused, when, and what a record says."""

from types import SimpleNamespace

import pytest

from benchmarks.cell.notes import mixture_notes
from benchmarks.inputs.catalogue import find_setting
from benchmarks.inputs.inputs import load_inputs
from benchmarks.inputs.mixture import check_setting_mixture
from benchmarks.run.run import check_for_cells
from gti.prompts.mixture import MixtureError
from gti.prompts.wordings import FAMILIES
from leaderboard.records.setting import SettingError


def with_mixture(setting, **mixture):
    auxiliary = setting.auxiliary.model_copy(update={"mixture": mixture})
    return setting.model_copy(update={"auxiliary": auxiliary})


def without_texts(setting):
    dataset = setting.dataset.model_copy(update={"title_field": "name", "detail_fields": ()})
    grounding = setting.grounding.model_copy(update={"held_out_share": 0.0})
    return setting.model_copy(update={"dataset": dataset, "grounding": grounding})


def test_an_unknown_family_is_refused_when_the_setting_is_read(write_setting, tmp_path):
    path = write_setting(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("itemsearch =", "itemserch ="))
    with pytest.raises(SettingError, match=r"tiny\.toml.*'itemserch'; did you mean 'itemsearch'"):
        find_setting(str(path))


def test_data_without_texts_are_refused_where_a_method_aligns(write_setting, tmp_path):
    setting = find_setting(str(write_setting(tmp_path))).setting
    inputs = load_inputs(setting, 0, offline=True)
    check_setting_mixture(setting, inputs)
    lacking = without_texts(setting)
    with pytest.raises(MixtureError, match=r"cannot feed 'item2index'.*take it out"):
        check_setting_mixture(lacking, inputs)
    cells = [SimpleNamespace(card=SimpleNamespace(spends=spends)) for spends in ({}, {"before": 1})]
    check_for_cells(lacking, inputs, cells)
    cells.append(SimpleNamespace(card=SimpleNamespace(spends={"beside": 1.0})))
    with pytest.raises(MixtureError):
        check_for_cells(lacking, inputs, cells)


def test_a_record_names_what_is_left_out_and_what_is_made_by_rule(write_setting, tmp_path):
    setting = find_setting(str(write_setting(tmp_path))).setting
    (note,) = mixture_notes(setting)
    assert note.startswith("itemsearch, preferenceobtain: ")
    (note,) = mixture_notes(with_mixture(setting, item2index=1.0, index2item=2.0))
    assert note == "alignment families left out: fusionseqrec, itemsearch, preferenceobtain"
    assert set(setting.auxiliary.mixture) == set(FAMILIES)


@pytest.mark.parametrize("style", ["sequence", "chat"])
def test_alignment_leaves_the_retrieval_stream_of_a_cell_as_it_is(
    write_setting, spec_of, tmp_path, style
):
    from benchmarks.cell.prepare import prepare_cell

    path = write_setting(tmp_path, style=style)
    streams = []
    for name in ("mean", "lc_rec"):
        cell = prepare_cell(spec_of(path, name))
        streams.append([[e.ids.tolist() for e in batch] for batch in cell.budget.batches])
    assert streams[0] == streams[1]
    assert "by rule, not user-written" in " ".join(cell.ledger.warnings)
