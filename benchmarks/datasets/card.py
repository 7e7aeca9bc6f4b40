"""What a dataset's card holds: where the data comes from, how to get it, what one may choose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gti.data.dataset import DataError
from gti.hints import did_you_mean

DATA_VARIABLE = "GTI_BENCH_DATA"
Layout = Literal["recbole", "lcrec", "movielens", "amazon-2014", "amazon-2023", "vibrent"]
Options = Mapping[str, str | int | bool]


class MissingDataError(DataError):
    """A known dataset that is not on this machine; the message says how to get it."""


@dataclass(frozen=True)
class Option:
    """Something that a dataset's card lets one choose, and must be chosen.

    Attributes:
        name: its key in a setting's `dataset.options`.
        meaning: what it decides.
        values: the allowed words; empty where a whole number is wanted.
        least: the smallest number allowed, where a whole number is wanted.
    """

    name: str
    meaning: str
    values: tuple[str, ...] = ()
    least: int = 0

    @property
    def allowed(self) -> str:
        """The allowed values, as messages list them."""
        if self.values:
            return " or ".join(f'"{value}"' for value in self.values)
        return f"a whole number, {self.least} or more"

    def allows(self, value: object) -> bool:
        """Whether `value` may be chosen."""
        if self.values:
            return value in self.values
        return isinstance(value, int) and not isinstance(value, bool) and value >= self.least


@dataclass(frozen=True)
class Expected:
    """How large the files are known to be, before any filter.

    Attributes:
        users: users in the files.
        items: items in the files.
        interactions: interactions in the files.
        source: who counted.
        rounded: whether the numbers are only known rounded.
    """

    users: int
    items: int
    interactions: int
    source: str
    rounded: bool = False


@dataclass(frozen=True)
class DatasetCard:
    """What is known about a named dataset.

    Attributes:
        name: what settings call it.
        title: what people call it.
        source: where the data comes from.
        licence: under which terms.
        obtain: how to get it.
        addresses: of the pages or repositories that publish it, the files' own first.
        order: what the order of a history rests on.
        texts: how the text fields are made.
        layout: which loader reads it.
        stem: its files are called `<stem>.…`, or after their category.
        asset: the asset that holds it, or null where the user brings the files.
        get: `obtain` in a few words, for lists.
        options: what has to be chosen; all of them, for there is no hidden default.
        listed: the choices that `gti-bench list datasets` shows.
        expected: how large the files are, where that is known.
    """

    name: str
    title: str
    source: str
    licence: str
    obtain: str
    addresses: tuple[str, ...]
    order: str
    texts: str
    layout: Layout
    stem: str
    asset: str | None
    get: str = ""
    options: tuple[Option, ...] = ()
    listed: tuple[dict[str, str | int | bool], ...] = ({},)
    expected: Expected | None = None

    def check_options(self, options: Options | None) -> dict[str, str | int | bool]:
        """The choices, complete and in the card's order.

        Raises:
            DataError: one is missing, unknown, or has a value that is not allowed.
        """
        chosen = dict(options or {})
        names = [option.name for option in self.options]
        for name in chosen:
            if name not in names:
                raise DataError(f"dataset {self.name}: unknown option {name!r}{self._hint(name)}")
        for option in self.options:
            if option.name not in chosen:
                raise DataError(
                    f"dataset {self.name}: option {option.name!r} ({option.meaning}) must be"
                    f" given, in [dataset.options]: {option.allowed}"
                )
            if not option.allows(chosen[option.name]):
                raise DataError(
                    f"dataset {self.name}: option {option.name!r} ({option.meaning}) is"
                    f" {chosen[option.name]!r}; allowed: {option.allowed}"
                )
        return {name: chosen[name] for name in names}

    def _hint(self, name: str) -> str:
        """What an unknown option may have meant."""
        names = [option.name for option in self.options]
        if not names:
            return "; this dataset has no options"
        return f"{did_you_mean(name, names) or ';'} it has {', '.join(names)}"
