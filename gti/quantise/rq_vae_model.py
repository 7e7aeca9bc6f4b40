"""The RQ-VAE as a module: MLPs around residual codebooks, its loss, LETTER's diversity term.

vector-quantize-pytorch (1.32, alive) was tried first and does not serve here. With gradient-trained
codebooks its `ResidualVQ` passes the decoder's gradient to the encoder once per level (L times too
large); moves codes and encoder by one term, where the published loss weighs them 1 : commitment;
draws its k-means start from torch's global generator; and has neither Sinkhorn nor LETTER's term
(its own "diversity" is another one). It remains the oracle of the tests for codes and distances.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gti.data.dataset import IntArray
from gti.quantise.kmeans import kmeans, level_seed
from gti.quantise.sinkhorn import LEAST_EPSILON, balanced_codes, squared_distances

GROUP_ITERATIONS = 5
"""Lloyd iterations each time that the codes of a level are grouped."""


class RqVaeSettings(Protocol):
    """How an RQ-VAE is made and trained, as the setting's `[semantic_ids.rq_vae]` table has it.

    Attributes:
        hidden: widths of the encoder's hidden layers; the decoder's are the same, reversed.
        code_dim: width of the codes.
        dropout: before each linear layer of encoder and decoder.
        epochs: passes over the items.
        batch_size: items per step; 0 takes all of them.
        learning_rate: AdamW's, constant.
        weight_decay: AdamW's, on all parameters.
        commitment: weight of what draws the encoder to the codes (codes to the encoder: 1).
        diversity: weight of LETTER's term; 0 leaves it out.
        diversity_groups: groups that the codes of a level are put in for it.
        sinkhorn_epsilon: of the last level's Sinkhorn; 0 leaves it out.
        sinkhorn_iterations: of the last level's Sinkhorn.
    """

    @property
    def hidden(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def code_dim(self) -> int: ...  # noqa: D102
    @property
    def dropout(self) -> float: ...  # noqa: D102
    @property
    def epochs(self) -> int: ...  # noqa: D102
    @property
    def batch_size(self) -> int: ...  # noqa: D102
    @property
    def learning_rate(self) -> float: ...  # noqa: D102
    @property
    def weight_decay(self) -> float: ...  # noqa: D102
    @property
    def commitment(self) -> float: ...  # noqa: D102
    @property
    def diversity(self) -> float: ...  # noqa: D102
    @property
    def diversity_groups(self) -> int: ...  # noqa: D102
    @property
    def sinkhorn_epsilon(self) -> float: ...  # noqa: D102
    @property
    def sinkhorn_iterations(self) -> int: ...  # noqa: D102


def check_rq_vae_settings(settings: RqVaeSettings, width: int, codes: int) -> None:
    """Refuses settings that cannot be trained on embeddings of `width` with `codes` per level.

    Raises:
        ValueError: naming the field, the value and what it may be.
    """
    s, half = settings, codes // 2
    rules: tuple[tuple[str, object, bool, str], ...] = (
        ("hidden", s.hidden, all(w >= 1 for w in s.hidden), "widths of at least 1"),
        ("code_dim", s.code_dim, 1 <= s.code_dim <= width, f"1 to the embeddings' {width}"),
        ("dropout", s.dropout, 0 <= s.dropout < 1, "at least 0 and below 1"),
        ("epochs", s.epochs, s.epochs >= 1, "at least 1"),
        ("batch_size", s.batch_size, s.batch_size >= 0, "items per step, or 0 for all of them"),
        ("learning_rate", s.learning_rate, s.learning_rate > 0, "above 0"),
        ("weight_decay", s.weight_decay, s.weight_decay >= 0, "at least 0"),
        ("commitment", s.commitment, s.commitment >= 0, "at least 0"),
        ("diversity", s.diversity, s.diversity >= 0, "at least 0"),
        (
            "diversity_groups",
            s.diversity_groups,
            s.diversity == 0 or 1 <= s.diversity_groups <= half,
            f"1 to {half}, so that each group has two of the {codes} codes",
        ),
        (
            "sinkhorn_epsilon",
            s.sinkhorn_epsilon,
            s.sinkhorn_epsilon == 0 or s.sinkhorn_epsilon >= LEAST_EPSILON,
            f"0 (off) or at least {LEAST_EPSILON}, below which float64 underflows",
        ),
        ("sinkhorn_iterations", s.sinkhorn_iterations, s.sinkhorn_iterations >= 1, "at least 1"),
    )
    for name, value, fine, allowed in rules:
        if not fine:
            raise ValueError(f"RQ-VAE: {name} must be {allowed}, found {value}")


@dataclass(frozen=True)
class LossTerms:
    """One evaluation of the loss; all scalars, means over items, dimensions and levels."""

    reconstruction: Tensor
    codebook: Tensor
    commitment: Tensor
    diversity: Tensor

    def total(self, settings: RqVaeSettings) -> Tensor:
        """Reconstruction + codebook + weighted commitment + weighted diversity."""
        loss = self.reconstruction + self.codebook + settings.commitment * self.commitment
        return loss + settings.diversity * self.diversity


class RqVae(nn.Module):
    """Encoder, residual codebooks, decoder.

    Args:
        width: of the embeddings.
        levels: codes per item, L.
        codes: codes per level, K.
        settings: widths and dropout.
        generator: draws the linear layers' weights (Xavier normal; biases 0; codebooks 0).

    Attributes:
        codebooks: [L, K, code_dim].
    """

    def __init__(
        self,
        width: int,
        levels: int,
        codes: int,
        settings: RqVaeSettings,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        widths = (width, *settings.hidden, settings.code_dim)
        self.encoder = _mlp(widths, settings.dropout, generator)
        self.decoder = _mlp(widths[::-1], settings.dropout, generator)
        self.codebooks = nn.Parameter(torch.zeros(levels, codes, settings.code_dim))

    def losses(self, batch: Tensor, settings: RqVaeSettings, groups: Tensor | None) -> LossTerms:
        """The terms of the loss on `batch` [n, width].

        The decoder reads z + sg(ẑ - z), with z the encoder's output, ẑ the sum of its codes and sg
        "no gradient": the encoder gets the decoder's gradient once. Codebook and commitment terms
        of level l are the mean squares of sg(r) - e and r - sg(e), r = z less the codes before
        (TIGER, arXiv 2305.05065, §3.1; averaged over levels, as in the code of LC-Rec and LETTER).
        In the latter r carries no gradient beyond the first level, a side effect of where they
        apply the straight-through step; here it does, as the formula says.

        Args:
            batch: [n, width].
            settings: weights are not applied here; Sinkhorn is.
            groups: [L, K] the group of each code, or null without diversity term.
        """
        latent = self.encoder(batch)
        residual, quantised = latent, torch.zeros_like(latent)
        zero = latent.new_zeros(())
        terms = {"codebook": zero, "commitment": zero, "diversity": zero}
        levels = len(self.codebooks)
        for level, codebook in enumerate(self.codebooks):
            balance = level == levels - 1 and settings.sinkhorn_epsilon > 0
            codes = choose_codes(residual, codebook, settings if balance else None)
            chosen = functional.embedding(codes, codebook)
            terms["codebook"] = terms["codebook"] + (chosen - residual.detach()).square().mean()
            terms["commitment"] = terms["commitment"] + (residual - chosen.detach()).square().mean()
            if groups is not None:
                term = diversity_loss(codebook, code_counts(codes, len(codebook)), groups[level])
                terms["diversity"] = terms["diversity"] + term
            residual = residual - chosen.detach()
            quantised = quantised + chosen.detach()
        decoded = self.decoder(latent + (quantised - latent).detach())
        means = {name: term / levels for name, term in terms.items()}
        return LossTerms(reconstruction=(decoded - batch).square().mean(), **means)

    @torch.no_grad()
    def nearest(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Codes [n, L] and the residual [n, code_dim] before the last level, nearest codes."""
        residual, before, columns = self.encoder(batch), None, []
        for codebook in self.codebooks:
            before = residual
            columns.append(choose_codes(residual, codebook, None))
            residual = residual - functional.embedding(columns[-1], codebook)
        assert before is not None
        return torch.stack(columns, dim=1), before

    @torch.no_grad()
    def start_codebooks(self, items: Tensor, seed: int) -> None:
        """Fills the codebooks by residual k-means (faiss) of the encoder's outputs for `items`.

        Dropout must be off. The seeds are those of `quantisers.residual_kmeans`.
        """
        residual = np.ascontiguousarray(self.encoder(items).float().cpu().numpy())
        for level, codebook in enumerate(self.codebooks):
            centroids, nearest = kmeans(residual, len(codebook), level_seed(seed, level))
            codebook.copy_(torch.from_numpy(centroids))
            residual = residual - centroids[nearest]


def _mlp(widths: tuple[int, ...], dropout: float, generator: torch.Generator) -> nn.Sequential:
    """Dropout and a linear layer for each pair of widths, ReLU between them."""
    layers: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        # Made on "meta": PyTorch's own start would draw from its global generator.
        linear = nn.Linear(narrow, wide, device="meta").to_empty(device="cpu")
        nn.init.xavier_normal_(linear.weight, generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [nn.Dropout(dropout), linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@torch.no_grad()
def choose_codes(residual: Tensor, codebook: Tensor, balance: RqVaeSettings | None) -> Tensor:
    """[n] the nearest code of each residual [n, dim], or Sinkhorn's choice if to `balance`."""
    distances = squared_distances(residual, codebook)
    if balance is None:
        return distances.argmin(dim=1)
    return balanced_codes(distances, balance.sinkhorn_epsilon, balance.sinkhorn_iterations)


def code_counts(codes: Tensor, num_codes: int) -> Tensor:
    """[num_codes] how often each code stands in `codes` [n]; whole numbers, so exact."""
    counts = torch.zeros(num_codes, device=codes.device)
    return counts.index_add_(0, codes, torch.ones(len(codes), device=codes.device))


def diversity_loss(codebook: Tensor, counts: Tensor, groups: Tensor) -> Tensor:
    """LETTER's diversity term of one level (arXiv 2405.07314, §3.1), its draw averaged out.

    For an item on code c: the cross entropy of picking another code of c's group, among all codes
    but c, by inner product with c's vector. It draws codes of one group together and drives groups
    apart. LETTER draws the other code anew for each item and step; here it is the mean over all
    other codes of the group, which has the same expectation and needs no draw.

    Args:
        codebook: [K, dim].
        counts: [K] items on each code.
        groups: [K] the group of each code; each group has two codes or more.

    Returns:
        Mean over the items.
    """
    own = torch.eye(len(codebook), dtype=torch.bool, device=codebook.device)
    scores = (codebook @ codebook.T).masked_fill(own, float("-inf"))
    others = (groups[:, None] == groups[None, :]) & ~own
    log_shares = functional.log_softmax(scores, dim=1).masked_fill(~others, 0)
    per_code = -log_shares.sum(dim=1) / others.sum(dim=1)
    weights = counts.to(codebook.dtype)
    return (weights * per_code).sum() / weights.sum()


def group_codes(
    codebook: NDArray[np.float32], num_groups: int, seed: int, before: IntArray | None = None
) -> IntArray:
    """[K] groups of as equal a size as can be (⌊K/g⌋ or ⌈K/g⌉), by constrained k-means.

    Each iteration solves the assignment of codes to places in groups for the squared distance to
    the groups' means, which is cubic in K: milliseconds for 256 codes, minutes for 8,192. LETTER
    bounds the sizes less tightly, by another solver.

    Args:
        codebook: [K, dim].
        num_groups: g.
        seed: of the plain k-means that gives the first means.
        before: [K] an earlier grouping whose means are the start instead.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    places = np.arange(len(codebook)) % num_groups
    if before is None:
        means, _ = kmeans(codebook, num_groups, seed)
    groups = before
    for _ in range(GROUP_ITERATIONS):
        if groups is not None:
            means = np.stack(
                [codebook[groups == group].mean(axis=0) for group in range(num_groups)]
            )
        distances = cdist(codebook, means, "sqeuclidean")
        groups = places[linear_sum_assignment(distances[:, places])[1]]
    assert groups is not None
    return groups
