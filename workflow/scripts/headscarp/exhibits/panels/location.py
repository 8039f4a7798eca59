"""Where a site lies, in words and numbers."""

from collections.abc import Iterator
from typing import Any

from matplotlib.figure import Figure

from headscarp.exhibits.layers import site_grid, value_range
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import record
from headscarp.geo.grid import Grid


def centre(grid: Grid) -> tuple[float, float]:
    """Longitude and latitude of the centre of a grid in degrees."""
    from pyproj import Transformer

    west, south, east, north = grid.bounds
    return Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(
        (west + east) / 2, (south + north) / 2
    )


def locator(grid: Grid) -> str:
    """Where a grid lies: its centre in degrees, its size in pixels and its resolution."""
    longitude, latitude = centre(grid)
    place = (
        f"{abs(latitude):.2f}° {'N' if latitude >= 0 else 'S'}, {abs(longitude):.2f}° "
        f"{'E' if longitude >= 0 else 'W'}"
    )
    return f"centre {place} · {grid.height} × {grid.width} px of {grid.resolution:g} m"


def place_records(spec: ExhibitSpec) -> Iterator[dict[str, Any]]:
    """Tidy records of where each site lies and how high: centre in degrees, lowest and highest elevation in
    metres."""
    for site in spec.sites:
        longitude, latitude = centre(site_grid(site))
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
