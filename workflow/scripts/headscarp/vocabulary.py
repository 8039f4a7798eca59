"""Names that users type: finding the one they meant."""

import difflib
from collections.abc import Iterable
from typing import Any

from headscarp.errors import HeadscarpError


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known name, or lists them all."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known are: {', '.join(known) or 'none'}"


def require_known(name: str, known: Iterable[str], what: str) -> str:
    """Return `name` if it is known.

    Raises:
        HeadscarpError: it is not; the message names the nearest known name.
    """
    known = list(known)
    if name not in known:
        raise HeadscarpError(f"{what} '{name}' does not exist; {nearest(name, known)}")
    return name


def check_keys(record: dict[str, Any], known: Iterable[str], required: Iterable[str], place: str) -> None:
    """Refuse unknown and missing keys."""
    for key in record:
        require_known(key, known, f"{place}: key")
    require_keys(record, required, place)


def require_keys(record: dict[str, Any], required: Iterable[str], place: str) -> None:
    """Refuse missing keys."""
    for key in required:
        if key not in record:
            raise HeadscarpError(f"{place}: the key '{key}' is missing; add it")
