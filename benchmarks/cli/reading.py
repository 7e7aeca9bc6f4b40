"""The commands that only read records: they need no torch."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from benchmarks.cli.types import RESULTS, AsJson, Results, SettingName, say


def table(
    setting: Annotated[str | None, Parameter(help="Only this setting's board.")] = None,
    *,
    metric: Annotated[str, Parameter(help="What to sort by and compare.")] = "ndcg@10",
    form: Annotated[
        Literal["terminal", "md", "brief", "csv", "json", "latex"],
        Parameter(name="--format", help="brief: Markdown with scores alone."),
    ] = "terminal",
    slice_name: Annotated[
        str | None,
        Parameter(name="--slice", help="Only these users, as popularity:tail or history:short."),
    ] = None,
    explain: Annotated[
        str | None, Parameter(help="METHOD or METHOD/seed-N: from its figures to its records.")
    ] = None,
    verify_too: Annotated[
        bool, Parameter(name="--verify", negative=(), help="Verify the records first, and say so.")
    ] = False,
    results: Results = RESULTS,
) -> int:
    """Print the boards made of your records, and beside them the committed ones."""
    from benchmarks.cli.reporting import table_lines

    lines, refused = table_lines(
        setting, metric, form, explain, results, slice_name, verify_too=verify_too
    )
    # First what is not shown: below the committed boards they would look like the answer.
    for line in refused:
        print(f"gti-bench: {line}", file=sys.stderr, flush=True)
    for line in lines:
        say(line)
    return 1 if refused else 0


def compare(
    a: Annotated[str, Parameter(help="A method or reference.")],
    b: Annotated[str, Parameter(help="Another.")],
    *,
    setting: SettingName,
    metric: Annotated[str, Parameter(help="What to compare them by.")] = "ndcg@10",
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Compare two methods seed by seed; exit code 0 no difference shown, 10 A better, 11 B."""
    from benchmarks.cli.reporting import compare_lines

    lines, code = compare_lines(a, b, setting, metric, results, as_json=as_json)
    for line in lines:
        say(line)
    return code


def claims(
    source: Annotated[str | None, Parameter(help="Only this source, as gti-vibrent.")] = None,
    *,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Set numbers reported elsewhere beside ours: direction, size, or why they cannot be."""
    from benchmarks.cli.reporting import claims_report

    for line in claims_report(source, results, as_json=as_json):
        say(line)
    return 0


def diagnose(
    setting: SettingName,
    *,
    results: Results = RESULTS,
    out: Annotated[
        Path | None, Parameter(help="Where the figures go. Default: figures/SETTING.")
    ] = None,
) -> int:
    """Print the diagnostics of all stages and draw the figures (SVG, PNG, PDF)."""
    from benchmarks.cli.reporting import diagnose_lines

    for line in diagnose_lines(setting, results, out):
        say(line)
    return 0


def site(
    *,
    results: Annotated[
        list[Path] | None,
        Parameter(
            negative=(),
            help="A results directory; several where given again. Default: results, or the"
            " committed records where it has none.",
        ),
    ] = None,
    out: Annotated[Path, Parameter(help="A directory that an earlier `site` made, or none.")] = (
        Path("site")
    ),
    verify_too: Annotated[
        bool, Parameter(name="--verify", negative=(), help="Verify the records first, and say so.")
    ] = False,
) -> int:
    """Write the leaderboard as pages that open from disk: boards, figures, records."""
    from benchmarks.cli.reporting import site_lines

    lines, refused = site_lines(results or [], out, verify_too=verify_too)
    for line in lines:
        say(line)
    for line in refused:
        print(f"gti-bench: {line}", file=sys.stderr)
    return 1 if refused else 0


def verify(
    path: Annotated[
        Path, Parameter(help="A results directory, a part of one, a record or trial.")
    ] = (RESULTS),
    *,
    as_json: AsJson = False,
) -> int:
    """Check records without their author: schema, digests, every derivable figure."""
    from benchmarks.cli.shipped import shipped
    from leaderboard.records.processes import cores
    from leaderboard.verify.findings import findings_json
    from leaderboard.verify.verify import verify as verify_records

    findings = verify_records(path, cores(), shipped())
    if as_json:
        say(findings_json(findings))
    else:
        for finding in findings:
            say(str(finding))
        errors = sum(finding.level == "error" for finding in findings)
        say(f"{path}: {_checked(path)} checked, {errors} errors, {len(findings) - errors} warnings")
    return 1 if any(finding.level == "error" for finding in findings) else 0


def _checked(path: Path) -> str:
    """How many records lie at or under `path`, and how many trials if there are any."""
    counts = {
        what: len(list(path.rglob(f"{stem}-*.json"))) if path.is_dir() else path.match(f"{stem}-*")
        for what, stem in (("record", "seed"), ("trial", "trial"))
    }
    counts = {what: int(count) for what, count in counts.items() if count or what == "record"}
    if counts.get("trial") and not counts["record"]:
        del counts["record"]
    return " and ".join(f"{n} {what}{'' if n == 1 else 's'}" for what, n in counts.items())


def check_results(
    *,
    base: Annotated[
        str | None,
        Parameter(help="What it is to be merged into. Default: origin/main, or else main."),
    ] = None,
    results: Annotated[Path | None, Parameter(help="Default: leaderboard/results.")] = None,
    as_json: AsJson = False,
) -> int:
    """Check what this checkout does to the committed records: names, sizes, scores, verify."""
    import json
    from dataclasses import asdict

    from benchmarks.cli.shipped import shipped
    from benchmarks.machine.places import COMMITTED_RESULTS
    from leaderboard.records.processes import cores
    from leaderboard.verify.submission import check_submission, submission_lines

    found = check_submission(results or COMMITTED_RESULTS, base, shipped(), cores())
    if as_json:
        say(json.dumps(asdict(found), indent=2, ensure_ascii=False))
    else:
        for line in submission_lines(found):
            say(line)
    return 1 if found.errors else 0


def contrasts(
    setting: SettingName,
    *,
    metric: Annotated[
        str | None,
        Parameter(
            help="What to compare by. Default: the outcome the setting declares, or ndcg@10."
        ),
    ] = None,
    results: Results = RESULTS,
    form: Annotated[
        Literal["text", "md", "brief", "json"],
        Parameter(name="--format", help="brief: Markdown with what is declared alone."),
    ] = "text",
) -> int:
    """Is it the grounding, more compute, or only that rows differ? Methods in telling pairs."""
    from benchmarks.cli.reporting import contrasts_report

    for line in contrasts_report(setting, metric, results, form):
        say(line)
    return 0


def structure(
    setting: Annotated[
        str | None, Parameter(help="Only this setting; else all, and pooled.")
    ] = None,
    *,
    metric: Annotated[str, Parameter(help="What the rows' numbers are set against.")] = "ndcg@10",
    results: Results = RESULTS,
    out: Annotated[Path, Parameter(help="Where the figure goes.")] = Path("figures"),
    as_json: AsJson = False,
) -> int:
    """Test whether rows' rank, RSA and text affinity go with the scores, across methods."""
    from benchmarks.cli.reporting import structure_report

    for line in structure_report(setting, metric, results, out, as_json=as_json):
        say(line)
    return 0


def export(
    setting: Annotated[str | None, Parameter(help="Only this setting's records.")] = None,
    *,
    form: Annotated[
        Literal["every_eval_ever", "hf_eval_results"],
        Parameter(name="--format", help="Logs of Every Eval Ever, or .eval_results of the Hub."),
    ],
    results: Results = RESULTS,
    out: Annotated[Path, Parameter(help="An empty folder, or none.")] = Path("export"),
    organization: Annotated[
        str | None, Parameter(help="every_eval_ever: who provides the data.")
    ] = None,
    dataset: Annotated[
        str | None, Parameter(help="hf_eval_results: the benchmark's dataset on the Hub.")
    ] = None,
    metric: Annotated[str, Parameter(help="hf_eval_results: the value.")] = "ndcg@10",
) -> int:
    """Verify records and write them in the formats of Every Eval Ever or the Hugging Face Hub."""
    from benchmarks.cli.exporting import export_lines

    lines, refused = export_lines(
        form, setting, results, out, organization=organization, dataset=dataset, metric=metric
    )
    for line in lines:
        say(line)
    for line in refused:
        print(f"gti-bench: {line}", file=sys.stderr)
    return 1 if refused else 0


def summary(
    setting: Annotated[str | None, Parameter(help="Only this setting's board.")] = None,
    *,
    metric: Annotated[
        str | None,
        Parameter(help="What all boards speak by. Default: each its outcome, or ndcg@10."),
    ] = None,
    form: Annotated[Literal["terminal", "md", "csv", "json"], Parameter(name="--format")] = (
        "terminal"
    ),
    results: Results = RESULTS,
) -> int:
    """Count what each method won and lost over all boards, and where it ranks."""
    from benchmarks.cli.reporting import summary_lines

    lines, refused = summary_lines(setting, metric, form, results)
    for line in refused:
        print(f"gti-bench: {line}", file=sys.stderr, flush=True)
    for line in lines:
        say(line)
    return 1 if refused else 0
