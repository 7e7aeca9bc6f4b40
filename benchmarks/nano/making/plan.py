"""How long nano trains and at which rates, decided by steps or by a time budget."""

from dataclasses import dataclass, replace

UNPLANNED = 10**9
CONSTANT_SHARE = 0.55
LONG_FROM = 0.8


@dataclass(frozen=True)
class Plan:
    """Everything that decides the result of a run, next to seed and versions."""

    steps: int
    decay_from: int
    long_from: int
    workers: int = 3
    rows_per_worker: int = 16
    learning_rate: float = 4e-3
    weight_decay: float = 0.1
    warmup: int = 100
    variants: int = 3
    seed: int = 0

    def rate(self, step: int) -> float:
        """Warm-up, constant, then linear decay to zero at the last step."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        if step < self.decay_from:
            return self.learning_rate
        return self.learning_rate * (self.steps - step) / (self.steps - self.decay_from)

    def settled(self, step: int, elapsed: float, budget: float) -> "Plan":
        """Sets the end of a run with a time budget, once the constant part has had its share."""
        if elapsed < CONSTANT_SHARE * budget:
            return self
        left = round((budget - elapsed) * step / elapsed)
        return replace(
            self, steps=step + left, decay_from=step, long_from=step + round(LONG_FROM * left)
        )

    def length(self, step: int) -> int:
        """Tokens in a training sequence: 256, and 512 towards the end."""
        return 512 if step >= self.long_from else 256
