"""The referee of pull requests that add records: what they add, change and take away, against git.

Compared are the files as they lie here, committed or not, and those of the merge base. Added or
changed records must pass `verify`; a score that stands on the board changes, or goes, only with a
line under "Numbers changed" in CHANGELOG.md that names its SETTING/METHOD.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from leaderboard.metrics.metrics import MAIN_METRIC
from leaderboard.records.bounded import MOST_JSON_BYTES, BoundsError, read_bounded
from leaderboard.records.record import Record, RecordError, read_record
from leaderboard.records.shipped import Shipped
from leaderboard.verify.findings import Finding, Report
from leaderboard.verify.verify import verify

MEBIBYTE = 2**20
MOST_ADDED = 64 * MEBIBYTE
"""Of all files that are added or changed: what goes into git stays in every clone."""

_METHOD = r"[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*"
_CELL = rf"{_METHOD}/seed-\d+"
_TRIAL = rf"tuning/{_METHOD}/trial-(grounding|sft)-\d+-\d+"
EXPECTED = {
    re.compile(rf"{_CELL}\.json"): 2 * MEBIBYTE,
    re.compile(rf"{_CELL}\.ranks\.parquet"): 8 * MEBIBYTE,
    re.compile(rf"{_CELL}\.diagnostics\.npz"): 8 * MEBIBYTE,
    re.compile(rf"{_CELL}\.reproductions\.jsonl"): MEBIBYTE,
    re.compile(r"inputs/[0-9a-f]{64}\.npz"): 16 * MEBIBYTE,
    re.compile(rf"{_TRIAL}\.json"): MEBIBYTE,
    re.compile(rf"{_TRIAL}\.ranks\.parquet"): 8 * MEBIBYTE,
}
"""What may lie in a results directory, by its path there → the most bytes it may have."""

RECORD = next(iter(EXPECTED))
BASES = ("origin/main", "main")
CHANGELOG = "CHANGELOG.md"
HEADING = "Numbers changed"


class SubmissionError(RuntimeError):
    """Nothing can be compared; the message says what is missing and how to get it."""


@dataclass(frozen=True)
class Submission:
    """What a checkout does to the records of a results directory.

    Args:
        base: the merge base's commit.
        added: record files, by their path in the results directory.
        changed: those there were, with other content.
        removed: those there were.
        bytes_added: of all files added or changed, records or not.
        findings: what is wrong.
    """

    base: str
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    bytes_added: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """Findings that refuse it."""
        return sum(finding.level == "error" for finding in self.findings)


@dataclass
class _Tree:
    """A results directory in a git checkout, beside its content at the merge base."""

    root: Path
    results: Path
    base: str
    findings: list[Finding] = field(default_factory=list)

    def report(self, path: str) -> Report:
        """Collects what is wrong with `path`, relative to the results directory."""
        return Report(str(self.results / path), self.findings)

    def git_path(self, path: str) -> str:
        """`path` of the results directory as git has it."""
        return (PurePosixPath(self.results.relative_to(self.root).as_posix()) / path).as_posix()

    def names(self, command: str, *options: str) -> set[str]:
        """Paths in the results directory that git lists."""
        prefix = self.git_path("") + "/"
        listed = os.fsdecode(_git(self.root, command, "-z", *options, "--", prefix)).split("\0")
        return {name.removeprefix(prefix) for name in listed if name.startswith(prefix)}

    def before(self, path: str) -> bytes:
        """The content of `path` at the merge base."""
        return _git(self.root, "show", f"{self.base}:{self.git_path(path)}")

    def now(self, path: str) -> bytes:
        """The content of `path` here; nothing where it cannot be read, which `verify` tells of."""
        try:
            return read_bounded(self.results / path, MOST_JSON_BYTES)
        except (OSError, BoundsError):
            return b""


def _git(root: Path, *arguments: str) -> bytes:
    """What git prints.

    Raises:
        SubmissionError: git is not there, or refuses.
    """
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=True)
    except FileNotFoundError as error:
        raise SubmissionError("git is not installed; records are compared with its help") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        detail = said[0] if said else f"exit code {error.returncode}"
        raise SubmissionError(f"git {arguments[0]} in {root}: {detail}") from error
    return done.stdout


def _merge_base(root: Path, base: str | None) -> str:
    """The commit that HEAD and `base` share; of `BASES` the first that is there."""
    for name in BASES if base is None else (base,):
        try:
            _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        except SubmissionError:
            continue
        try:
            return _git(root, "merge-base", name, "HEAD").decode().strip()
        except SubmissionError as error:
            raise SubmissionError(
                f"{root}: HEAD and {name} share no commit here; a shallow clone needs"
                " `git fetch --unshallow`"
            ) from error
    tried = " or ".join(BASES) if base is None else base
    raise SubmissionError(f"{root}: no branch or commit {tried}; name one with --base")


def check_submission(
    results: Path,
    base: str | None = None,
    shipped: Shipped | None = None,
    processes: int = 1,
) -> Submission:
    """Checks what this checkout does to the records under `results`.

    Args:
        results: a results directory in a git checkout.
        base: the branch or commit it is to be merged into; None: the first of `BASES`.
        shipped: the settings and methods that come with the code; None: unknown.
        processes: of `verify`.

    Raises:
        SubmissionError: no git, no checkout, no such base.
    """
    results = results.resolve()
    if not results.is_dir():
        raise SubmissionError(f"{results}: no such directory; --results names the one with records")
    root = Path(_git(results, "rev-parse", "--show-toplevel").decode().strip()).resolve()
    tree = _Tree(root, results, _merge_base(root, base))
    tracked = tree.names("diff", "--name-only", "--no-renames", tree.base)
    touched = tracked | tree.names("ls-files", "--others", "--exclude-standard")
    before = tree.names("ls-tree", "-r", "--name-only", tree.base)
    here = {path for path in touched if (results / path).is_file()}
    _check_names(tree)
    size = _check_sizes(tree, here)
    records = {path for path in touched if RECORD.fullmatch(path)}
    added, changed = sorted(records & here - before), sorted(records & here & before)
    removed = sorted(records & before - here)
    announced = _announced(root, tree.base)
    for path in (*changed, *removed):
        _check_number(tree, path, announced, gone=path in removed)
    _check_sidecars_kept(tree, touched & before, {*changed, *removed})
    for path in (*added, *changed):
        _check_origin(tree, path, shipped)
    tree.findings += _verified(results, touched, shipped, processes)
    return Submission(
        tree.base,
        tuple(added),
        tuple(changed),
        tuple(removed),
        size,
        tuple(dict.fromkeys(tree.findings)),
    )


def _check_names(tree: _Tree) -> None:
    """Nothing lies in the tree but records, their sidecars and inputs, and trials."""
    for path in sorted(tree.names("ls-files", "--cached", "--others", "--exclude-standard")):
        found = tree.results / path
        if not any(pattern.fullmatch(path) for pattern in EXPECTED) and found.exists():
            wanted = (
                "SETTING/METHOD/seed-N.json and its sidecars, inputs/SHA256.npz, or"
                " tuning/SETTING/METHOD/trial-STAGE-N-SEED.json and its ranks; remove it"
            )
            tree.report(path).error("", "a file of another name", wanted)
        elif found.is_symlink():
            tree.report(path).error("", "a link", "the file itself")


def _check_sizes(tree: _Tree, here: set[str]) -> int:
    """No file is larger than its kind may be, nor all together; returns their bytes."""
    sizes = {path: (tree.results / path).stat().st_size for path in sorted(here)}
    for path, size in sizes.items():
        for pattern, most in EXPECTED.items():
            if pattern.fullmatch(path) and size > most:
                wanted = f"at most {most / MEBIBYTE:.0f} MiB"
                tree.report(path).error("(size)", f"{size / MEBIBYTE:.1f} MiB", wanted)
    total = sum(sizes.values())
    if total > MOST_ADDED:
        wanted = f"at most {MOST_ADDED / MEBIBYTE:.0f} MiB in one pull request; divide it"
        tree.report("").error("(size of all that is added)", f"{total / MEBIBYTE:.1f} MiB", wanted)
    return total


def _announced(root: Path, base: str) -> list[str]:
    """Lines under `HEADING` in the changelog that the merge base's has not."""
    try:
        old = _git(root, "show", f"{base}:{CHANGELOG}").decode(errors="replace")
    except SubmissionError:
        old = ""  # the merge base has no changelog
    path = root / CHANGELOG
    new = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    known = set(_under_heading(old))
    return [line for line in _under_heading(new) if line not in known]


def _under_heading(text: str) -> Iterator[str]:
    """The lines of all sections `HEADING`."""
    inside = False
    for line in text.splitlines():
        if line.startswith("#"):
            inside = line.lstrip("#").strip() == HEADING
        elif inside and line.strip():
            yield line.strip()


def _check_number(tree: _Tree, path: str, announced: list[str], *, gone: bool) -> None:
    """A score on the board stays as it is, or the changelog says so."""
    cell = path.rpartition("/")[0]
    setting = cell.partition("/")[0]
    named = re.compile(
        rf"(?<![\w./-]){re.escape(setting)}/({re.escape(cell.split('/')[1])}|\*)(?![\w-])"
    )
    told = any(named.search(line) for line in announced)
    wanted = f'the record as it was, or a new line under "{HEADING}" in {CHANGELOG} with {cell}'
    report = tree.report(path)
    old = _numbers(tree.before(path))
    if gone:
        if not told:
            report.error("", "removed", wanted)
        return
    content = tree.now(path)
    if _values(content) == _values(tree.before(path)):
        return  # the same record in another layout
    new = _numbers(content)
    for name, value in old.items():
        if value != new.get(name) and not told:
            report.error(name, new.get(name), f"{value}: {wanted}")
    if all(value == new.get(name) for name, value in old.items()):
        report.warn("", "changed, with the same scores", "a reason in the pull request")


def _values(content: bytes) -> Any:
    """What a record's JSON says, however it is laid out; its bytes where it is no JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content


def _numbers(content: bytes) -> dict[str, Any]:
    """What of a record's content must not change unannounced; empty where it is unreadable."""
    try:
        found = json.loads(content)
        return {
            f"metrics.test.{MAIN_METRIC}": found["metrics"]["test"].get(MAIN_METRIC),
            "files.ranks": found["files"]["ranks"],
        }
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}


def _check_sidecars_kept(tree: _Tree, touched: set[str], records: set[str]) -> None:
    """Reproductions are added to, not taken away; where the record changed, they go with it."""
    for path in sorted(path for path in touched if path.endswith(".reproductions.jsonl")):
        if path.replace(".reproductions.jsonl", ".json") in records:
            continue
        kept = set(tree.now(path).split(b"\n"))
        lost = [line for line in tree.before(path).split(b"\n") if line and line not in kept]
        if lost:
            wanted = "all that were there, whatever they found"
            tree.report(path).error("", f"{len(lost)} reproductions fewer", wanted)


def _check_origin(tree: _Tree, path: str, shipped: Shipped | None) -> None:
    """A record is of committed code that anyone can run, setting and method as they are shipped."""
    try:
        record = read_record(tree.results / path)
    except (RecordError, UnicodeDecodeError):
        return  # `verify` says what is wrong with it
    if shipped is not None and _nobodys(record, shipped):
        wanted = "a method of this checkout, that others can run; add its file to baselines"
        tree.report(path).error("method.key", record.method.key, wanted)
    if shipped is not None:
        for each in shipped.differences(
            record.setting, record.method, record.seed, record.inputs.semantic_ids
        ):
            report = tree.report(path)
            tell = report.warn if each.weight == "warning" else report.error
            tell(each.field, each.found, f"{each.wanted}; run it again")
    if record.code.plain:
        wanted = "a run without --plain, which only checks the everyday forms"
        tree.report(path).error("code.plain", True, wanted)
    if record.code.dirty or record.code.commit is None:
        found = f"commit {record.code.commit}, with uncommitted changes"
        wanted = "a run from a clean clone, so that others can run the same code"
        tree.report(path).error("code", found if record.code.commit else "no commit", wanted)


def _nobodys(record: Record, shipped: Shipped) -> bool:
    """Whether a record of a shipped setting is of a method that does not come with the code."""
    own_setting = record.setting.name not in shipped.settings
    if own_setting or record.kind != "cell":
        return False
    return shipped.card(record.setting.name, record.method.key) is None


def _verified(
    results: Path, touched: set[str], shipped: Shipped | None, processes: int
) -> Iterator[Finding]:
    """What `verify` finds in the settings that `touched` paths belong to."""
    folders = {path.split("/")[0] for path in touched if path.count("/") == 2}
    if any(path.startswith("inputs/") for path in touched):  # which records name
        folders |= {path.parent.parent.name for path in results.glob("*/*/seed-*.json")}
    for name in sorted(folders):
        if any((results / name).glob("*/seed-*.json")):
            yield from verify(results / name, processes)
    if any(path.startswith("tuning/") for path in touched) and (results / "tuning").is_dir():
        yield from verify(results / "tuning", processes, shipped)


def submission_lines(found: Submission) -> list[str]:
    """`found` in words: a line for each finding, and what was compared."""
    counts = f"{len(found.added)} added, {len(found.changed)} changed, {len(found.removed)} removed"
    warnings = len(found.findings) - found.errors
    size = f"{found.bytes_added / MEBIBYTE:.1f} of at most {MOST_ADDED / MEBIBYTE:.0f} MiB"
    return [
        *(str(finding) for finding in found.findings),
        f"records against {found.base[:10]}: {counts} ({size}); {found.errors} errors,"
        f" {warnings} warnings",
    ]
