"""What a new card takes every file for, and what it does not take and why, for the terminal."""

import re
from collections.abc import Iterator

from headscarp.areas.init.draft import Draft, Entry

ELEVATION, LABELS = "elevation", "landslides"


def summary(draft: Draft) -> list[str]:
    """Lines for people: the outline and its grid, each file with what it is taken for, landslides or that
    there are none, and every file, layer and band that is not used with the reason."""
    grid = draft.grid
    km2 = grid.height * grid.width * grid.resolution**2 / 1e6
    lines = [
        f"outline: {'; '.join(draft.outline_notes)}",
        f"grid: {grid.height} x {grid.width} cells of {grid.resolution:g} m ({km2:.4g} km2) in {grid.crs}",
        *([draft.resolution] if draft.resolution else []),
        f"dates: {', '.join(draft.dates)} ({draft.why_dates})",
    ]
    for entry in draft.files[1:]:
        lines += told_of(draft, entry)
    if not draft.labels and not draft.cells:
        lines.append(
            f"{LABELS}: no file is an inventory, so nothing can be trained or scored here; reasons below"
        )
    elif draft.why_labels:
        lines.append(f"labels: {draft.why_labels}")
    lines += [f"not fetched: {text}" for text in draft.not_fetched]
    return [*lines, *(f"not used: {text}" for text in draft.unused)]


def told_of(draft: Draft, file: Entry) -> Iterator[str]:
    """A file's line, and one for each thing that is guessed, or to be warned of, in what is read from it."""
    name, origin, comment = file
    layers = [(layer, why) for layer, entry, why in draft.rasters if name in files_of(entry)]
    what = ", ".join(layer for layer, _ in layers) or use_of(draft, name)
    yield f"{what}: {source_of(origin)}{f' ({comment})' if comment else ''}"
    guesses = {layer: guesses_in(why) for layer, why in layers}
    for guess in dict.fromkeys(guess for those in guesses.values() for guess in those):
        yield f"  {guess}: {', '.join(layer for layer, those in guesses.items() if guess in those)}"


def guesses_in(comment: str) -> list[str]:
    """What of a comment is a guess or a warning, without the values that it was seen by."""
    told = [part for part in comment.split("; ") if "GUESS" in part or "WARNING" in part]
    return [re.sub(r" \(values up to [^)]*\)", "", part) for part in told]


def files_of(raster: dict) -> list[str]:
    """The raw files of a layer's entry."""
    return list(raster["files"].values()) if "files" in raster else [raster["file"]]


def use_of(draft: Draft, name: str) -> str:
    """What a raw file that no raster layer reads is for."""
    given = [draft.labels, *(draft.cells.get(kind, {}) for kind in ("polygons", "points"))]
    if any(name in (one.get("landslides"), one.get("classes"), one.get("file")) for one in given):
        return LABELS
    if any(name == one.get("area") for one in given):
        return "mapped area"
    lines = [layer for layer, file, _ in draft.lines if file == name]
    return lines[0] if lines else ELEVATION


def source_of(origin: dict) -> str:
    """Where a file comes from, in words."""
    if "stac" in origin:
        return f"to be fetched ({origin['stac']})"
    paths = [origin["path"]] if isinstance(origin["path"], str) else origin["path"]
    chosen = f", layer {origin['layer']}" if "layer" in origin else ""
    return " + ".join(paths) + chosen
