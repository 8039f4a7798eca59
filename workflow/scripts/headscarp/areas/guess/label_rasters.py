"""What the values of a user's label raster probably mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.geo.layer import open_raster
from headscarp.site.label_rasters import NAN, SLIDE_NAMES, Value, counted_values, nodata_of

BACKGROUND, SLIDE = SLIDE_NAMES[0], SLIDE_NAMES[LANDSLIDE]
MOST_CLASSES = 3  # values that are taken for classes; more may number the slides, or be anything
LISTED = 6


@dataclass(frozen=True)
class Guess:
    """What a card says of a label raster: `values`, and `names` where these are more than the usual two;
    `why` is for the reader."""

    values: dict[int | str, str]
    names: dict[int, str]
    why: str


def guess_labels(path: Path) -> Guess:
    """What the values of an imported label raster probably mean, from all its cells.

    Raises:
        HeadscarpError: as `counted_values`, or the values tell nothing; the message says why and what to do.
    """
    with open_raster(path) as source:
        counts, nodata = counted_values(source), nodata_of(source)
    empty = [value for value in counts if value in (None, nodata)]
    classes = [value for value in counts if value not in empty]
    if {0, LANDSLIDE, UNMAPPED} <= set(classes):
        classes.remove(UNMAPPED)
    pair = classes if len(classes) == 2 else [*classes, empty[0]] if len(classes) == 1 and empty else []
    if pair:
        background = background_of(pair, empty, counts)
        (slide,) = set(pair) - {background}
        if slide not in empty or (slide is not None and slide > 0):
            values = {
                NAN if one is None else one: name for one, name in ((background, BACKGROUND), (slide, SLIDE))
            }
            return Guess(values, {}, why_of(background, slide, empty, counts))
    if {0, LANDSLIDE} <= set(classes) and len(classes) <= MOST_CLASSES:
        names = {value: SLIDE_NAMES.get(value, f"class {value}") for value in classes}
        return Guess(dict(names), names, f"GUESS {LANDSLIDE} is {SLIDE}; name the other classes")
    raise HeadscarpError(f"{path} {reason(classes, bool(empty))}")


def background_of(pair: list[Value], empty: list[Value], counts: Mapping[Value, int]) -> Value:
    """The one of two values that is background: 0, or what the file says is no data, or what covers more."""
    if 0 in pair:
        return 0
    return next((value for value in pair if value in empty), max(pair, key=lambda value: counts[value]))


def why_of(background: Value, slide: Value, empty: list[Value], counts: Mapping[Value, int]) -> str:
    """What a reader of the card must know of a guess."""
    if background in empty or slide in empty:
        odd, name = (background, "background") if background in empty else (slide, SLIDE)
        why = f"GUESS {NAN if odd is None else odd} is {name} although the file says it is no data"
    elif background == 0:
        why = f"GUESS {slide} is {SLIDE}"
    else:
        why = f"GUESS {background} is background, as it covers more"
    share = counts[slide] / (counts[slide] + counts[background])
    return why + (
        f"; WARNING {share:.0%} is {SLIDE}: swap the two if they are inverted" if share > 0.5 else ""
    )


def reason(classes: list[int], has_empty: bool) -> str:
    """Why values tell nothing."""
    if len(classes) < 2:
        lacking = (
            "background is to have a value, such as 0"
            if any(classes)
            else "landslides are to have one, such as 1"
        )
        return (
            f"holds {' and '.join([*map(str, classes), *(['no data'] if has_empty else [])])} only; {lacking}"
        )
    listed = ", ".join(map(str, classes[:LISTED])) + (" …" if len(classes) > LISTED else "")
    return (
        f"holds the values {listed}, which do not tell landslides from the rest; make them 0 and 1, or write "
        f"`labels: {{classes: …, values: {{…: {BACKGROUND}, …: {SLIDE}}}}}` yourself"
    )
