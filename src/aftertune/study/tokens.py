"""Tokens by which a study knows its people.

A token is 32 random bytes, shown once in a person's link; the study keeps its sha256 alone. It
needs no slow hash: what cannot be guessed cannot be tried out either. In the link it stands behind
the #, which a browser sends to nobody, so no log and no other site ever sees it.
"""

import hashlib
import secrets

BYTES = 32
PAGES = {"annotator": "rate", "adjudicator": "rate", "organiser": "organise"}


def new() -> str:
    """A token for one person."""
    return secrets.token_urlsafe(BYTES)


def hashed(token: str) -> str:
    """What is stored of a token, as hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def link(address: str, role: str, token: str) -> str:
    """Where a person of `role` goes; address: of the server, like http://127.0.0.1:8765.

    >>> link("http://127.0.0.1:8765/", "organiser", "abc")
    'http://127.0.0.1:8765/organise#abc'
    """
    return f"{address.rstrip('/')}/{PAGES[role]}#{token}"
