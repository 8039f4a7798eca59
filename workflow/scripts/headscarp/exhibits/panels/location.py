"""Where a site lies, in words and numbers."""

from collections.abc import Iterator
from typing import Any

from matplotlib.figure import Figure

from headscarp.exhibits.labels import place_label
from headscarp.exhibits.layers import site_grid, value_range
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import record
from headscarp.geo.grid import Grid


def locator(grid: Grid) -> str:
    """Where a grid lies: its centre in degrees, its size in pixels and its resolution."""
    place = place_label(*grid.centre_degrees)
    return f"centre {place} · {grid.height} × {grid.width} px of {grid.resolution:g} m"


def place_records(spec: ExhibitSpec) -> Iterator[dict[str, Any]]:
    """Tidy records of where each site lies and how high: centre in degrees, lowest and highest elevation in
    metres."""
    for site in spec.sites:
        longitude, latitude = site_grid(site).centre_degrees
        low, high = value_range(site, "elevation")
        numbers = {
            "centre_longitude": longitude,
            "centre_latitude": latitude,
            "elevation_min": low,
            "elevation_max": high,
        }
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
    figure.text(0.01, height, f"{site.title} · {locator(site_grid(site))}", weight="bold", va="top")
