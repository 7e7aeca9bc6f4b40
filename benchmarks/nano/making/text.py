"""The text nano learns from: Debian packages by name and hash, written out as short documents."""

import argparse
import gzip
import hashlib
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from benchmarks.nano.making.heldout import is_held_out_entry, is_held_out_page
from benchmarks.nano.making.wordnet import Writer, join, read_wordnet, sentence


@dataclass(frozen=True)
class Package:
    """A Debian package that holds text; `sha256` is that of the `.deb` file."""

    name: str
    version: str
    sha256: str
    licence: str


PACKAGES = (
    Package(
        "wordnet-base",
        "1:3.0-37",
        "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
        "WordNet 3.0 licence",
    ),
    Package(
        "dict-gcide",
        "0.48.5+nmu2",
        "7b0af5cfde3cbdef5e9d6e78f92ec335ced7c2790f37a40f49bebc6f7347ac0f",
        "GPL-2.0-or-later",
    ),
    Package(
        "debian-handbook",
        "11.20220922",
        "3d5dbeac1f1afc9c094eab9d0f701f6ecff99c4927d5a4794cf6c85678134faa",
        "GPL-2.0-or-later or CC-BY-SA-3.0",
    ),
    Package(
        "libreoffice-help-en-us",
        "4:7.4.7-1+deb12u14",
        "8faa840285734d6cfe1ed25537b48f07e74bd6412e3917bf8e5f8a653f7b3712",
        "MPL-2.0",
    ),
)


class Document(NamedTuple):
    """One text; `kind` names the source and, for WordNet, the manner of writing."""

    kind: str
    text: str


def fetch(folder: Path) -> None:
    """Downloads the packages with apt into `folder`, checks their hashes and unpacks them."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        target = folder / package.name
        if target.is_dir():
            continue
        file = find_deb(folder, package)
        if file is None:
            wanted = f"{package.name}={package.version}"
            subprocess.run(["apt-get", "download", wanted], cwd=folder, check=True)
            file = find_deb(folder, package)
        if file is None:
            raise FileNotFoundError(f"apt-get left no .deb of {package.name} in {folder}")
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != package.sha256:
            raise ValueError(f"{file.name}: sha256 is {found}, expected {package.sha256}")
        subprocess.run(["dpkg", "-x", str(file), str(target)], check=True)


def find_deb(folder: Path, package: Package) -> Path | None:
    """The package's file in `folder`, if there is one."""
    files = sorted(folder.glob(f"{package.name}_*.deb"))
    return files[0] if files else None


def documents(folder: Path, variant: int, held_out: bool) -> Iterator[Document]:
    """Writes out all sources once.

    Args:
        folder: where the packages lie unpacked, one folder each, as `fetch` leaves them.
        variant: the draw of wordings; another number gives other wordings of the same facts.
        held_out: the held-out documents instead of the training ones.
    """
    rng = random.Random(f"nano-text-{variant}-{held_out}")
    synsets = read_wordnet(folder / "wordnet-base/usr/share/wordnet")
    for kind, text in Writer(synsets, rng).documents(held_out):
        yield Document(f"wordnet-{kind}", text)
    yield from gcide_documents(folder / "dict-gcide/usr/share/dictd/gcide.dict.dz", rng, held_out)
    handbook = folder / "debian-handbook/usr/share/doc/debian-handbook/html/en-US"
    yield from html_documents("handbook", handbook, "*.html", 'class="titlepage"', held_out)
    office = folder / "libreoffice-help-en-us/usr/share/libreoffice/help/en-US/text"
    yield from html_documents("office-help", office, "**/*.html", 'id="DisplayArea"', held_out)


HEADWORD = re.compile(r"^(?P<word>[^\\{\[]+?) \\[^\\]*\\[^,.]*[,.]? *(?P<rest>.*)", re.DOTALL)
PARTS = (("v.", "verb"), ("a.", "adjective"), ("adv.", "adverb"), ("n.", "noun"), ("p.", "verb"))


def gcide_entries(path: Path) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yields (headword, part of speech, text, synonyms) of the dictionary's entries."""
    text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
    for raw in re.split(r"\n\n(?=\S)", text):
        match = HEADWORD.match(raw)
        if not match:
            continue
        rest = re.sub(r"\s+", " ", match["rest"])
        while True:  # brackets hold sources, etymologies and pronunciations, and they nest
            shorter = re.sub(r"\[[^\[\]]*\]", "", rest)
            if shorter == rest:
                break
            rest = shorter
        part = next((name for mark, name in PARTS if rest.lstrip("; ").startswith(mark)), "")
        rest = re.sub(r"^[;:,. ]*((v|n|a|t|i|adv|pl|p|pr|imp|prep)\.[ ;:&,]*)+", "", rest)
        rest, _, synonyms = rest.partition("Syn:")
        rest = re.sub(r"[{}\\`]", "", rest)
        rest = re.sub(r"\s+([,.;:])", r"\1", re.sub(r" +", " ", rest)).strip()
        listed = [s.strip(" .{};") for s in re.split(r"[,;]", synonyms)]
        listed = [s for s in listed if s and len(s) < 30 and " See " not in s]
        if len(rest) > 15:
            yield match["word"].strip(), part, rest, listed[:8]


def gcide_documents(path: Path, rng: random.Random, held_out: bool) -> Iterator[Document]:
    """Each entry as it is and, for a third of them, the first meaning followed by the word."""
    for word, part, text, synonyms in gcide_entries(path):
        if any(is_held_out_entry(name) for name in [word, *synonyms]) != held_out:
            continue
        named = f"{word} ({part})" if part else word
        styles = [f"{named}: {text}", f"{word}. {text}", f"Word: {word}\nMeaning: {text}"]
        lines = [rng.choice(styles)]
        if synonyms and rng.random() < 0.5:
            lines.append(f"Synonyms: {', '.join(synonyms)}.")
        yield Document("gcide", join(rng, lines))
        meaning = re.split(r"(?<=[a-z])\. |;", re.sub(r"^1\. (\([^)]*\) )?", "", text))[0]
        if 20 < len(meaning) < 160 and rng.random() < 0.35:
            styles = [f"{meaning}: {word}", f"{sentence(meaning)} This is called: {word}."]
            yield Document("gcide-reverse", rng.choice(styles))


class PageText(HTMLParser):
    """Collects the text of paragraphs, headings and list items; drops menus and code."""

    BLOCKS = frozenset({"p", "h1", "h2", "h3", "h4", "li", "dt", "dd", "td", "div", "pre"})
    SILENT = frozenset({"script", "style", "nav", "header", "button", "noscript", "pre"})

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = [""]
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A block begins a new line; what is silent is counted in."""
        if tag in self.BLOCKS and self.lines[-1]:
            self.lines.append("")
        self.silent += tag in self.SILENT

    def handle_endtag(self, tag: str) -> None:
        """A block ends its line; what is silent is counted out."""
        if tag in self.BLOCKS and self.lines[-1]:
            self.lines.append("")
        self.silent -= tag in self.SILENT

    def handle_data(self, data: str) -> None:
        """Text goes to the line at hand."""
        if not self.silent:
            self.lines[-1] += data


def html_documents(
    kind: str, folder: Path, pattern: str, start: str, held_out: bool
) -> Iterator[Document]:
    """The pages of a manual, each cut after about 1,500 characters into documents."""
    seen: set[str] = set()
    for path in sorted(folder.glob(pattern)):
        if is_held_out_page(path.name) != held_out:
            continue
        page = path.read_text("utf-8", "replace")
        parser = PageText()
        parser.feed(page[page.find(">", page.find(start)) + 1 :])
        piece: list[str] = []
        for line in parser.lines:
            line = re.sub(r"\s+", " ", line).strip()
            if len(line) < 30 or line in seen:
                continue
            seen.add(line)
            piece.append(line)
            if sum(map(len, piece)) > 1500:
                yield Document(kind, "\n".join(piece))
                piece = []
        if piece:
            yield Document(kind, "\n".join(piece))


def main() -> None:
    """Fetches the packages and prints some documents made from them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the packages go, or already lie")
    parser.add_argument("--show", type=int, default=20, help="print this many documents")
    arguments = parser.parse_args()
    fetch(arguments.folder)
    shown = random.Random(0).sample(list(documents(arguments.folder, 0, False)), arguments.show)
    for document in shown:
        print(f"[{document.kind}]\n{document.text}\n")


if __name__ == "__main__":
    main()
