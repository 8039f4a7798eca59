"""Colours of all exhibits, maps and pages, told apart by colour-blind readers. Nothing is imported here:
styles for QGIS take them too."""

# Okabe & Ito's palette (https://jfly.uni-koeln.de/color/), told apart with deuteranopia and protanopia.
OKABE_ITO = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C00"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = "#009E73", "#D55E00", "#0072B2"
WATER, FAULT, INK, MUTED = "#2166AC", "#111111", "#222222", "#777777"
IMAGE_SLIDE = "#FFD92F"
TRAINED_GREY, VALIDATED_GREY = "#777777", "#B0B0B0"
SLIDE = "#B2182B"
# Bare land, landslide, building, vegetation, water, road: apart in hue or lightness with deuteranopia and
# protanopia too.
NOT_A_LANDSLIDE = "#C9CCD1"  # ground of which nobody says more
LAND_COVER = {0: "#EFE3B8", 1: "#D55E00", 2: "#E59AC4", 3: "#00805E", 4: "#1F78D1", 5: "#303030"}
# Levels of susceptibility, rising: ColorBrewer's RdYlBu, safe for colour-blind readers.
SUSCEPTIBILITY = ("#2C7BB6", "#ABD9E9", "#FFFFBF", "#FDAE61", "#D7191C")
