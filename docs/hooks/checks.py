"""Checks of the built site: every public name is described in it, and it needs no network.

Public is what `gti.__all__` names, what a method in `baselines/` imports, and what a Python example
of README, CONTRIBUTING or these pages imports of the four packages. A name without docstring is not
rendered, so that one check finds both: names without words, and names without a place. A class or
module that stands in the reference has all its public members there.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from griffe import GriffeLoader, Module, Object
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocstrings import Inventory

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gti", "baselines", "benchmarks", "leaderboard")
PYTHON = re.compile(r"^ *```python[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
RENDERED = re.compile(r"^::: (\S+)$", re.MULTILINE)
FETCHED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^\s>]*"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|icon|preconnect|preload))"
    r"[^>]*\bhref=[\"']?(?:https?:)?//[^\s>]*"
    r"|@import[^;]*//[^;]*|url\([\"']?(?:https?:)?//[^)]*\)"
)
"""What a browser would fetch of another machine to show a page."""


def on_post_build(config: MkDocsConfig) -> None:
    """Fails the build with a line for each name and each page that is not as it should be."""
    built = Path(config.site_dir)
    with (built / "objects.inv").open("rb") as file:
        shown = set(Inventory.parse_sphinx(file, domain_filter=("py",)))
    found = [*_not_described(shown), *_fetched(built)]
    if found:
        raise PluginError("docs:\n  " + "\n  ".join(found))


def _not_described(shown: set[str]) -> Iterator[str]:
    """A line for each public name that is not in the reference."""
    loader = GriffeLoader(search_paths=[ROOT])
    packages = {name: loader.load(name) for name in PACKAGES}
    loader.resolve_aliases(implicit=True)
    wanted = {**_faces(packages), **_imported_by_methods(), **_imported_by_examples()}
    for name in sorted(shown | _asked_for()):
        package, _, rest = name.partition(".")
        thing = packages[package][rest] if rest else packages[package]
        for member in _members(thing):
            wanted.setdefault(f"{name}.{member.name}", f"{name} is in the reference")
    for name, why in sorted(wanted.items()):
        if name not in shown:
            yield _told(packages, name, why)


def _asked_for() -> set[str]:
    """Modules and names that the pages of the reference ask to be rendered."""
    pages = (ROOT / "docs" / "reference").glob("*.md")
    return {name for page in pages for name in RENDERED.findall(page.read_text(encoding="utf-8"))}


def _told(packages: dict[str, Object], name: str, why: str) -> str:
    package, _, rest = name.partition(".")
    try:
        thing = packages[package][rest]
    except KeyError:
        return f"{name}: there is no such name ({why})"
    missing = "a place in docs/reference" if thing.docstring else "a docstring"
    return f"{name}: needs {missing} ({why})"


def _members(thing: Object) -> Iterator[Object]:
    """What a reader of a class or module should find described."""
    if thing.is_class or (thing.is_module and not thing.exports):
        for member in thing.members.values():
            if member.is_alias or member.is_special or not member.is_public:
                continue
            if member.is_function or member.is_class:
                yield member


def _faces(packages: dict[str, Object]) -> dict[str, str]:
    """Name → why, of what packages export."""
    return {
        f"{package}.{name}": f"`{package}.__all__` names it"
        for package, module in packages.items()
        if isinstance(module, Module)
        for name in map(str, module.exports or ())
    }


def _imported(code: str) -> Iterator[str]:
    """Full names that `code` imports from the four packages."""
    for node in ast.walk(ast.parse(code)):
        module = (node.module if isinstance(node, ast.ImportFrom) else None) or ""
        if module.partition(".")[0] in PACKAGES:
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _imported_by_methods() -> dict[str, str]:
    """Name → why, of what the files of methods import; other methods aside."""
    return {
        name: f"{file.relative_to(ROOT)} imports it"
        for file in sorted((ROOT / "baselines").glob("*.py"))
        if file.name != "registry.py"
        for name in _imported(file.read_text(encoding="utf-8"))
        if not name.startswith("baselines.")
    }


def _imported_by_examples() -> dict[str, str]:
    """Name → why, of what the examples of the documentation import."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {
        name: f"an example in {page.relative_to(ROOT)} imports it"
        for page in pages
        for code in PYTHON.findall(page.read_text(encoding="utf-8"))
        for name in _imported(_flush_left(code))
    }


def _flush_left(code: str) -> str:
    """`code` without the indent of a list that it stands in."""
    lines = code.splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[indent:] for line in lines)


def _fetched(built: Path) -> Iterator[str]:
    """A line for each thing that a page would fetch."""
    for page in sorted([*built.rglob("*.html"), *built.rglob("*.css")]):
        for found in FETCHED.findall(page.read_text(encoding="utf-8")):
            yield f"{page.relative_to(built)} would fetch {found}"
