"""What `gti-bench plan` does: cells, their states, and what the missing ones will cost here.

It makes no Semantic IDs, loads no weights, fetches no data and runs nothing. What is not on this
machine is estimated from the cards, and the lines say so.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.datasets import CARDS
from benchmarks.estimate.flops import cell_flops
from benchmarks.estimate.pool import parse_pool, pool_lines
from benchmarks.estimate.time import (
    UTILISATION,
    encoding_flops,
    estimate,
    matrix_rate,
    quantising_seconds,
    seconds_of,
)
from benchmarks.estimate.workload import Workload, workload_of, workload_of_card
from benchmarks.inputs.backbone_sizes import BackboneSize, backbone_size, encoder_size
from benchmarks.inputs.catalogue import find_setting
from benchmarks.inputs.feasible import check_feasible, check_fits
from benchmarks.inputs.inputs import ReadData, read_if_here
from benchmarks.inputs.semantic_ids import draws_of, semantic_ids_here
from benchmarks.machine.places import COMMITTED_RESULTS
from benchmarks.machine.utilisation import device_flops
from benchmarks.run.options import RunOptions
from benchmarks.run.plan import PlannedCell, past_seconds
from benchmarks.run.run import check_for_cells, planned_cells
from benchmarks.run.same_inputs import (
    OtherInputsError,
    check_neighbours,
    has_unpinned,
    known_hashes,
    version_note,
    with_inputs_compared,
)
from leaderboard.records.setting import Setting
from leaderboard.render.numbers import duration

GIB = 1 << 30
STATES = {
    "done": "done",
    "missing": "to run",
    "other": "another hash lies there (--replace)",
    "damaged": "damaged: unreadable, changed or without a sidecar (--replace)",
}


def plan_lines(
    setting: str, methods: str, seeds: str | None, options: RunOptions, on: str | None = None
) -> list[str]:
    """The cells with their states, and what the missing ones will cost here.

    Args:
        setting: name or file.
        methods: keys and groups, comma-separated.
        seeds: as for `parse_seeds`.
        options: as for `run`; offline asks no hub even for the config of a model that is not here.
        on: devices that are not here, as `benchmarks.estimate.pool` reads them; null: this machine.
    """
    pool = None if on is None else parse_pool(on)
    file, results = find_setting(setting), options.results
    check_feasible(file.setting)
    cells = planned_cells(file, methods, seeds, options)
    options = options.resolved()
    kind, side_by_side, offline = options.device, options.num_workers, options.offline
    data, absent = read_if_here(file.setting, offline=True)
    notes: list[str] = []
    if data is not None:
        check_fits(file.setting, data.dataset)
    if data is not None and has_unpinned(file.setting, [cell.seed for cell in cells]):
        cells, notes = _compared(file.setting, cells, data, results)
    lines = [f"{file.setting.name}: {len(cells)} cells"]
    lines += [f"  {cell.label:<24} {_state(cell)}" for cell in cells]
    todo = [cell for cell in cells if cell.state != "done"]
    if data is not None:
        check_for_cells(file.setting, data, todo)
    lines += [f"note      {note}" for note in notes]
    own = [cell.seed for cell in cells]
    work, more = _workload(file.setting, own, data, absent, kind, offline=offline)
    size = _backbone(file.setting, offline=offline)
    lines += [*more, _backbone_line(file.setting, size)]
    if work is None or size is None:
        what = "the data" if work is None else "the backbone's config"
        return [*lines, f"cost      not known without {what}"]
    if pool is not None:
        import torch

        from gti.model.devices import computed_dtype

        found = past_seconds(file.setting, [results, COMMITTED_RESULTS], "cpu")
        dtype, _ = computed_dtype(torch.device("cpu"), file.setting.backbone.dtype)
        asked = (file.setting, todo, work, size, pool)
        return [*lines, *pool_lines(*asked, core_dtype=dtype, core_seconds=found)]
    spends = [cell.card.spends for cell in todo or cells]
    each = estimate(file.setting, work, kind, [results, COMMITTED_RESULTS], size, spends)
    rounds = -(-len(todo) // side_by_side)
    if each.note is not None:
        lines.append(f"note      {each.note}")
    return [
        *lines,
        f"a cell    about {duration(each.seconds)} ({each.basis})",
        f"all       about {duration(each.seconds * rounds)} with {side_by_side} workers on {kind}",
        f"memory    about {each.memory_bytes * side_by_side / GIB:.1f} GiB in all: weights,"
        " gradients and moments of what trains, activations or caches",
        f"disk      about {each.disk_bytes * len(todo) / 1e6:.0f} MB of records",
    ]


def cell_seconds(setting: Setting, data: ReadData, device: str) -> float | None:
    """Seconds that a cell which grounds will take; null where the rate or the size is unknown.

    Args:
        setting: what will run.
        data: what it reads.
        device: "cpu" or "cuda"; a GPU, which the workers have, is not measured but looked up.
    """
    import torch

    from gti.model.devices import computed_dtype

    kind, size = torch.device(device), _backbone(setting, offline=True)
    if device == "cuda" and not torch.cuda.is_available():
        return None  # the GPUs are those of a cluster's nodes
    dtype, _ = computed_dtype(kind, setting.backbone.dtype)
    rate = matrix_rate(device, dtype) if device == "cpu" else device_flops(kind, dtype)
    if size is None or rate is None:
        return None
    flops = cell_flops(setting, workload_of(setting, data, None), size, {"before": 1.0})
    return seconds_of(flops, device, dtype, rate)


def _state(cell: PlannedCell) -> str:
    if cell.state == "inputs":
        return f"{cell.why} (--replace, or --results elsewhere)"
    return STATES[cell.state]


def _compared(
    setting: Setting, cells: list[PlannedCell], data: ReadData, results: Path
) -> tuple[list[PlannedCell], list[str]]:
    """Cells with the inputs of finished ones compared, and what is to be said of the data."""
    here = known_hashes(setting, data)
    version = version_note(setting, data.dataset)
    notes = [] if version is None else [version]
    try:
        check_neighbours(setting, cells, here, results)
    except OtherInputsError as problem:
        notes.append(f"`run` will refuse: {problem}")
    return with_inputs_compared(cells, here), notes


def _workload(
    setting: Setting,
    seeds: Sequence[int],
    data: ReadData | None,
    absent: str,
    device: str,
    *,
    offline: bool,
) -> tuple[Workload | None, list[str]]:
    """How much there is to read, and lines on the data and the Semantic IDs of `seeds`."""
    lines = []
    dataset = None if data is None else data.dataset
    draws = {
        draw: semantic_ids_here(setting, dataset, own[0])
        for draw, own in draws_of(setting, seeds).items()
    }
    sids = next((found[0] for found in draws.values() if found is not None), None)
    if data is not None:
        work: Workload | None = workload_of(setting, data, sids)
    else:
        work = workload_of_card(setting, sids)
        lines = [f"data      not here, {_card_words(setting)}; {absent}"]
    for draw, found in draws.items():
        of_draw = f" of seed {draw}" if setting.semantic_ids.seed == "cell" else ""
        if found is not None:
            words = f"{found[1]}, {found[0].sha256[:16]}…"
        elif setting.semantic_ids.quantiser == "published":
            words = "published with the data, which are not here"
        elif work is not None:
            words = _to_be_made(setting, work, device, offline)
        else:
            continue
        lines.append(f"SIDs      Semantic IDs{of_draw}: {words}")
    return work, lines


def _card_words(setting: Setting) -> str:
    """What stands in for data that are not here."""
    card = CARDS.get(setting.dataset.name)
    if card is None or card.expected is None:
        return "and their sizes are not known"
    known = card.expected
    about = "about " if known.rounded else ""
    return (
        f"an estimate from the dataset's card: {about}{known.users:,} users,"
        f" {about}{known.items:,} items, {about}{known.interactions:,} interactions before any"
        f" filter ({known.source})"
    )


def _to_be_made(setting: Setting, work: Workload, device: str, offline: bool) -> str:
    """How long the Semantic IDs will take, which are made once for all cells."""
    import torch

    spec = setting.semantic_ids
    encoder = encoder_size(spec.encoder, offline=offline)
    name = "RQ-VAE" if spec.rq_vae is not None else "residual k-means"
    if encoder is None:
        return f"to be made, once: the encoder's config is not here, so {name} has no estimate"
    rate = UTILISATION[device]["float32"] * matrix_rate(device, "float32", torch.get_num_threads())
    encoding = encoding_flops(setting, work, encoder.body) / rate
    quantising = quantising_seconds(setting, work, encoder.width, rate)
    return (
        f"to be made, once, by `prepare` or `run`: encoding about {duration(encoding)}, {name}"
        f" about {duration(quantising)}"
    )


def _backbone(setting: Setting, *, offline: bool) -> BackboneSize | None:
    lora = setting.backbone.lora
    return backbone_size(
        setting.backbone.name,
        rank=lora.rank if lora else 0,
        targets=lora.targets if lora else (),
        offline=offline,
    )


def _backbone_line(setting: Setting, size: BackboneSize | None) -> str:
    if size is None:
        return (
            f"backbone  {setting.backbone.name}: its config.json is not here and cannot be had;"
            f" gti-bench prepare {setting.name} fetches it with the weights"
        )
    trains = "all train"
    if size.adapters:
        trains = f"{size.matrices + size.adapters:,} train (LoRA and the embedding matrix)"
    return f"backbone  {size.parameters:,} parameters by {size.basis}, {trains}"
