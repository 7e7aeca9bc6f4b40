"""Fits one model of RecBole and writes its scores. Runs in RecBole's environment, as a script.

    python -I driver.py FOLDER

FOLDER holds `job.json` (model, settings, seed, device, threads) and `split.npz` (arrays below).
Into it go RecBole's own input files, `scores-validation.npy` and `scores-test.npy` ([users, items]
float32, raw: nothing is removed), and at last `report.json`. Each epoch is told on standard output
as one line of JSON.

Arrays of `split.npz`, all int64: `train` (all users' training items, one after another),
`lengths` ([users] how many each has), `validation`, `test` ([users] items), `num_items` ([]).
"""

import json
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.utils import get_model, get_trainer, init_seed

PARTS = ("validation", "test")
NAME = "split"
USERS_PER_CALL = 256


class Job:
    """What is asked, and the split.

    Args:
        folder: where both lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        asked = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        self.model: str = asked["model"]
        self.settings: dict[str, Any] = asked["settings"]
        self.sequential: bool = asked["sequential"]
        self.seed: int = asked["seed"]
        self.device: str = asked["device"]
        with np.load(folder / "split.npz", allow_pickle=False) as arrays:
            self.train = np.split(arrays["train"], np.cumsum(arrays["lengths"])[:-1])
            self.held_out = {part: arrays[part] for part in PARTS}
            self.num_items = int(arrays["num_items"])

    def known(self, user: int, part: str) -> Any:
        """The items of `user` that are known when the target of `part` is predicted, in order."""
        if part == "validation":
            return self.train[user]
        return np.append(self.train[user], self.held_out["validation"][user])


def write_atomic_files(job: Job, fit_part: str) -> Path:
    """Writes RecBole's input for a fit on what is known at `fit_part`; returns its folder.

    A general recommender's row is (user, item), a sequential one's (user, items before, item). All
    items go into a file of their own, so that those nobody took are ranked too.
    """
    folder = job.folder / f"recbole-{fit_part}"
    (folder / NAME).mkdir(parents=True)
    fields = ["user_id:token", "item_id:token"]
    if job.sequential:
        fields.append("item_id_list:token_seq")
    most = int(job.settings.get("MAX_ITEM_LIST_LENGTH", 0))

    def row(user: int, before: Any, item: int) -> str:
        cells = [str(user), str(item)]
        if job.sequential:
            cells.append(" ".join(map(str, before[-most:])))
        return "\t".join(cells) + "\n"

    def training() -> Iterator[str]:
        for user in range(len(job.train)):
            items = job.known(user, fit_part)
            # The first item has nothing before it: no row for a sequential model.
            for end in range(1 if job.sequential else 0, len(items)):
                yield row(user, items[:end], items[end])

    def targets(part: str) -> Iterator[str]:
        for user, item in enumerate(job.held_out[part]):
            yield row(user, job.known(user, part), item)

    tables = {"train": training(), **{part: targets(part) for part in PARTS}}
    for name, rows in tables.items():
        path = folder / NAME / f"{NAME}.{name}.inter"
        with path.open("w", encoding="utf-8") as file:
            file.write("\t".join(fields) + "\n")
            file.writelines(rows)
    lines = ["item_id:token", *map(str, range(job.num_items))]
    (folder / NAME / f"{NAME}.item").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def configure(job: Job, folder: Path) -> Any:
    """RecBole's configuration of this job.

    Raises:
        ValueError: RecBole took another value than the one asked for.
    """
    fields = ["user_id", "item_id", *(["item_id_list"] if job.sequential else [])]
    plain = {
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "saved"),
        "benchmark_filename": ["train", *PARTS],
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "load_col": {"inter": fields, "item": ["item_id"]},
        "train_neg_sample_args": None,
        "eval_args": {"order": "TO", "group_by": "user", "mode": "full"},
        "metrics": ["NDCG"],
        "topk": [10],
        "valid_metric": "NDCG@10",
        "metric_decimal_place": 12,
        "show_progress": False,
        "state": "WARNING",
        "seed": job.seed,
        "reproducibility": True,
        "gpu_id": "0" if job.device == "cuda" else "",
        "use_gpu": job.device == "cuda",
    }
    if job.sequential:
        plain |= {
            "alias_of_item_id": ["item_id_list"],
            "LIST_SUFFIX": "_list",
            "ITEM_LIST_LENGTH_FIELD": "item_length",
            "repeatable": True,
        }
    config = Config(model=job.model, dataset=NAME, config_dict={**plain, **job.settings})
    for name, value in job.settings.items():
        if config[name] != value:
            raise ValueError(f"{job.model}: setting {name} is {config[name]!r}, asked {value!r}")
    return config


def keep_best(trainer: Any) -> dict[str, Any]:
    """Makes `trainer` keep the best epoch's weights in memory: no pickled file is written or read.

    Returns:
        What is kept: `epoch` and `weights`, filled while it trains.
    """
    kept: dict[str, Any] = {}

    def save(epoch: int, verbose: bool = True, **_: Any) -> None:
        state = trainer.model.state_dict()
        kept["epoch"] = epoch
        kept["weights"] = {name: value.detach().clone() for name, value in state.items()}

    trainer._save_checkpoint = save
    return kept


def fit(job: Job, fit_part: str) -> tuple[Any, Any, dict[str, Any]]:
    """Fits the model on what is known at `fit_part`.

    Returns:
        The model, RecBole's dataset, and what the report says of the fit.
    """
    began = time.perf_counter()
    config = configure(job, write_atomic_files(job, fit_part))
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    if job.sequential:
        model, about = train(job, config, dataset)
    else:
        model, about = count(config, dataset)
    model.eval()
    return model, dataset, {**about, "known_at": fit_part, "seconds": time.perf_counter() - began}


def train(job: Job, config: Any, dataset: Any) -> tuple[Any, dict[str, Any]]:
    """Trains a sequential model with RecBole's trainer; its best epoch's weights come back."""
    train_data, validation_data, _ = data_preparation(config, dataset)
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(config["model"])(config, train_data.dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    kept = keep_best(trainer)
    scores: list[float] = []

    def told(epoch: int, score: float) -> None:
        scores.append(float(score))
        print(json.dumps({"epoch": epoch + 1, "ndcg@10": float(score)}), flush=True)

    trainer.fit(train_data, validation_data, verbose=False, callback_fn=told)
    model.load_state_dict(kept["weights"])
    losses = [float(trainer.train_loss_dict[epoch]) for epoch in sorted(trainer.train_loss_dict)]
    return model, {
        "rows": len(train_data.dataset),
        "steps": len(losses) * len(train_data),
        "epochs": len(losses),
        "best_epoch": kept["epoch"] + 1,
        "validation_ndcg10": scores,
        # RecBole gives the sum over the epoch's batches.
        "train_loss": [loss / len(train_data) for loss in losses],
        "trainable_parameters": sum(weight.numel() for weight in model.parameters()),
    }


def count(config: Any, dataset: Any) -> tuple[Any, dict[str, Any]]:
    """Fits a model that only counts: ItemKNN when it is made, Pop from batches.

    Pop counts an item once in a batch however often it is in it, so with RecBole's own batches of
    2048 it would not count interactions. Here no item is twice in a batch.
    """
    rows = dataset.build()[0]
    model = get_model(config["model"])(config, rows).to(config["device"])
    batches = list(batches_without_repeats(rows.inter_feat["item_id"].numpy()))
    for batch in batches:
        model.calculate_loss(rows.inter_feat[torch.from_numpy(batch)].to(config["device"]))
    return model, {
        "rows": len(rows),
        "steps": len(batches),
        "epochs": None,
        "best_epoch": None,
        "validation_ndcg10": [],
        "train_loss": [],
        "trainable_parameters": 0,
    }


def batches_without_repeats(items: Any) -> Iterator[Any]:
    """Rows of `items` [rows] in batches: the k-th holds each item's k-th row."""
    order = np.argsort(items, kind="stable")
    ordered = items[order]
    first = np.searchsorted(ordered, ordered, side="left")
    round_of = np.arange(len(items)) - first
    by_round = np.argsort(round_of, kind="stable")
    ends = np.cumsum(np.bincount(round_of))
    yield from np.split(order[by_round], ends[:-1])


def batch_of(job: Job, dataset: Any, users: range, part: str) -> Any:
    """What the model is asked for `users`: their numbers, and for a sequential one their items."""
    fields = {"user_id": torch.tensor(dataset.token2id("user_id", np.array(users).astype(str)))}
    if job.sequential:
        width = int(job.settings["MAX_ITEM_LIST_LENGTH"])
        items = torch.zeros(len(users), width, dtype=torch.long)
        lengths = torch.zeros(len(users), dtype=torch.long)
        for row, user in enumerate(users):
            last = job.known(user, part)[-width:]
            items[row, : len(last)] = torch.tensor(dataset.token2id("item_id", last.astype(str)))
            lengths[row] = len(last)
        fields |= {"item_id_list": items, "item_length": lengths}
    return Interaction(fields)


@torch.no_grad()
def write_scores(job: Job, model: Any, dataset: Any, part: str) -> None:
    """Writes the score of every item for every user of `part`, a few users at a time."""
    path = job.folder / f"scores-{part}.npy"
    shape = (len(job.train), job.num_items)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    columns = dataset.token2id("item_id", np.arange(job.num_items).astype(str))
    for start in range(0, len(job.train), USERS_PER_CALL):
        users = range(start, min(len(job.train), start + USERS_PER_CALL))
        batch = batch_of(job, dataset, users, part).to(model.device)
        found = model.full_sort_predict(batch).view(len(users), -1).cpu().numpy()
        out[users.start : users.stop] = found[:, columns]
    out.flush()


def peak_memory_bytes(device: str) -> int | None:
    """Peak memory: of the device where it is a GPU, else of this process; null if unknown."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def main() -> None:
    """Runs the job in the folder named by the only argument."""
    folder = Path(sys.argv[1])
    # RecBole reads settings from the command line, too.
    sys.argv = sys.argv[:1]
    job = Job(folder)
    fits, scoring = [], 0.0
    model = dataset = None
    for part in PARTS:
        if model is None or not job.sequential:
            model, dataset, about = fit(job, part)
            fits.append(about)
        began = time.perf_counter()
        write_scores(job, model, dataset, part)
        scoring += time.perf_counter() - began
    cuda = job.device == "cuda"
    report = {
        "fits": fits,
        "scoring_seconds": scoring,
        "peak_memory_bytes": peak_memory_bytes(job.device),
        "machine": torch.cuda.get_device_name() if cuda else platform.machine(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "driver": f"CUDA {torch.version.cuda}" if cuda else None,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
    }
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
