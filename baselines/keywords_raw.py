"""`keywords_raw`: each new row the embeddings of the words that tell its code from the others."""

from collections import Counter

from torch import Tensor

from gti.initializers import item_text, rows_of_words, tf_idf
from gti.method import Contrast, Look, Method, Start


class KeywordsRaw(Method):
    """Like `description_raw`, but words that every code shares count for nothing.

    Here words are weighted by tf-idf, and not extracted by a teacher model as in TS-Rec. A document
    is all texts of one code's items, idf is over the level's codes; see `keywords`.
    """

    key = "keywords_raw"
    summary = "embeddings of the code's words, weighted by tf-idf, not rescaled"
    source = "after TS-Rec's SA-Init, arXiv 2602.22632"
    group = "initialization"
    parent = "mean"
    reads_texts = True
    order = 23
    look = Look("purple", 2)
    question = "Is it only that the rows differ?"
    contrasts = (Contrast("keywords", "keywords_raw", "the same words, centred, at text norms"),)

    def initialize(self, start: Start) -> Tensor:
        """tf-idf level by level, then a weighted mean of words."""
        sids = start.semantic_ids
        weights: dict[int, dict[str, float]] = {}
        words = [Counter(item_text(fields).lower().split()) for fields in start.item_texts]
        for codes in sids.token_index.T:
            documents: dict[int, Counter[str]] = {}
            for code, counts in zip(codes.tolist(), words, strict=True):
                documents.setdefault(code, Counter()).update(counts)
            weights |= tf_idf(documents)
        return rows_of_words(start, [weights.get(code, {}) for code in range(sids.num_tokens)])
