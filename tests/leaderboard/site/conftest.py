"""A built site of hostile records, and a reader of its pages that needs no other library."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmarks.perf.honest_records.by_hand import CLAIMS
from benchmarks.perf.honest_records.settings import DATASET, setting_of
from benchmarks.perf.honest_records.writer import RecordWriter
from leaderboard.claims.claims import ClaimsTable, parse_claims
from leaderboard.site.build import Site, build_site

HOSTILE = "<script>document.title='taken'</script> & \"quotes\" 'so' {{ 7 * 7 }}"
VOID = {"meta", "link", "input", "br", "img", "hr"}


@dataclass
class Element:
    """An element with its attributes, children and text in order."""

    tag: str
    attributes: dict[str, str]
    children: list["Element | str"] = field(default_factory=list)

    def walk(self) -> Iterator["Element"]:
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def find(self, *tags: str, **wanted: str) -> list["Element"]:
        """All elements below of one of the `tags` that have the `wanted` attributes."""
        keys = {key.rstrip("_").replace("_", "-"): value for key, value in wanted.items()}
        return [
            each
            for each in self.walk()
            if (not tags or each.tag in tags)
            and all(each.attributes.get(key) == value for key, value in keys.items())
        ]

    @property
    def text(self) -> str:
        parts = [c if isinstance(c, str) else c.text for c in self.children]
        return " ".join("".join(parts).split())


class Reader(HTMLParser):
    """Builds the tree, and fails where an element is closed that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("document", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> repeats an attribute: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(path: Path) -> Element:
    """The tree of the page at `path`."""
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert len(reader.open) == 1, f"{path.name}: <{reader.open[-1].tag}> is not closed"
    return reader.root


@pytest.fixture(scope="session")
def hostile_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two settings: one of three seeds, one whose every text is hostile and lacks seeds."""
    writer = RecordWriter(tmp_path_factory.mktemp("hostile") / "results")
    dataset = DATASET | {"name": HOSTILE}
    other = setting_of(name="other", summary=HOSTILE, dataset=dataset, evidence=True)
    for method in ("mean", "gti", "popularity"):
        writer.write(method, 0, setting=other, warnings=[HOSTILE])
    return writer.board()


@pytest.fixture(scope="session")
def toy_claims() -> ClaimsTable:
    """Claims on the setting `toy`, whose title and caveat are hostile."""
    text = CLAIMS.replace('"A paper"', f"'''{HOSTILE}'''")
    return parse_claims(text.replace('"Take care."', f"'''{HOSTILE}'''"), "toy-claims")


@pytest.fixture(scope="session")
def hostile_text() -> str:
    """The text that stands wherever a record of `hostile_results` may hold text."""
    return HOSTILE


@pytest.fixture(scope="session")
def read_page() -> Callable[[Path], Element]:
    """Reads a page as a tree."""
    return parse


@pytest.fixture(scope="session")
def site(hostile_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site of `hostile_results`; read only."""
    return build_site([hostile_results], tmp_path_factory.mktemp("out") / "site")


@pytest.fixture(scope="session")
def pages(site: Site) -> dict[str, Element]:
    """Address → tree of every page."""
    found = sorted(site.directory.rglob("*.html"))
    return {path.relative_to(site.directory).as_posix(): parse(path) for path in found}
