"""What the masks of pictures say of the ground, for those who plan before any is read."""

from collections.abc import Mapping
from typing import Any

from headscarp.codes import LAND_COVER, LANDSLIDE, NOT_A_LANDSLIDE


def tells_in_part(record: Mapping[str, Any]) -> bool:
    """Whether masks say of some ground only that it is no landslide, where others tell which class it is.

    Args:
        record: the part `patch_set` of a site.
    """
    records = [record, *record.get("sets", ())]
    named = {name for one in records for name in one.get("values", {}).values()}
    classes = set(LAND_COVER) - {LAND_COVER[LANDSLIDE]}
    return NOT_A_LANDSLIDE in named and bool(named & classes)
