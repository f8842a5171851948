"""Which tokens and words shifted most often (pure)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

CATEGORIES = ("shifted", "marginal")

Found = Mapping[str, Sequence[Mapping[str, Any]]]  # category -> entries, most frequent first


def frequent(
    pieces: Found, words: Found | None, text: Callable[[int], str], limit: int
) -> dict[str, Any]:
    """{shifted | marginal: {pieces: [(piece, n, n_all)], words: [(word, kind, n, n_all)]}}.

    pieces: as `shift.summary` counts them; words: as `shift.words.frequent` does, None where a
    shift was measured without them. text: a token id's piece as it is shown. At most `limit` each.
    """
    return {
        name: {
            "pieces": [(text(e["token_id"]), e["n"], e["n_all"]) for e in pieces[name][:limit]],
            "words": words
            and [(e["word"], e["kind"], e["n"], e["n_all"]) for e in words[name][:limit]],
        }
        for name in CATEGORIES
    }
