"""The six classes of very-high-resolution scenes (xia2021, section 3.2), in the order of their codes."""

LAND_COVER = ("bare land", "landslide", "building", "vegetation", "water", "road")
