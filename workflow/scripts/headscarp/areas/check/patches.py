"""A set of patches: whether it is whole, what its patches and masks hold, and whether it can be split."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from headscarp.areas.check.files import Place, origin_text
from headscarp.areas.check.findings import (
    ERROR,
    NOTE,
    OK,
    WARNING,
    CheckedPatches,
    CheckedSite,
    ShownPatch,
)
from headscarp.areas.check.landslides import level_of_share
from headscarp.codes import BLOCKED, LAND_COVER, LANDSLIDE, NOT_A_LANDSLIDE, NOT_LANDSLIDE, SPLITS, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.geo.rasters import resolution_m
from headscarp.plan.available import why_not_in_data
from headscarp.plan.read_sites import origins_of
from headscarp.samples.patch_split import patch_split
from headscarp.samples.patches import PlacedPatch
from headscarp.samples.spec import SamplingSpec
from headscarp.site.patch_sheet import UNKNOWN_SIZE_NOTE, Sheet, require_fit
from headscarp.sources.given import paths_of
from headscarp.sources.patch_sets.patch import Patch, Pixels
from headscarp.sources.patch_sets.registry import PatchSet, open_patch_set
from headscarp.sources.unpack import unpack_all

MOST_TOLD = 6  # patches of one kind of fault that are named one by one
MOST_SHOWN, SHOWN_SIDE = 16, 300  # patches on the page, and their pixels a side at most
MOST_CELLS = 200_000_000  # of a sheet that is split here: a byte each
NAMES = {code: name for code, name in enumerate(LAND_COVER)} | {NOT_LANDSLIDE: NOT_A_LANDSLIDE}


@dataclass
class Seen:
    """What all patches hold: rows and columns of each, pixels of each code of its label (patch, code), size
    of its cells on Earth in metres (None: no place), CRS and transform, and least and greatest value and the
    share without data of each channel."""

    patches: list[Patch] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    counts: list[np.ndarray] = field(default_factory=list)
    cells: list[float | None] = field(default_factory=list)
    places: list[tuple[str, Any]] = field(default_factory=list)
    low: list[np.ndarray] = field(default_factory=list)
    high: list[np.ndarray] = field(default_factory=list)
    missing: list[np.ndarray] = field(default_factory=list)

    def add(self, patch: Patch, pixels: Pixels) -> None:
        values = np.where(np.isfinite(pixels.values), pixels.values, np.nan)
        values = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
        absent = np.isnan(values)
        self.patches.append(patch)
        self.sizes.append(pixels.label.shape)
        self.counts.append(np.bincount(pixels.label.ravel(), minlength=UNMAPPED + 1))
        self.cells.append(resolution_m(pixels.place) if pixels.place else None)
        self.places.append((pixels.place.crs, pixels.place.transform) if pixels.place else ("", None))
        self.low.append(np.where(absent, np.inf, values).min(axis=1))
        self.high.append(np.where(absent, -np.inf, values).max(axis=1))
        self.missing.append(absent.mean(axis=1))


def check_patches(
    name: str,
    entry: Mapping[str, Any],
    sampling: Mapping[str, Any],
    protocols: Sequence[str],
    place: Place,
    scratch: Path,
) -> CheckedPatches:
    """Check a set of patches.

    Args:
        entry: the site's part of the card.
        sampling: that of the card with the site's own changes.
        protocols: those of the card.
        scratch: where archives are unpacked.
    """
    checked = CheckedPatches(name=name, title=entry["title"], card=place.card)
    raw = raw_folder(checked, entry, place, scratch)
    if raw is None:
        return checked
    record = {key: value for key, value in entry["patch_set"].items() if key != "shrinks_with_scale"}
    try:
        patch_set = open_patch_set(record, raw)
    except HeadscarpError as error:
        checked.tell(ERROR, "files", "patches", str(error))
        return checked
    seen = read_all(checked, patch_set)
    if not seen.patches:
        return checked
    tell_files(checked, patch_set, seen)
    tell_values(checked, patch_set, seen)
    tell_labels(checked, seen)
    check_split_of_patches(checked, seen, sampling, protocols, entry.get("seed", 0))
    checked.shown = [shown_patch(patch, patch_set) for patch in chosen_to_show(seen)]
    return checked


def raw_folder(checked: CheckedSite, entry: Mapping[str, Any], place: Place, scratch: Path) -> Path | None:
    """The folder in which the set lies as the pipeline has it: the user's files, taken over into `scratch`,
    or what was fetched and unpacked before; None where some are not at hand, which is told."""
    origins = origins_of(dict(entry), f"{checked.card}, site {checked.name}, files")
    given, fetched = {}, {}
    for file, origin in origins.items():
        if "path" not in origin and "data" not in origin:
            fetched[file] = origin_text(origin)
            continue
        path = place.folder / paths_of(origin, place.data)[0]
        if path.exists() and ("path" in origin or place.data):
            given[file] = path
            checked.files[file] = {"path": str(path)}
            continue
        lacks = f"{path} does not exist"
        if "data" in origin:
            first = Path(origin["data"]).parts[0]
            checked.tell(ERROR, "files", file, why_not_in_data(place.data, lacks, first))
        else:
            checked.tell(
                ERROR, "files", file, f"{lacks}; paths start at the folder of config.yaml, correct it"
            )
    there = place.folder / "results" / "sites" / checked.name / "raw"
    if len(given) == len(origins):
        raw = scratch / "raw"
        checked.names |= {str(raw / file): str(path) for file, path in given.items()}
        try:
            unpack_all(given, raw)
        except HeadscarpError as error:
            checked.tell(ERROR, "files", "patches", str(error))
            return None
    elif fetched and there.is_dir():
        raw = there
    else:
        for file, origin in fetched.items():
            command = f"snakemake --cores 1 {there}"
            checked.tell(NOTE, "files", file, f"to be fetched ({origin}): `{command}` does so")
        return None
    checked.names |= {str(raw): f"site {checked.name}"}
    return raw


def read_all(checked: CheckedSite, patch_set: PatchSet) -> Seen:
    """Read every patch as the pipeline does; those that cannot be are told."""
    seen, faults, shape = Seen(), [], None
    for patch in tqdm(patch_set.patches, "patches", leave=False, disable=not sys.stderr.isatty()):
        try:
            pixels = patch.read()
            shape = shape or pixels.values.shape
            require_fit(patch, pixels, (*shape[:2], *(patch.size or shape[2:])), patch_set.patches[0])
        except HeadscarpError as error:
            faults.append((patch, str(error)))
            continue
        seen.add(patch, pixels)
    for patch, text in faults[:MOST_TOLD]:
        checked.tell(ERROR, "files", patch.source, text)
    if len(faults) > MOST_TOLD:
        checked.tell(ERROR, "files", "patches", f"{len(faults) - MOST_TOLD} more cannot be used either")
    return seen


def tell_files(checked: CheckedSite, patch_set: PatchSet, seen: Seen) -> None:
    """How many patches there are, of which sizes, with which masks, and the size of their cells."""
    sizes = sorted(set(seen.sizes), key=lambda size: (size[0] * size[1], size))
    span = " to ".join(f"{rows} x {cols}" for rows, cols in dict.fromkeys((sizes[0], sizes[-1])))
    channels = ", ".join(channel.name for channel in patch_set.channels)
    checked.files["patches"] = {"count": len(seen.patches), "sizes": [list(size) for size in sizes[:100]]}
    checked.tell(OK, "files", "patches", f"{len(seen.patches)} of {span} pixels: {channels}")
    bare = [
        patch for patch, counts in zip(seen.patches, seen.counts, strict=True) if not counts[:UNMAPPED].any()
    ]
    checked.files["patches"]["without_mask"] = len(bare)
    if bare:
        names = ", ".join(patch.source for patch in bare[:MOST_TOLD]) + (
            " …" if len(bare) > MOST_TOLD else ""
        )
        text = f"{len(bare)} of {len(seen.patches)} patches have none, or no label in it ({names})"
        every = len(bare) == len(seen.patches)
        checked.tell(
            ERROR if every else NOTE,
            "files",
            "masks",
            text + ("; nothing can be learnt or scored" if every else ": mapped, never trained or scored on"),
        )
    tell_cells(checked, patch_set.resolution_m, seen.cells)


def tell_cells(checked: CheckedSite, size: float | None, placed: Sequence[float | None]) -> None:
    """The size of cells against that of the patches with a place on Earth."""
    known = [one for one in placed if one is not None]
    if size is None:
        of_files = f"; the files say {min(known):g} to {max(known):g} m" if known else ""
        text = f"{UNKNOWN_SIZE_NOTE}; give it as `resolution_m` of the site's patch_set{of_files}"
        checked.tell(NOTE, "files", "resolution_m", text)
        return
    others = [one for one in known if abs(one - size) > 0.01 * size]
    text = f"cells of {size:g} m"
    if others:
        text += (
            f", but {len(others)} of {len(placed)} files have {min(others):g} to {max(others):g} m; areas "
            f"count cells of {size:g} m"
        )
    checked.tell(WARNING if others else OK, "files", "resolution_m", text)


def tell_values(checked: CheckedSite, patch_set: PatchSet, seen: Seen) -> None:
    """The range of each channel over all patches, and those in which it is constant."""
    low, high, missing = (np.stack(one) for one in (seen.low, seen.high, seen.missing))
    for index, channel in enumerate(patch_set.channels):
        least, most = low[:, index].min(), high[:, index].max()
        if least > most:
            checked.tell(ERROR, "values", channel.name, "holds no data in any patch; take another channel")
            continue
        text = f"{least:.4g} to {most:.4g} {channel.units}"
        flat, empty = int((low[:, index] >= high[:, index]).sum()), float(missing[:, index].mean())
        if empty > 0:
            text += f", {empty:.1%} without data"
        if flat:
            text += f"; constant or empty in {flat} of {len(low)} patches, where it tells nothing"
        checked.tell(WARNING if flat else OK, "values", channel.name, text)


def tell_labels(checked: CheckedSite, seen: Seen) -> None:
    """Classes of the masks, the share of landslides, and how many patches hold some."""
    counts = np.stack(seen.counts)[:, :UNMAPPED]
    total, slides = counts.sum(axis=0), counts[:, LANDSLIDE]
    if not total.any():
        return
    share, masked = float(slides.sum() / total.sum()), int(counts.any(axis=1).sum())
    own = slides[slides > 0] / counts.sum(axis=1)[slides > 0]
    level, hint = level_of_share(share, "say in the patch_set's `values` what the values of masks stand for")
    text = f"{share:.2%} of what is labelled is landslide; {len(own)} of {masked} masks hold some"
    if len(own):
        text += f", {own.min():.2g} to {own.max():.2g} of each"
    checked.landslides = {"share": round(share, 6), "masks": masked, "with_landslides": len(own)}
    checked.tell(level, "landslides", "masks", text + hint)
    if total[LANDSLIDE + 1 :].any():
        classes = ", ".join(
            f"{NAMES[code]} {total[code] / total.sum():.1%}" for code in np.flatnonzero(total)
        )
        checked.tell(OK, "landslides", "classes", classes)
    by_subset = Counter(patch.split for patch, own in zip(seen.patches, slides, strict=True) if own)
    checked.landslides["with_landslides_by_subset"] = dict(by_subset)


def check_split_of_patches(
    checked: CheckedSite, seen: Seen, sampling: Mapping[str, Any], protocols: Sequence[str], seed: int
) -> None:
    """How many patches, windows and landslide pixels each subset gets, at least, of all folds."""
    if not any(counts[LANDSLIDE] for counts in seen.counts):
        return
    sheet = Sheet(seen.sizes)
    if sheet.shape[0] * sheet.shape[1] > MOST_CELLS:
        rows, cols = sheet.shape
        text = f"left out: side by side they are {rows} x {cols} pixels, too many to be split at once"
        checked.tell(NOTE, "split", ", ".join(protocols), text)
        return
    label = np.full(sheet.shape, UNMAPPED, np.uint8)
    placed = []
    for number, patch in enumerate(seen.patches):
        label[sheet.area(number)] = patch.read().label
        (row, col), (height, width), (crs, transform) = (
            sheet.corners[number],
            seen.sizes[number],
            seen.places[number],
        )
        placed.append(
            PlacedPatch(patch.name, patch.split, patch.group, row, col, height, width, crs, transform)
        )
    for protocol in protocols:
        tell_subsets(checked, label, placed, SamplingSpec.from_record(sampling), protocol, seed)


def tell_subsets(
    checked: CheckedSite,
    label: np.ndarray,
    patches: Sequence[PlacedPatch],
    spec: SamplingSpec,
    protocol: str,
    seed: int,
) -> None:
    """What each subset gets under a protocol, or why the set cannot be split."""
    folds = spec.folds if protocol == BLOCKED else 1
    least: dict[str, tuple[int, int]] = {}
    note = ""
    try:
        for fold in range(folds):
            split, note = patch_split(label, spec, seed, patches, protocol, fold=fold)
            for code, name in enumerate(SPLITS, start=1):
                own = split.regions == code
                windows = sum(window.split == name for window in split.windows)
                found = windows, int((own & (label == LANDSLIDE)).sum())
                least[name] = min(least.get(name, found), found)
    except HeadscarpError as error:
        checked.tell(WARNING, "split", protocol, str(error))
        return
    checked.split[protocol] = {
        "folds": folds,
        "least_windows": {name: windows for name, (windows, _) in least.items()},
        "least_landslide_pixels": {name: slides for name, (_, slides) in least.items()},
    }
    listed = ", ".join(
        f"{name} {windows} windows with {slides} landslide pixels"
        for name, (windows, slides) in least.items()
    )
    at_least = f"{folds} folds, of each at least: " if folds > 1 else ""
    few = least["train"][0] < 20 or least["test"][1] < 100
    text = f"{at_least}{listed}{'; few to learn from or to score on' if few else ''}; {note}"
    checked.tell(WARNING if few else OK, "split", protocol, text)


def chosen_to_show(seen: Seen) -> list[Patch]:
    """Patches for the page, spread over the set, those with landslides before others."""
    slides = [patch for patch, counts in zip(seen.patches, seen.counts, strict=True) if counts[LANDSLIDE]]
    of = slides if len(slides) >= min(MOST_SHOWN, len(seen.patches)) else seen.patches
    steps = np.linspace(0, len(of) - 1, min(MOST_SHOWN, len(of)))
    return [of[index] for index in steps.round().astype(int)]


def shown_patch(patch: Patch, patch_set: PatchSet) -> ShownPatch:
    """A patch thinned for the page: red, green and blue of its last date, or its first channels."""
    pixels, names = patch.read(), [channel.name for channel in patch_set.channels]
    colours = [names.index(band) for band in ("red", "green", "blue") if band in names]
    colours = colours if len(colours) == 3 else [min(index, len(names) - 1) for index in range(3)]
    step = max(1, -(-max(pixels.label.shape) // SHOWN_SIDE))
    image = np.moveaxis(pixels.values[-1, colours, ::step, ::step], 0, -1)
    labelled = pixels.label != UNMAPPED
    share = float((pixels.label == LANDSLIDE).sum() / labelled.sum()) if labelled.any() else None
    return ShownPatch(patch.name, image, pixels.label[::step, ::step], share)
