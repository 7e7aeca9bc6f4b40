"""What `gti-bench tune` prints: best points, every trial, the shared rate, and how sure it is."""

import textwrap
from collections.abc import Sequence

from benchmarks.cell.identity import AXES
from benchmarks.tune.method_tables import toml_number
from benchmarks.tune.rule import SFT_RATE, SharedRate, Tuned, shared_rate, tuning_of
from leaderboard.records.setting import Setting
from leaderboard.render.numbers import NOTHING, score, signed
from leaderboard.render.table import Column, Table
from leaderboard.render.writers import terminal

AXIS_NAMES = {
    "sft_learning_rate": "SFT rate",
    "grounding_learning_rate": "grounding rate",
    "auxiliary_loss_weight": "auxiliary weight",
}
DIVERGED = "×"


def report_lines(setting: Setting, tuned: Sequence[Tuned]) -> list[str]:
    """The rule in short, the best point of each method, every trial, and how sure it is."""
    tuning = tuning_of(setting)
    if not tuned:
        return ["no method has all of its trials yet"]
    shared = shared_rate(tuned)
    users = next((t.num_users for each in tuned for t in each.trials.values() if t.num_users), 0)
    lines = [
        f"\n{setting.name} · validation ndcg@10 · {users:,} users · seed {tuning.seed} ·"
        f" {tuning.trials} trials for each method, whatever it has to tune",
        "Full budget, last step; test data is not scored. All methods try the same SFT rates.",
        "",
        terminal(_best_table(tuned, shared), "  "),
        "",
        "Every trial, by its SFT rate (the other axes differ from trial to trial):",
        "",
        terminal(_trials_table(tuned), "  "),
        "",
    ]
    if shared is None:
        closing = ["No shared rate: at each SFT rate a method diverged."]
    else:
        closing = [
            f"One shared SFT rate for {', '.join(each.key for each in tuned)}:"
            f" {toml_number(shared.rate)} (mean score {score(shared.score)})."
        ]
    closing.append(
        "`lead` is that of the best point over the second best; s.e. over users, paired."
    )
    return lines + [textwrap.fill(line, 110) for line in closing + _cautions(tuned)]


def _best_table(tuned: Sequence[Tuned], shared: SharedRate | None) -> Table:
    """A line per method: its best point, its lead, and its score at the shared rate."""
    axes = [axis for axis in AXES if any(value_of(each, axis) is not None for each in tuned)]
    columns = [Column("method", "method", "words"), Column("trials", "trials")]
    columns += [Column(axis, AXIS_NAMES[axis]) for axis in axes]
    columns += [Column("best", "its ndcg@10"), Column("lead", "lead ± s.e.")]
    columns.append(Column("shared", "at the shared rate"))
    lines = []
    for each in tuned:
        lead = signed(each.lead)
        if each.lead_error is not None:
            lead += f" ± {score(each.lead_error)}"
        count = f"{len(each.trials)}" + (f" ({each.diverged} diverged)" if each.diverged else "")
        values = [value_of(each, axis) for axis in axes]
        lines.append(
            [
                each.key,
                count,
                *(NOTHING if value is None else toml_number(value) for value in values),
                score(each.best.score if each.best else None),
                lead,
                score(each.trials[shared.number].score) if shared else NOTHING,
            ]
        )
    return Table.of_texts(columns, lines)


def value_of(tuned: Tuned, axis: str) -> float | None:
    """What the best point of a method has on `axis`."""
    if tuned.best is None:
        return None
    value: float | None = getattr(tuned.best.method.parameters, axis)
    return value


def _trials_table(tuned: Sequence[Tuned]) -> Table:
    """A line per method, a column per SFT rate, lowest first."""
    rates = {
        number: trial.method.parameters.sft_learning_rate or 0.0
        for number, trial in tuned[0].trials.items()
    }
    order = sorted(rates, key=lambda number: (rates[number], number))
    columns = [Column("method", "method", "words")]
    columns += [Column(str(number), toml_number(rates[number])) for number in order]
    lines = []
    for each in tuned:
        scores = [each.trials[number].score for number in order]
        lines.append([each.key, *(DIVERGED if s is None else score(s) for s in scores)])
    return Table.of_texts(columns, lines)


def _cautions(tuned: Sequence[Tuned]) -> list[str]:
    """What a reader should not read into the best points."""
    lines = []
    diverged = [each.key for each in tuned if each.diverged]
    if diverged:
        lines.append(
            f"{DIVERGED} training diverged: a trial without a score ({', '.join(diverged)})."
        )
    unsure = [
        each.key
        for each in tuned
        if each.lead is not None and each.lead_error is not None and each.lead < 2 * each.lead_error
    ]
    if unsure:
        lines.append(
            "The best point leads the second by less than two standard errors over users"
            f" ({', '.join(unsure)}): which of them is best is noise, and other seeds add to it."
        )
    edges = [each.key for each in tuned if len(each.trials) > 2 and _at_edge(each)]
    if edges:
        lines.append(
            f"Best at the lowest or highest SFT rate tried ({', '.join(edges)}): wider bounds may"
            " do better."
        )
    return lines


def _at_edge(tuned: Tuned) -> bool:
    """Whether the best point has the lowest or the highest SFT rate of all trials."""
    rates = [getattr(trial.method.parameters, SFT_RATE) for trial in tuned.trials.values()]
    return tuned.best is not None and value_of(tuned, SFT_RATE) in (min(rates), max(rates))
