"""Lets the site show what stands elsewhere in the repository, with links that also work on GitHub.

A link that stands alone on its line and has the title "included" is replaced by what it points to:
a Markdown file, or one section of it. Any other link that leaves `docs/` leads to the page that
includes its target, else to a page made here that shows the file or lists the folder. What is not
there is left as it is, so that the strict build names it.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[2]
INCLUDED = re.compile(r'^\[[^\]]*\]\(([^)\s#]+)#?([^)\s]*) "included"\)$', re.MULTILINE)
LINK = re.compile(r'(?<=\]\()([^)\s]+)(?=(?: "[^"]*")?\))')
HEADING = re.compile(r"^(#+) (.+)$")
FENCE = re.compile(r"^\s*(```+|~~~+)")
ITEM = re.compile(r"^(?:\d+\.|[-*]) +")
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".cff": "yaml", ".ini": "ini"}
slug_of = slugify(case="lower")


@dataclass
class Site:
    """What one build has found.

    Attributes:
        texts: page → its Markdown, with what it includes.
        homes: (file, anchor) → page that shows it; the anchor is empty for the file's first page.
        shown: page made here → the file or folder that it shows.
    """

    texts: dict[str, str] = field(default_factory=dict)
    homes: dict[tuple[str, str], str] = field(default_factory=dict)
    shown: dict[str, Path] = field(default_factory=dict)


site = Site()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Puts pages together, then turns their links, then adds the pages that these need."""
    global site
    site = Site()
    own = {file.src_uri: file.content_string for file in files.documentation_pages()}
    for page, text in own.items():
        for file, anchor in INCLUDED.findall(text):
            _note_home(page, _place(f"docs/{page}", file), anchor)
    for page, text in own.items():
        site.texts[page] = _put_together(page, text)
    for page, path in site.shown.items():
        content = _folder_page(path) if path.is_dir() else _file_page(path)
        made = File.generated(config, page, content=content, inclusion=InclusionLevel.NOT_IN_NAV)
        files.append(made)
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """The page as `on_files` put it together; pages made here are as they were made."""
    text = site.texts.get(page.file.src_uri, markdown)
    return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)


def _place(file: str, link: str) -> str:
    """The path from the root of what `link` in `file` points to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), link))


def _read(file: str) -> str:
    path = ROOT / file
    if not path.is_file():
        raise PluginError(f"docs: there is no {file} to include")
    return path.read_text(encoding="utf-8")


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is prose: no line of a fenced block."""
    fence = ""
    for line in text.splitlines():
        mark = FENCE.match(line)
        yield line, not fence and not mark
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence):
            fence = ""


def section(file: str, anchor: str) -> str:
    """The section of `file` whose heading has this anchor, with the headings below it.

    Raises:
        PluginError: there is none.
    """
    found: list[str] = []
    level = 0
    for line, prose in _lines(_read(file)):
        heading = HEADING.match(line) if prose else None
        if heading and level and len(heading[1]) <= level:
            break
        if heading and not level and slug_of(heading[2], "-") == anchor:
            level = len(heading[1])
        if level:
            found.append(line)
    if not found:
        raise PluginError(f"docs: {file} has no section #{anchor} to include")
    return "\n".join(found)


def _note_home(page: str, file: str, anchor: str) -> None:
    """Notes that `page` shows this file, or this section with all headings in it."""
    text = section(file, anchor) if anchor else _read(file)
    site.homes.setdefault((file, ""), page)
    for line, prose in _lines(text):
        if prose and (heading := HEADING.match(line)):
            site.homes.setdefault((file, slug_of(heading[2], "-")), page)


def _put_together(page: str, text: str) -> str:
    """`text` of `page` with what it includes, and all links turned."""

    def included(match: re.Match[str]) -> str:
        file = _place(f"docs/{page}", match[1])
        return _turned(section(file, match[2]) if match[2] else _read(file), file, page)

    parts, end = [], 0
    for match in INCLUDED.finditer(text):
        parts += [_turned(text[end : match.start()], f"docs/{page}", page), included(match)]
        end = match.end()
    return "".join([*parts, _turned(text[end:], f"docs/{page}", page)])


def _turned(text: str, file: str, page: str) -> str:
    """`text`, which stands in `file`, as `page` shows it: its links turned, its lists deeper.

    Python-Markdown takes four spaces for what belongs to an item of a list; GitHub takes two.
    """
    lines, deeper = [], 0
    for line, prose in _lines(text):
        new = line
        if prose:
            new = LINK.sub(lambda match: _link(match[1], file, page), line)
        if item := ITEM.match(line):
            deeper = len(item[0])
        elif deeper and line.strip() and not line.startswith(" " * deeper):
            deeper = 0
        if deeper and line.startswith(" " * deeper):
            new = " " * (4 - deeper) + new
        lines.append(new)
    return "\n".join(lines) + ("\n" if text.endswith("\n") else "")


def _link(target: str, file: str, page: str) -> str:
    """Where a link to `target`, which stands in `file`, leads from `page`."""
    path, _, anchor = target.partition("#")
    if ":" in path or (not path and file == f"docs/{page}"):
        return target
    place = _place(file, path) if path else file
    if place.startswith("docs/"):
        found = place.removeprefix("docs/")
    elif home := site.homes.get((place, anchor)):
        found = home
    elif (ROOT / place).exists() and not anchor:
        found = f"repository/{place}.md"
        site.shown[found] = ROOT / place
    else:
        return target
    relative = posixpath.relpath(found, posixpath.dirname(page) or ".")
    return f"{relative}#{anchor}" if anchor else relative


def _page(path: Path, content: str) -> str:
    """A page that is found by links and not by the search."""
    name = path.relative_to(ROOT).as_posix()
    return f"---\nsearch:\n  exclude: true\n---\n# {name}\n\n{content}\n"


def _file_page(path: Path) -> str:
    """The text of a file."""
    text = path.read_text(encoding="utf-8")
    fence = "`" * max(4, 1 + max(map(len, re.findall("`+", text)), default=0))
    return _page(path, f"{fence}{LANGUAGES.get(path.suffix, 'text')}\n{text}{fence}")


def _folder_page(path: Path) -> str:
    """The names in a folder of the repository, each a link to a page of its own if it is text."""
    names = sorted(each.name for each in path.iterdir() if not each.name.startswith(("_", ".")))
    return _page(path, "\n".join(f"- `{name}`" for name in names))
