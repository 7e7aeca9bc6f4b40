"""`hf_default`: whatever `resize_token_embeddings` of the installed transformers leaves."""

from importlib.metadata import version

from torch import Tensor

from gti.method import Look, Method, Start


class HfDefault(Method):
    """What people run who add tokens, resize and train.

    The model was really resized by the library, with its defaults, before this is called
    (`gti.model.vocabulary.extend_vocabulary`). transformers 5 fills rows past the end of the old
    matrix with the mean of *all* old rows, padding included, plus noise of 1e-9 of their
    covariance. New tokens that land on old padding rows (Qwen3 has some 270) are never written:
    they keep what stood there. The one thing not copied is that the library shrinks a matrix with
    more padding than new tokens; the new rows hold the same either way.
    """

    key = "hf_default"
    summary = "what transformers leaves in the rows when it resizes"
    source = "transformers, resize_token_embeddings with its defaults"
    group = "initialization"
    parent = "mean"
    first_rows = "library"
    order = 8
    look = Look("purple")

    @property
    def detail(self) -> str:
        """The library's version: the rows are its doing."""
        return f"transformers {version('transformers')}"

    def initialize(self, start: Start) -> Tensor:
        """The rows as they were found."""
        return start.default_rows
