"""Where the code that was released with a paper does otherwise than the paper says."""

from collections.abc import Iterator

from headscarp.scoring.audit.findings import DIFFERENT, Finding, Recomputed
from headscarp.scoring.audit.published import Published

SAID = ("paper", "code", "place")


def released_code(published: Published, table: str) -> Iterator[Finding | Recomputed]:
    """Each row of a table of texts: what the paper says, what its released code does, and where there."""
    said: dict[str, dict[str, str]] = {}
    for one in published[table]:
        said.setdefault(one["row"], {})[one["metric"]] = str(one["value"])
    for row, texts in said.items():
        paper, code, place = (texts[key] for key in SAID)
        for key in SAID:
            yield Recomputed(f"released_code:{row}", key, text=texts[key])
        text = f"the paper: {paper}. Its code: {code} ({place})"
        yield Finding(table, row, "paper and code", None, DIFFERENT, text)
