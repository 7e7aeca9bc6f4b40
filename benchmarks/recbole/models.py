"""Which models of RecBole stand on the boards, with which settings, and what each may know.

Settings are RecBole's defaults but for what the sequential models train with: batches of 256 rows
(RecBole: 2048) in up to 50 epochs (300), of which the best by validation ndcg@10 (mrr@10) is kept
and training ends after 5 epochs (10) that were no better. Eight times the steps in an epoch make
up for the fewer epochs at the same cost of each. They see as many items of the history as the
setting shows to its methods (RecBole: 50). Nothing was tuned on our data.
"""

from dataclasses import dataclass

RECBOLE_VERSION = "1.2.1"

SettingValue = bool | int | float | str

TRAINING: dict[str, SettingValue] = {
    "loss_type": "CE",
    "learner": "adam",
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "train_batch_size": 256,
    "epochs": 50,
    # The epoch of the highest validation ndcg@10 is kept (RecBole's default: mrr@10); training ends
    # when more than `stopping_step` epochs in a row were no better.
    "eval_step": 1,
    "stopping_step": 5,
    "valid_metric": "NDCG@10",
}
"""What both sequential models train with."""


@dataclass(frozen=True)
class Model:
    """A model of RecBole as a reference.

    Attributes:
        name: what RecBole calls it.
        summary: one line for the boards.
        source: the paper.
        settings: by RecBole's names; hashed with the reference's card.
        sequential: reads the order of the history, and is trained by gradient.
    """

    name: str
    summary: str
    source: str
    settings: dict[str, SettingValue]
    sequential: bool

    def settings_for(self, max_history: int) -> dict[str, SettingValue]:
        """The settings where methods are shown the last `max_history` items: it sees as many."""
        if not self.sequential:
            return self.settings
        return {**self.settings, "MAX_ITEM_LIST_LENGTH": max_history}

    @property
    def knows(self) -> str:
        """What the model has read when the test item is predicted; a rule, kept in the record."""
        if self.sequential:
            return (
                "weights trained on the training items, epoch chosen on the validation items; the"
                " test history holds the validation item"
            )
        return "fitted on the training items; for the test item anew, with the validation items"


MODELS = {
    "pop": Model(
        "Pop",
        "items by number of known interactions (RecBole's Pop)",
        "RecBole 1.2.1, arXiv 2211.15148",
        {},
        sequential=False,
    ),
    "itemknn": Model(
        "ItemKNN",
        "cosine of the items' users, 100 neighbours (RecBole's ItemKNN)",
        "RecBole 1.2.1; Aiolli, RecSys 2013",
        {"k": 100, "shrink": 0.0, "knn_method": "item"},
        sequential=False,
    ),
    "gru4rec": Model(
        "GRU4Rec",
        "recurrent network over item ids, cross-entropy (RecBole's GRU4Rec)",
        "RecBole 1.2.1; Tan et al., DLRS 2016",
        {
            **TRAINING,
            "embedding_size": 64,
            "hidden_size": 128,
            "num_layers": 1,
            "dropout_prob": 0.3,
        },
        sequential=True,
    ),
    "sasrec": Model(
        "SASRec",
        "self-attention over item ids, cross-entropy (RecBole's SASRec)",
        "RecBole 1.2.1; Kang and McAuley, ICDM 2018",
        {
            **TRAINING,
            "n_layers": 2,
            "n_heads": 2,
            "hidden_size": 64,
            "inner_size": 256,
            "hidden_dropout_prob": 0.5,
            "attn_dropout_prob": 0.5,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-12,
            "initializer_range": 0.02,
        },
        sequential=True,
    ),
}
"""By the name on the command line; on the boards each is `recbole-NAME`."""


def record_key(name: str) -> str:
    """What model `name` is called on the boards."""
    return f"recbole-{name}"
