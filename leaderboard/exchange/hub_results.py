"""A record as evaluation results in a model's repository on the Hugging Face Hub.

    <setting>/<method>/seed-<n>/.eval_results/gti-bench.yaml

The Hub takes one value for each task of a dataset that is registered as a benchmark there. No
record holds such a dataset, or a repository for the model, whose weights no cell keeps: whoever
publishes them names the first, and puts the folder `.eval_results` into the second.
"""

from typing import Any

from leaderboard.records.record import Record


def results_path(record: Record) -> str:
    """Where the results of `record` lie."""
    return (
        f"{record.setting.name}/{record.method.key}/seed-{record.seed}/.eval_results/gti-bench.yaml"
    )


def hub_results(record: Record, dataset: str, metric: str) -> list[dict[str, Any]]:
    """The results of `record`: its test `metric` at the task that is called as the setting.

    Args:
        record: of a cell; the metric is not null.
        dataset: id of the benchmark's dataset on the Hub, as `org/name`.
        metric: its name.
    """
    setting = record.setting
    told = [
        f"gti-bench, test {metric}, protocol {record.protocol}",
        f"method {record.method.key}, seed {record.seed}",
        f"backbone {setting.backbone.name}",
        f"record sha256 {record.digest}",
        *([] if setting.evidence else ["shows that the harness works, no evidence"]),
    ]
    return [
        {
            "dataset": {"id": dataset, "task_id": setting.name},
            "value": record.metrics["test"][metric],
            "notes": "; ".join(told),
        }
    ]
