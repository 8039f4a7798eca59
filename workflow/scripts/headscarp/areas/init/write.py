"""`headscarp init`: the files it writes."""

import datetime
import math
import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from headscarp.areas.guess.files import look_at
from headscarp.areas.guess.vectors import layer_named
from headscarp.areas.init.card import card_text, drafted
from headscarp.areas.init.draft import PLACEHOLDER, Draft
from headscarp.areas.init.frame import Frame, frame_of, with_mask, write_frame
from headscarp.areas.init.outline import LOOK_M, read_outline
from headscarp.areas.init.pictures import PictureDraft, drafted_pictures, write_pictures
from headscarp.areas.init.susceptibility import drafted_susceptibility, susceptibility_text
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path

AREAS = Path("areas")
CELL = 30.0  # metres, of susceptibility


def write_card(
    outline: str | Path,
    files: Sequence[str | Path] = (),
    name: str | None = None,
    event: str | None = None,
    resolution: float | None = None,
    dates: Sequence[str] = (),
    folder: str | Path = ".",
    susceptibility: bool = False,
    year: str | None = None,
    frame: Frame | None = None,
) -> tuple[Path, Draft]:
    """Write `areas/<name>.yaml` below `folder`, the working folder; returns its path and what it says.

    Args:
        outline: vector file with the polygons of the study area, any CRS; with a layer as QGIS writes it
            (`project.gpkg|layername=study_area`) where it has several, as each of the files.
        files: rasters and vectors, any CRS; side files such as .dbf are passed over.
        name: of the area; that of the outline's file unless given.
        event: ISO date of the landslides; parts images into before and after, and sets the windows of what is
        fetched.
        resolution: of the grid in metres; unless given that of the images (see `cells_for`), of
            susceptibility `CELL`.
        dates: ISO dates of a series of images, the last one that of the labels; one image of each date is
        taken, or fetched.
        susceptibility: the card maps where landslides may come; the first of the files is the inventory, the
        others are factors.
        year: column of the inventory with the years of landslides, for susceptibility.
        frame: of pictures whose place, and with it the outline, is made up (see `write_framed_card`).

    Raises:
        HeadscarpError: the outline or a file is missing, the outline has no polygons or no CRS, a date, the
            name or the resolution is unfit, the card exists already, there is neither an image nor a date, no
            satellite has images of the date, or no landslide of a dated inventory is of the event; of
            susceptibility, there is no inventory, or no years in its column.
    """
    folder = Path(folder)
    name = name or name_of(layer_named(outline)[0])
    target = target_of(name, folder)
    if year and not susceptibility:
        raise HeadscarpError(
            f"--year {year} dates the landslides of --susceptibility; add that, or leave it out"
        )
    if dates and susceptibility:
        raise HeadscarpError(
            "--dates is for series of images, which --susceptibility does not read; leave it out"
        )
    if resolution is not None and not (math.isfinite(resolution) and resolution > 0):
        raise HeadscarpError(f"--resolution {resolution} is no size of a cell; give metres above 0")
    event, dates = iso(event, "--event") if event else None, [iso(one, "--dates") for one in dates]
    event = None if event == PLACEHOLDER else event
    if dates != sorted(set(dates)):
        raise HeadscarpError(
            f"--dates {' '.join(dates)} do not rise; give each date once, the earliest first"
        )
    read = read_outline(outline)
    paths = [Path(one) for one in files]
    if susceptibility:
        draft = drafted_susceptibility(name, read, paths, event, year, resolution or CELL, folder)
        text = susceptibility_text(draft)
    else:
        found = look_at(paths, read.grid(LOOK_M))
        if frame:
            read, found = replace(read, notes=[frame.told]), with_mask(found)
        draft = drafted(name, read, found, event, dates, resolution, folder, frame is not None)
        text = card_text(draft)
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target, draft


def write_framed_card(
    pictures: Sequence[str | Path],
    name: str | None = None,
    pixel: float | None = None,
    event: str | None = None,
    resolution: float | None = None,
    folder: str | Path = ".",
) -> tuple[Path, Draft]:
    """Write `areas/<name>.yaml` below `folder`, the working folder, for pictures without CRS that show one
    frame, such as a photo and its mask, and `areas/<name>/`, their made-up place; returns the path of the
    card and what it says.

    Args:
        name: of the area; that of the first picture unless given.
        pixel: the size of its pixels in metres, where its world file does not tell it.
        event, resolution: as `write_card` takes them.

    Raises:
        HeadscarpError: as `frame_of`, `write_frame` and `write_card`, the size of a pixel is unfit, or the
            folder of the made-up place exists.
    """
    folder, paths = Path(folder), [Path(one) for one in pictures]
    name = name or name_of(paths[0])
    target = target_of(name, folder)
    require_size(pixel)
    if target.with_suffix("").exists():
        raise HeadscarpError(
            f"{target.with_suffix('')} exists already, and the place of the pictures would be written there; "
            "remove it, or give another --name"
        )
    frame = frame_of(paths, pixel)
    outline, *files = write_frame(paths, frame, target.with_suffix(""))
    try:
        return write_card(outline, files, name, event, resolution, folder=folder, frame=frame)
    except BaseException:
        shutil.rmtree(outline.parent)
        raise


def write_picture_card(
    images: str | Path,
    masks: str | Path,
    name: str,
    pixel: float | None = None,
    folder: str | Path = ".",
) -> tuple[Path, PictureDraft]:
    """Write `areas/<name>.yaml` below `folder`, the working folder, for two folders of pictures and their
    masks; returns its path and what it says.

    Args:
        pixel: the size of a pixel in metres, where the pictures do not tell it.

    Raises:
        HeadscarpError: the name or the size is unfit, the card exists already, or the folders are no pictures
            with masks (see `drafted_pictures`).
    """
    folder = Path(folder)
    target = target_of(name, folder)
    require_size(pixel)
    draft = drafted_pictures(name, Path(images), Path(masks), pixel, folder)
    write_pictures(draft, target)
    return target, draft


def require_size(pixel: float | None) -> None:
    """Refuse a size of a pixel in metres that is none.

    Raises:
        HeadscarpError: it is given and not above 0.
    """
    if pixel is not None and not (math.isfinite(pixel) and pixel > 0):
        raise HeadscarpError(f"--pixel {pixel} is no size of a pixel; give metres above 0")


def target_of(name: str, folder: Path) -> Path:
    """Where the card of a new area is written.

    Raises:
        HeadscarpError: the name is unfit, or there is such a card.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise HeadscarpError(
            f"--name '{name}' cannot name an area: use lower-case letters, digits and _, a letter first"
        )
    target = folder / AREAS / f"{name}.yaml"
    if target.exists():
        raise HeadscarpError(
            f"{target} exists already and stays as it is; edit it, remove it, or give another --name"
        )
    return target


def write_config(name: str, folder: str | Path = ".") -> Path | None:
    """Write `config.yaml` below `folder` for the card `name`, unless there is one; its path if it was
    written."""
    path = Path(folder) / "config.yaml"
    if path.exists():
        return None
    with atomic_path(path) as temporary:
        temporary.write_text(
            f"cards: [{name}]   # what plain `snakemake` runs\n"
            "scale: standard   # tiny (does everything run?) | demo (minutes, a first look) | "
            "standard (until networks have learned, hours) | full (wants a GPU)\n",
            encoding="utf-8",
        )
    return path


def snakefile_option(folder: str | Path = ".") -> str:
    """What `snakemake` must be told to find the workflow from `folder`: nothing in the repository itself."""
    snakefile = Path(__file__).resolve().parents[5] / "Snakefile"
    if (Path(folder) / "Snakefile").exists() or not snakefile.exists():
        return ""
    return f" --snakefile {shlex.quote(str(snakefile))}"


def name_of(outline: Path) -> str:
    """A name for an area from its outline's file: `Atsuma-AOI.geojson` gives atsuma."""
    found = re.sub(r"[^a-z0-9]+", "_", outline.stem.lower()).strip("_")
    found = re.sub(r"_?(aoi|outline|area|boundary|extent)$", "", found) or found
    if not found or not found[0].isalpha():
        found = f"area_{found}".rstrip("_")
    return found


def iso(text: str, what: str) -> str:
    try:
        return datetime.date.fromisoformat(str(text)).isoformat()
    except ValueError:
        raise HeadscarpError(f"{what} '{text}' is no date; write it as 2018-09-06") from None
