"""The words of names in any script."""

import re
import unicodedata
from collections.abc import Iterable


def words(text: str) -> list[str]:
    """The words of a file's or a band's name, lower case: `postEvent_B04` gives post, event, b04;
    `download.B2` download, b2."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return [word for word in re.split(r"[\W_]+", parted.lower()) if word]


def has_word(text: str, known: Iterable[str]) -> bool:
    """Whether a name has one of the words, digits behind it or not; words in other scripts may stand
    anywhere."""
    text = unicodedata.normalize("NFC", text)
    found = {re.sub(r"\d+$", "", word) or word for word in words(text)} | set(words(text))
    return any(word in found if word.isascii() else word in text for word in known)


def plain(text: str) -> str:
    """A name to search in: its words in lower case, without accents on Latin letters, one `_` before, between
    and behind them: `Glissements de terrain_2018` gives _glissements_de_terrain_2018_. Letters and digits
    that follow each other are parted."""
    letters = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text))  # accents, no marks of kana
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", unicodedata.normalize("NFC", letters))
    parted = re.sub(r"(?<=[^\W\d_])(?=\d)", "_", parted)
    joined = re.sub(r"[\s_.,;:()+-]+", "_", parted.lower())
    return f"_{joined.strip('_')}_"
