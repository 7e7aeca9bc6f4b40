"""Terms that a person accepts before weights under them are fetched.

Licences such as Apache-2.0 ask for nothing before use. Others bind whoever uses the weights: a
backbone under such terms is refused until they were accepted, once for a cache, by
`--accept-licence KEY`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine.cache import cache_root, publish_file
from benchmarks.machine.events import Say
from gti.hints import did_you_mean


class TermsError(ValueError):
    """Terms that were not accepted, or that there are none of; the message says what to do."""


@dataclass(frozen=True)
class Terms:
    """Terms of use that are no open-source licence.

    Attributes:
        key: what `--accept-licence` takes.
        title: what they are called.
        address: where they stand in full.
        gist: what they are about, in our words; it takes the place of nothing in them.
    """

    key: str
    title: str
    address: str
    gist: tuple[str, ...]

    @property
    def accepted(self) -> Path:
        """The file that says that they were accepted for this cache."""
        return cache_root() / "accepted" / f"{self.key}.json"


TERMS = {
    terms.key: terms
    for terms in (
        Terms(
            key="gemma",
            title="Gemma Terms of Use",
            address="https://ai.google.dev/gemma/terms",
            gist=(
                "whoever uses Gemma or a model trained from it is bound by them",
                "a policy lists uses that are prohibited",
                "whoever passes Gemma or such a model on hands the terms on with it",
            ),
        ),
    )
}


def accept(key: str, say: Say) -> None:
    """Shows the terms called `key`, and notes that they were accepted.

    Raises:
        TermsError: there are none of this name.
        CacheError: the cache cannot be written.
    """
    if key not in TERMS:
        raise TermsError(
            f"--accept-licence {key!r}: no such terms{did_you_mean(key, TERMS) or ';'} those that"
            f" ask for it are {', '.join(TERMS)}"
        )
    terms = TERMS[key]
    say(f"accepted  {terms.title}, in full at {terms.address}; in short, and in words of ours:")
    for line in terms.gist:
        say(f"          - {line}")
    content = {"title": terms.title, "address": terms.address}
    publish_file(terms.accepted, json.dumps(content, indent=1).encode() + b"\n")


def check_accepted(key: str, what: str) -> None:
    """Refuses `what`, which is under the terms called `key`, until they were accepted.

    Raises:
        TermsError: names the terms, where to read them, and how to accept them.
    """
    terms = TERMS[key]
    if not terms.accepted.is_file():
        raise TermsError(
            f"{what} is under the {terms.title}, which are no open-source licence: read them at"
            f" {terms.address}, and if you accept them add --accept-licence {key} to `gti-bench"
            " prepare SETTING` (once; nothing of it was fetched)"
        )
