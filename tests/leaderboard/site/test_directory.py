"""A directory is replaced whole, and only if it is ours."""

from pathlib import Path

import pytest

from leaderboard.site.directory import MARKER, SiteError, replaced_directory


def write_site(out: Path, text: str = "new") -> None:
    with replaced_directory(out) as root:
        (root / "sub").mkdir()
        (root / "sub" / "page.html").write_text(text)


def test_an_earlier_site_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "site"
    write_site(out, "old")
    write_site(out)
    assert (out / "sub" / "page.html").read_text() == "new"
    assert [path.name for path in out.parent.iterdir()] == ["site"]


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    write_site(tmp_path / "site")
    assert (tmp_path / "site" / MARKER).is_file()


def test_somebody_elses_directory_stays(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SiteError, match=r"not made by `gti-bench site`"):
        write_site(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("marker", ["", "[]", "{}", '{"files": 3}'])
def test_a_marker_that_lists_nothing_makes_nothing_ours(tmp_path: Path, marker: str) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / MARKER).write_text(marker)
    with pytest.raises(SiteError, match=r"did not write: thesis\.txt"):
        write_site(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_site_with_somebodys_files_in_it_stays(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_site(out, "old")
    (out / "CNAME").write_text("bench.example")
    with pytest.raises(SiteError, match=r"did not write: CNAME; move them"):
        write_site(out)
    assert (out / "sub" / "page.html").read_text() == "old"


def test_files_that_come_while_the_pages_are_made_are_not_lost(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_site(out, "old")

    def write_while_somebody_else_does() -> None:
        with replaced_directory(out) as root:
            (root / "page.html").write_text("new")
            (out / "CNAME").write_text("bench.example")

    with pytest.raises(SiteError, match="CNAME"):
        write_while_somebody_else_does()
    assert (out / "CNAME").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_failure_leaves_the_old_site_and_no_rubbish(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_site(out, "old")
    with pytest.raises(ZeroDivisionError), replaced_directory(out) as root:
        (root / "page.html").write_text(str(1 // 0))
    assert (out / "sub" / "page.html").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_file_or_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SiteError, match="is a file"):
        write_site(tmp_path / "file")
    (tmp_path / "there").mkdir()
    try:
        (tmp_path / "link").symlink_to(tmp_path / "there")
    except OSError:
        pytest.skip("no links on this system")
    with pytest.raises(SiteError, match="is a link"):
        write_site(tmp_path / "link")
    assert list((tmp_path / "there").iterdir()) == []
