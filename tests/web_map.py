"""An interactive map as a browser reads it: its record and the colours of its tiles."""

import json
import math
import re
from functools import cache

import matplotlib.image


def page_record(page):
    return json.loads(
        re.search(
            r'<script type="application/json" id="record">(.*?)</script>', page.read_text(), re.DOTALL
        ).group(1)
    )


@cache
def tile(path):
    image = matplotlib.image.imread(path)
    assert image.shape == (256, 256, 4)
    return image


def colour_at(folder, zoom, longitude, latitude):
    """What a web map shows at a place: red, green, blue and opacity in 0..1, by the tile scheme as its
    documentation states it."""
    x = (longitude + 180) / 360 * 2**zoom
    y = (1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2 * 2**zoom
    return tile(folder / str(zoom) / str(int(x)) / f"{int(y)}.png")[int(y % 1 * 256), int(x % 1 * 256)]
