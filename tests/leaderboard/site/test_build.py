"""The built directory: whole, escaped, the same each time, and with the numbers of the board."""

import json
import re
import shutil
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from leaderboard.board.board import load_leaderboards
from leaderboard.records.ranks import Ranks, read_ranks
from leaderboard.render.export import board_content
from leaderboard.site.build import build_site, slug
from leaderboard.site.directory import SiteError


def four_digits(value: float) -> str:
    """`.0402`, written without our code."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.4f}")


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_data_files_hold_what_table_gives_apart_from_the_paths(
    site: Any, hostile_results: Path
) -> None:
    boards = load_leaderboards([hostile_results]).boards
    assert len(boards) == 2
    for board in boards:
        expected = json.loads(json.dumps(board_content(board)))
        path = site.directory / "data" / f"{board.setting.name}.json"
        found = json.loads(path.read_text(encoding="utf-8"))
        for row, own in zip(found["rows"], expected["rows"], strict=True):
            assert row.pop("paths") == {
                seed: f"records/{board.setting.name}/{row['key']}/seed-{seed}.json"
                for seed in own.pop("paths")
            }
        assert found == expected


def test_the_table_shows_the_numbers_of_the_data_file(site: Any, pages: Any) -> None:
    for name in ("toy", "other"):
        rows = json.loads((site.directory / "data" / f"{name}.json").read_text())["rows"]
        (table,) = pages[f"settings/{name}.html"].find("table", id="scores")
        lines = table.find("tbody")[0].find("tr")
        assert [line.attributes["data-method"] for line in lines] == [row["key"] for row in rows]
        for line, row in zip(lines, rows, strict=True):
            cells = [cell.text for cell in line.find("th", "td")]
            mean, sd = row["means"]["ndcg@10"], row["seed_sds"]["ndcg@10"]
            assert cells[1] == four_digits(mean) + (f" ± {four_digits(sd)}" if sd else "")
            low, high = row["score"]["low"], row["score"]["high"]
            assert cells[2] == f"[{four_digits(low)}, {four_digits(high)}]"
            if row["difference"]:
                difference = row["difference"]["estimate"]["mean"]
                assert cells[3].lstrip("+") == four_digits(difference)
            assert row["state"] in cells
            # What sorts the table is the number with every digit.
            sorts = [cell.attributes.get("data-sort") for cell in line.find("th", "td")]
            assert float(sorts[1]) == mean


def test_every_figure_of_the_main_table_leads_to_its_record(site: Any, pages: Any) -> None:
    page = pages["settings/toy.html"]
    (table,) = page.find("table", id="scores")
    for line in table.find("tbody")[0].find("tr"):
        method = line.attributes["data-method"]
        links = [a.attributes["href"] for cell in line.find("td") for a in cell.find("a")]
        assert {link for link in links if not link.endswith(".json")} == {f"#records-{method}"}
        figures = [cell for cell in line.find("td") if re.search(r"\d", cell.text)]
        assert len(figures) >= 4
        assert all(cell.find("a") for cell in figures)
        (start,) = page.find("tr", id=f"records-{method}")
        assert start.attributes["data-method"] == method
        copies = [link for link in links if link.endswith(".json")]
        assert copies
        for link in copies:
            record = json.loads((site.directory / "settings" / link).resolve().read_text())
            assert record["method"]["key"] == method
    records = page.find("table", id="records")[0].find("tbody")[0].find("tr")
    assert len(records) == 14
    for line in records:
        link = line.find("a")[0].attributes["href"]
        record = json.loads((site.directory / "settings" / link).resolve().read_text())
        assert float(line.find("td")[0].text) == record["metrics"]["test"]["ndcg@10"]


def test_every_address_resolves_within_the_directory_and_nothing_is_loaded_from_elsewhere(
    site: Any, pages: Any
) -> None:
    root = site.directory.resolve()
    outward = set()
    for name, page in pages.items():
        here = (root / name).parent
        ids = [each.attributes["id"] for each in page.walk() if "id" in each.attributes]
        assert len(set(ids)) == len(ids), name
        for element in page.walk():
            for key in ("href", "src", "xlink:href", "action", "data"):
                address = element.attributes.get(key)
                if address is None or address == "data:,":
                    continue
                if re.match(r"https?:", address):
                    assert element.tag == "a", f"{name} loads {address}"
                    outward.add(address)
                    continue
                path, _, fragment = address.partition("#")
                target = (here / unquote(path)).resolve() if path else root / name
                assert target.is_file(), f"{name}: {address}"
                assert target.is_relative_to(root), f"{name}: {address}"
                if fragment:
                    wanted = pages[target.relative_to(root).as_posix()]
                    assert wanted.find(id=fragment), f"{name}: {address}"
    # The sources of the claims; nothing a record says leads outwards.
    assert all(address.startswith("https://arxiv.org/abs/") for address in outward)
    for path in (root / "assets").iterdir():
        text = path.read_text()
        assert "http" not in text
        assert not re.search(r"@import|\bimport\b|url\(|fetch\(|XMLHttpRequest", text)


def test_text_of_records_is_never_markup(site: Any, pages: Any, hostile_text: str) -> None:
    page = pages["settings/other.html"]
    assert page.find("p", class_="sub")[0].text == hostile_text
    assert hostile_text in page.find("table", id="records")[0].text
    (dataset,) = [name for name in pages if name.startswith("datasets/") and "toy" not in name]
    assert pages[dataset].find("h1")[0].text.startswith(hostile_text)
    for name, each in pages.items():
        scripts = each.find("script")
        assert len(scripts) == 1, name
        assert scripts[0].attributes["src"].endswith("assets/site.js")
        assert not any(key.startswith("on") for e in each.walk() for key in e.attributes), name


def test_equal_records_give_equal_bytes_wherever_they_lie_and_whatever_was_there(
    site: Any, hostile_results: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(hostile_results, copy)
    out = tmp_path / "site"
    build_site([copy], out)
    build_site([copy], out)
    assert files_of(out) == files_of(site.directory)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "site"]


def test_several_processes_write_the_same_bytes(
    site: Any, hostile_results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def there_and_back(work: Any, tasks: Any, processes: int) -> Any:
        assert processes == 2
        for task in tasks:
            yield ForkingPickler.loads(
                ForkingPickler.dumps(work(ForkingPickler.loads(ForkingPickler.dumps(task))))
            )

    monkeypatch.setattr("leaderboard.site.build.MANY_RECORDS", 1)
    monkeypatch.setattr("leaderboard.site.build.share", there_and_back)
    built = build_site([hostile_results], tmp_path / "site", processes=2)
    assert files_of(tmp_path / "site") == files_of(site.directory)
    assert (built.num_boards, built.num_records) == (site.num_boards, site.num_records)


def test_each_ranks_file_is_read_once(
    hostile_results: Path, toy_claims: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> Ranks:
        read.append(path)
        return read_ranks(path)

    monkeypatch.setattr("leaderboard.board.user_scores.read_ranks", counted)
    build_site([hostile_results], tmp_path / "site", tables=[toy_claims])
    assert sorted(read) == sorted(hostile_results.glob("*/*/*.parquet"))


def test_records_are_copied_whole_and_their_ranks_stay_where_they_are(
    site: Any, hostile_results: Path
) -> None:
    for path in hostile_results.glob("*/*/seed-*.json"):
        copy = site.directory / "records" / path.relative_to(hostile_results)
        assert copy.read_bytes() == path.read_bytes()
    assert not list(site.directory.rglob("*.parquet"))
    assert not list(site.directory.rglob("*.npz"))
    assert site.num_records == 17
    assert site.num_files == len(files_of(site.directory))


def test_only_a_board_that_is_no_evidence_says_so(pages: Any) -> None:
    assert pages["settings/toy.html"].find("p", class_="banner")
    assert not pages["settings/other.html"].find("p", class_="banner")
    assert len(pages["index.html"].find("p", class_="banner")) == 1


def test_what_was_left_out_or_refused_is_told_on_the_first_page(
    factory: Any, tmp_path: Path, read_page: Any
) -> None:
    factory.board(methods=("mean", "gti"), seeds=(0,))
    factory.write("lc_rec", 0).write_text("{}")
    built = build_site([factory.root], tmp_path / "site")
    assert len(built.problems) == 1
    assert "lc_rec/seed-0.json" in built.problems[0]
    assert built.problems[0] in read_page(tmp_path / "site" / "index.html").text


def test_two_versions_of_a_setting_have_a_page_each(
    factory: Any, tmp_path: Path, toy_setting: Any
) -> None:
    factory.board(methods=("mean",), seeds=(0,))
    beam = toy_setting(prompts={"style": "sequence", "window": 9, "max_text_tokens": 16})
    factory.write("gti", 0, setting=beam)
    build_site([factory.root], tmp_path / "site")
    found = sorted(path.stem for path in (tmp_path / "site" / "settings").iterdir())
    assert found == sorted(f"toy-{s.hash[:8]}" for s in (toy_setting(), beam))


def test_no_records_is_a_clear_error_and_leaves_what_was_there(site: Any, tmp_path: Path) -> None:
    out = tmp_path / "site"
    shutil.copytree(site.directory, out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SiteError, match=r"no records under .*empty; `gti-bench run"):
        build_site([tmp_path / "empty"], out)
    assert files_of(out) == files_of(site.directory)


def test_what_verify_said_is_the_rows_state(factory: Any, tmp_path: Path, read_page: Any) -> None:
    factory.board(methods=("mean", "gti"), seeds=(0, 1))
    bad = str(factory.root / "toy" / "gti" / "seed-1.json")
    build_site([factory.root], tmp_path / "site", {bad})
    page = read_page(tmp_path / "site" / "settings" / "toy.html")
    states = {
        line.attributes["data-method"]: [cell.text for cell in line.find("td")]
        for line in page.find("table", id="scores")[0].find("tbody")[0].find("tr")
    }
    assert "verified" in states["mean"]
    assert "claimed" in states["gti"]
    assert "NOT VERIFIED: gti: seed 1" in page.text


def test_a_file_name_keeps_what_is_safe_and_tells_alike_names_apart() -> None:
    assert slug("ml-100k", "abcdef0123") == "ml-100k"
    assert slug("ml-100k", "abcdef0123", ["ml-100k"]) == "ml-100k-abcdef01"
    assert slug("../../A b", "abcdef0123") == "a-b-abcdef01"
    assert slug("…", "abcdef0123") == "unnamed-abcdef01"


def test_what_reruns_left_beside_a_record_goes_with_it(factory: Any, tmp_path: Path) -> None:
    record = factory.write("mean", 0)
    left = record.with_name("seed-0.reproductions.jsonl")
    left.write_text("\n")
    build_site([factory.root], tmp_path / "site")
    copy = tmp_path / "site" / "records" / "toy" / "mean" / left.name
    assert copy.read_text() == "\n"
