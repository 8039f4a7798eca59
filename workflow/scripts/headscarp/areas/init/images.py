"""The images of a study area: the user's, or those of a satellite, to be fetched."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headscarp.areas.guess.rasters import Band, scale_of
from headscarp.areas.init.draft import PLACEHOLDER, Draft, place, record_of_origin, warnings_of
from headscarp.areas.init.satellites import Satellite, Window, remarks_on
from headscarp.areas.init.tiles import tiles_of
from headscarp.errors import HeadscarpError

BEFORE_DAYS, AFTER_DAYS, AROUND_DAYS = 120, 60, 15
STAC_BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
RAW_NAMES = {"pre": "before", "post": "after", "": "image"}


def add_images(draft: Draft, images: Sequence[Band], folder: Path) -> None:
    """Spectral bands, one file each date and layer; `pre_` and `post_` where images are told apart by name or
    date."""
    series = len(draft.dates) > 1
    refuse_twins(images)
    tiles = image_tiles(draft, images)
    joined = {path for paths in tiles.values() for path in paths[1:]}
    dated: dict[str, dict[str, str]] = {}
    raw: dict[tuple[Path, str | None, str], str] = {}
    taken: dict[str, str] = {}
    for band in images:
        if band.path in joined:
            continue
        time, why_time = time_of(band, draft.dates[-1], images)
        if series and band.date not in draft.dates:
            seen = f"its date {band.date} is none of --dates" if band.date else "its name tells no date"
            draft.unused.append(f"{band.path.name} (band {band.number}): {seen}")
            continue
        layer = band.role if series or not time else f"{time}_{band.role}"
        if (layer, band.date)[: 1 + series] in taken:
            draft.unused.append(
                f"{band.path.name} (band {band.number}): {layer} is taken from "
                f"{taken[(layer, band.date)[: 1 + series]]}"
            )
            continue
        taken[(layer, band.date)[: 1 + series]] = band.path.name
        key = (band.path, band.variable, "")
        if key not in raw:
            stem = f"image_{band.date}" if series else RAW_NAMES[time]
            wanted = f"{stem}_{band.role}.tif" if band.count == 1 and band.variable is None else f"{stem}.tif"
            if band.variable:
                wanted = f"{stem}_{band.role}.tif"
            origin, told = record_of_origin(place(band.path, folder), band.spec), warnings_of(band)
            if band.path in tiles:
                origin["path"] = [place(path, folder) for path in tiles[band.path]]
                told = [f"GUESS {len(tiles[band.path])} tiles of one image, joined", *band.notes]
            raw[key] = draft.add_file(wanted, origin, "; ".join(filter(None, (why_time, *told))))
        scale, why_scale = scale_of(band)
        entry = {"file": raw[key]} | ({"band": band.number} if band.count > 1 else {})
        entry |= {"units": "brightness" if band.dtype == "uint8" else "reflectance"}
        entry |= {"scale": float(f"{scale:.7g}")} if scale != 1 else {}
        if series:
            dated.setdefault(layer, {})[band.date] = raw[key]
            entry = {"files": dated[layer]} | {key: value for key, value in entry.items() if key != "file"}
            if len(dated[layer]) > 1:
                continue
        draft.rasters.append((layer, entry, f"{band.role} {band.why}; {why_scale}"))


def image_tiles(draft: Draft, images: Sequence[Band]) -> dict[Path, list[Path]]:
    """Images that go on in other files: {first file: all files, itself the first}."""
    alike: dict[Any, list[Path]] = {}
    for band in images:
        kind = (band.time, band.date, band.role, band.number, band.count, band.dtype, str(band.spec))
        alike.setdefault(kind, []).append(band.path)
    found, specs = {}, {band.path: band.spec for band in images}
    for paths in alike.values():
        if len(paths) > 1 and paths[0] not in found:
            tiles = tiles_of(paths, specs[paths[0]], draft.grid)
            found |= {tiles[0]: tiles} if len(tiles) > 1 else {}
    return found


def refuse_twins(images: Sequence[Band]) -> None:
    """Refuse files of the same name of which nothing says which is from before the event.

    Raises:
        HeadscarpError: there are such.
    """
    named: dict[tuple[str, int, str | None], Path] = {}
    for band in images:
        if band.time or band.date:
            continue
        other = named.setdefault((band.path.name, band.number, band.variable), band.path)
        if other.resolve() != band.path.resolve():
            raise HeadscarpError(
                f"{other} and {band.path} have the same name, and nothing says which is from "
                "before and which from after the event; put pre or post, or a date, into the names of their "
                "folders or files"
            )


def time_of(band: Band, date: str, images: Sequence[Band]) -> tuple[str, str]:
    """Whether a band is from before or after the event, and how that is known."""
    if band.time:
        return band.time, f"{RAW_NAMES[band.time]} the event, by the file's name"
    if band.date and date != PLACEHOLDER and len({one.date for one in images}) > 1:
        time = "pre" if band.date < date else "post"
        return time, f"GUESS {RAW_NAMES[time]} the event, by the date {band.date} in the file's name"
    return (
        "",
        "GUESS after the event, as nothing says otherwise"
        if not band.date
        else f"of {band.date}, by the file's name",
    )


def fetched_windows(dates: Sequence[str]) -> dict[str, Window]:
    """The days of what is fetched: before (`pre`) and after (`post`) the event, or around each date of a
    series, by that date."""
    if len(dates) > 1:
        return {date: (shifted(date, -AROUND_DAYS), shifted(date, AROUND_DAYS)) for date in dates}
    (event,) = dates
    return {
        "pre": (shifted(event, -BEFORE_DAYS), shifted(event, -1)),
        "post": (shifted(event, 1), shifted(event, AFTER_DAYS)),
    }


def add_fetched_images(draft: Draft, satellite: Satellite) -> None:
    """Images before and after the event, or around each date of a series."""
    spec = {"composite": "median", "bands": list(STAC_BANDS), "max_cloud": 60}
    windows = fetched_windows(draft.dates)
    if len(draft.dates) > 1:
        names = {}
        for date, window in windows.items():
            comment = f"GUESS {AROUND_DAYS} days on each side; widen it where clouds remain"
            origin = origin_of(satellite, window, spec | {"composite": "least_cloudy"})
            names[date] = draft.add_file(
                f"image_{date}.tif", origin, "; ".join([comment, *remarks_on(satellite, window)])
            )
        for band in STAC_BANDS:
            draft.rasters.append((band, {"files": names, "band": band, "units": "reflectance"}, ""))
        return
    comments = {
        "pre": f"GUESS {BEFORE_DAYS} days before the event; another season or year may suit better",
        "post": f"GUESS {AFTER_DAYS} days after the event; widen it where clouds remain",
    }
    for time, window in windows.items():
        comment = "; ".join([comments[time], *remarks_on(satellite, window)])
        name = draft.add_file(f"{RAW_NAMES[time]}.tif", origin_of(satellite, window, spec), comment)
        for band in STAC_BANDS:
            draft.rasters.append((f"{time}_{band}", {"file": name, "band": band, "units": "reflectance"}, ""))


def origin_of(satellite: Satellite, window: Window, spec: dict[str, Any]) -> dict[str, Any]:
    """The entry of a file that is fetched."""
    return {"stac": satellite.stac, "from": window[0], "to": window[1]} | spec


def shifted(date: str, days: int) -> str:
    return (datetime.date.fromisoformat(date) + datetime.timedelta(days=days)).isoformat()
