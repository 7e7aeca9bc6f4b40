"""Which texts nano never trains on: a rule on hashes of entry words and page names."""

import hashlib

ENTRY_SHARE = 64
PAGE_SHARE = 20


def bucket(text: str, buckets: int) -> int:
    """A stable number in `[0, buckets)` for a text, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % buckets


def is_held_out_entry(word: str) -> bool:
    """True for one dictionary word in 64; all its meanings in all sources go with it."""
    return bucket(word.lower(), ENTRY_SHARE) == 0


def is_held_out_page(name: str) -> bool:
    """True for one page of prose in 20."""
    return bucket(name, PAGE_SHARE) == 0
