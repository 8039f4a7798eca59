"""Where a site lies, in words and numbers."""

from collections.abc import Iterator
from typing import Any

from matplotlib.figure import Figure

from headscarp.exhibits.labels import place_label
from headscarp.exhibits.layers import has_layer, site_grid, value_range
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import record
from headscarp.geo.grid import Grid


def locator(grid: Grid, placeless: bool = False) -> str:
    """Where a grid lies: its centre in degrees (or that its corner is made up), its size in pixels and its
    resolution."""
    where = "no place on Earth" if placeless else f"centre {place_label(*grid.centre_degrees)}"
    return f"{where} · {grid.height} × {grid.width} px of {grid.resolution:g} m"


def place_records(spec: ExhibitSpec) -> Iterator[dict[str, Any]]:
    """Tidy records of where each site lies and, if it has elevations, how high: centre in degrees, lowest and
    highest elevation in metres."""
    for site in spec.sites:
        numbers = {}
        if has_layer(site, "elevation"):
            low, high = value_range(site, "elevation")
            numbers = {"elevation_min": low, "elevation_max": high}
        if not site.placeless:
            longitude, latitude = site_grid(site).centre_degrees
            numbers = {"centre_longitude": longitude, "centre_latitude": latitude} | numbers
        for metric, value in numbers.items():
            yield record(
                spec,
                site.name,
                metric,
                value,
                data=site.data,
                note="unit m" if "elevation" in metric else "unit degree",
            )


def head_of_site(figure: Figure, top: float, site: SiteFiles) -> None:
    """Title of a site and where it lies, `top` inches below the upper edge of a figure."""
    height = 1 - (top + 0.05) / figure.get_figheight()
    place = locator(site_grid(site), site.placeless)
    figure.text(0.01, height, f"{site.title} · {place}", weight="bold", va="top")
