"""What `gti-bench tune` prints: the trials of both stages, the rates found, how sure they are."""

import textwrap
from collections.abc import Sequence

from benchmarks.tune.method_tables import toml_number
from benchmarks.tune.rule import Lead, SftRates, Tried, mean_of_all, tuning_of
from leaderboard.board.treatment import LEAST_FOUND
from leaderboard.records.setting import Setting
from leaderboard.render.numbers import NOTHING, score, signed
from leaderboard.render.table import Column, Table
from leaderboard.render.writers import terminal

DIVERGED = "×"
WIDTH = 110


def grounding_lines(setting: Setting, tried: Tried) -> list[str]:
    """Stage one: each rate at each seed, and the one that was found."""
    seeds = tried.seeds
    columns = [Column("rate", "grounding rate"), *(Column(f"{s}", f"seed {s}") for s in seeds)]
    columns.append(Column("mean", "mean"))
    lines = [
        [
            toml_number(rate),
            *(_score(tried.trials[number, seed].score) for seed in seeds),
            _score(tried.mean(number)),
        ]
        for number, rate in zip(tried.numbers, tried.rates, strict=True)
    ]
    head = (
        f"{setting.name} · the grounding rate, by {tried.key} without SFT: NLL per answer token of"
        " pairs that are held out of grounding, mean over both directions; lower is better"
    )
    told = ["", textwrap.fill(head, WIDTH), "", terminal(Table.of_texts(columns, lines), "  "), ""]
    if tried.best is None:
        return [*told, "No grounding rate: at each a trial diverged."]
    rate = toml_number(tried.rates[tried.best - 1])
    return [
        *told,
        f"Grounding rate for all methods: {rate}.",
        *_out(tried),
        *_edge(tried.best, tried.rates, "grounding"),
    ]


def _out(tried: Tried) -> list[str]:
    """A line on the rates that were out because they do not ground, if any."""
    out = [toml_number(tried.rates[n - 1]) for n in tried.numbers if n not in tried.able]
    if not out:
        return []
    told = (
        f"Out, whatever its NLL: {', '.join(out)}. Cold items are found by words of their titles at"
        f" less than {LEAST_FOUND:g} times chance there."
    )
    return [textwrap.fill(told, WIDTH)]


def sft_lines(setting: Setting, tried: Sequence[Tried], found: SftRates) -> list[str]:
    """Stage two: each method at each rate, the shared rate, and what own rates are worth."""
    if not tried:
        return ["no method has all of its trials yet"]
    seeds, rates = tuning_of(setting).seeds, tried[0].rates
    at = f"seed {seeds[0]}" if len(seeds) == 1 else f"mean of seeds {seeds[0]} and {seeds[1]}"
    users = next((t.num_users for each in tried for t in each.trials.values() if t.num_users), 0)
    lines = [
        f"\n{setting.name} · the SFT rate: validation trie_nll over {_judged_by(setting, users)}"
        f" at the last step, {at}; lower is better",
        "Full budget; test data is not scored. All methods try the same rates.",
        "",
        terminal(_rates_table(tried), "  "),
        "",
    ]
    if found.shared is None:
        return [*lines, "No shared rate: at each SFT rate a trial diverged.", *_diverged(tried)]
    lines += [terminal(_leads_table(setting, tried, found), "  "), ""]
    rate = rates[found.shared - 1]
    closing = [
        f"One shared SFT rate for {', '.join(each.key for each in tried)}: {toml_number(rate)}"
        f" (mean trie_nll {score(mean_of_all(tried, found.shared))}).",
        "`lead` is that of the method's best rate over the shared one; s.e. over users, paired. An"
        " own rate takes two standard errors at both seeds"
        + (", and here all methods have one rate." if setting.sft.rates == "shared" else "."),
        *_edge(found.shared, rates, "shared SFT"),
        *_diverged(tried),
    ]
    return lines + [textwrap.fill(line, WIDTH) for line in closing]


def _judged_by(setting: Setting, users: int) -> str:
    """Whose loss decides: of all, or of those that ask for items that are trained on."""
    if setting.queries is None or setting.queries.warm_cold_new is None:
        return f"all {users:,} {setting.asks}"
    return f"those of {users:,} queries that ask for items which are trained on"


def _score(value: float | None) -> str:
    return DIVERGED if value is None else score(value)


def _rates_table(tried: Sequence[Tried]) -> Table:
    """A line per method and one of their mean, a column per rate, lowest first."""
    numbers = tried[0].numbers
    columns = [Column("method", "method", "words")]
    columns += [Column(str(n), toml_number(tried[0].rates[n - 1])) for n in numbers]
    lines = [[each.key, *(_score(each.mean(n)) for n in numbers)] for each in tried]
    lines.append(["mean of all", *(_score(mean_of_all(tried, n)) for n in numbers)])
    return Table.of_texts(columns, lines)


def _leads_table(setting: Setting, tried: Sequence[Tried], found: SftRates) -> Table:
    """A line per method: its best rate, by how much it leads the shared one, and what it gets."""
    seeds = tried[0].seeds
    columns = [Column("method", "method", "words"), Column("best", "its best rate")]
    columns += [Column(f"lead-{seed}", f"lead ± s.e. at {seed}") for seed in seeds]
    columns.append(Column("gets", "gets", "words"))
    lines = []
    for own in found.own:
        kept = own.clear and setting.sft.rates == "own"
        leads = [_lead(own.leads.get(seed)) for seed in seeds]
        lines.append([own.key, toml_number(own.rate), *leads, "own" if kept else "shared"])
    return Table.of_texts(columns, lines)


def _lead(lead: Lead | None) -> str:
    if lead is None:
        return NOTHING
    return signed(lead.mean) + ("" if lead.error is None else f" ± {score(lead.error)}")


def _edge(number: int, rates: Sequence[float], what: str) -> list[str]:
    """That the rate found is the lowest or highest that was tried."""
    if number not in (1, len(rates)):
        return []
    end = "lowest" if number == 1 else "highest"
    return [f"The {what} rate is the {end} that was tried: one beyond it may do better."]


def _diverged(tried: Sequence[Tried]) -> list[str]:
    """Whose trials have no score."""
    keys = [each.key for each in tried if each.diverged]
    return (
        [f"{DIVERGED} training diverged, at a seed at least ({', '.join(keys)})."] if keys else []
    )
