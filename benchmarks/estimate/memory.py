"""The memory that one worker will take, by a formula that a reader can follow.

    peak     = base + weights + max(sft, grounding, scoring)
    weights  = 4 P                                    float32, whatever the dtype of computing
    sft      = 12 T + act · min(batch tokens, micro)  gradients and AdamW's two moments
    grounding = 12 R + act · min(pair tokens, micro)  R: the new rows
    scoring  = 2 · kv · min(tokens to score, micro of scoring)

P: parameters with the new rows; T: those that train, which is P, or adapters and embedding matrix
with LoRA; act: bytes that one token leaves for the backward pass, b · layers · (8 d + 4 f + 4 a)
with width d, feed-forward width f, attention width a, b bytes a number; kv: bytes of its keys and
values, 2 b · layers · (key-value heads × head dimension), twice because a cache is copied as it
grows. The head goes by in pieces (`gti.model.head`) and counts nothing. Stages follow one another,
so the largest counts.
"""

from benchmarks.estimate.workload import Workload
from benchmarks.inputs.backbone_sizes import BackboneSize
from leaderboard.records.setting import Setting

BASE_BYTES = 6e8
"""Python with its libraries: what the committed records of `ml-100k-nano` show after loading."""
TRAINING_TOKENS = {"cpu": 4096, "cuda": 65536}
"""`benchmarks.cell.train.MAX_TOKENS`, which imports torch; a test holds them equal."""
SCORING_TOKENS = {"cpu": 8192, "cuda": 262144}
"""`benchmarks.cell.scoring.MAX_TOKENS`, which imports torch; a test holds them equal."""


def memory_bytes(
    setting: Setting, size: BackboneSize, work: Workload, device: str, dtype: str
) -> float:
    """Peak memory of one worker, in bytes; see the module's formula.

    Args:
        setting: what would run.
        size: of its backbone, adapters included where the setting has them.
        work: how much is to be scored.
        device: "cpu" or "cuda".
        dtype: computed in there.
    """
    shape, number = size.shape, 2 if dtype == "bfloat16" else 4
    new = setting.semantic_ids.levels * setting.semantic_ids.codes * shape.width
    if size.matrices > shape.matrix_rows * shape.width:
        new *= 2  # an untied head has rows of its own
    weights = 4.0 * (size.parameters + new + size.adapters)
    trained = size.matrices + new + size.adapters if size.adapters else size.parameters + new
    per_token = 8 * shape.width + 4 * size.feed_forward + 4 * shape.attention_width
    kept = float(number * shape.layers * per_token)
    limit = TRAINING_TOKENS[device]
    sft = 12.0 * trained + kept * min(limit, batch_tokens(setting))
    pairs = setting.grounding.batch_size * (setting.prompts.max_text_tokens // 2 + 40)
    grounding = 12.0 * new + kept * min(limit, pairs)
    cache = 2.0 * 2 * number * shape.layers * size.key_value_width
    scoring = cache * min(SCORING_TOKENS[device], tokens_to_score(setting, work))
    return BASE_BYTES + weights + max(sft, grounding, scoring)


def batch_tokens(setting: Setting) -> int:
    """Tokens of a batch of R at its largest, prompts' words at 60 tokens."""
    levels, shown = setting.semantic_ids.levels, setting.dataset.max_history
    if setting.queries is not None:
        one = 25 + levels
    elif setting.prompts.style == "sequence":
        one = 10 + levels * setting.prompts.window
    else:
        one = 60 + levels * (shown + 1)
    return setting.sft.batch_size * one


def tokens_to_score(setting: Setting, work: Workload) -> int:
    """Tokens of one part's prompts and beams together: no batch of them can be larger."""
    levels, shown = setting.semantic_ids.levels, setting.dataset.max_history
    prompts = len(work.train_lengths) if work.queries is None else work.queries.scored // 2
    prompt = 60 + levels * shown if work.queries is None else 25
    return prompts * (prompt + setting.decoding.beam * levels)
