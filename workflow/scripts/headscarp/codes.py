"""The codes in rasters of labels and of classes, the same in every file of every station."""

# Ground without landslides; where several classes are told apart it is one of them.
BACKGROUND = 0
LANDSLIDE = 1
# No data of labels and class maps: nobody mapped this ground, or no class is known there. It is neither
# trained on nor scored.
UNMAPPED = 255
# Labels that tell classes in part: ground that is no landslide, and of which class it is nobody says. It
# trains and scores what it tells, and counts for no other class.
NOT_LANDSLIDE = 254

# Column of vector files of slides that headscarp wrote, or that a user adds to have slides told apart by it:
# the number of each slide, from 1. No file has a column of this name by chance.
SLIDE_NUMBER = "headscarp_slide"

# The subsets of samples, and the codes of their regions; 0 is a buffer, or ground that no window uses.
SPLITS = ("train", "validation", "test")
UNUSED, TRAIN, VALIDATION, TEST = 0, 1, 2, 3
# Background cells of the training ground that are not drawn, see `samples.spec.CellsSpec.background_ratio`.
SPARE = 4

# The six classes of very-high-resolution scenes (xia2021, section 3.2), in the order of their codes.
LAND_COVER = ("bare land", "landslide", "building", "vegetation", "water", "road")
# What masks may say of ground beside these.
NOT_A_LANDSLIDE, UNLABELLED = "not a landslide", "unlabelled"
CODES_OF_GROUND = {name: code for code, name in enumerate(LAND_COVER)} | {
    NOT_A_LANDSLIDE: NOT_LANDSLIDE,
    UNLABELLED: UNMAPPED,
}
# The same names without spaces, as scores and columns have them, by code.
LAND_COVER_KEYS = {code: name.replace(" ", "_") for code, name in enumerate(LAND_COVER)}

# The protocol of cells that trains and validates on all of them, the tested ones included, as the code that
# was released with Zhang et al. (2024) does.
AS_RELEASED = "as_released"

# The protocol of cells that learns from the landslides up to a year and is tested on later ones.
TEMPORAL = "temporal"
# The protocol that tests on ground that no training touches.
BLOCKED = "blocked"
# Protocols that keep validation apart from the test, so that it may choose weights and thresholds.
TUNED = (BLOCKED, TEMPORAL)
