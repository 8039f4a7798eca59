"""The scenes of a collage: what was found in each, and whether they fit together."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from headscarp.areas.check.findings import ERROR, NOTE, Checked, CheckedSite
from headscarp.areas.check.split import seen_label, tell_split
from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.samples.spec import SamplingSpec
from headscarp.site.collage import pixel_size_notes, require_alike, scene_placements, stacked_strips
from headscarp.site.cube import Cube
from headscarp.site.label_rasters import SLIDE_NAMES
from headscarp.site.layer_names import channel_names


def check_collage(
    name: str,
    entry: Mapping[str, Any],
    scenes: Mapping[str, Checked],
    sampling: Mapping[str, Any],
    card: str,
) -> CheckedSite:
    """Check a site that joins scenes.

    Args:
        entry: its part of the card.
        scenes: {site: what was found} in their order.
        sampling: that of the card with the site's own changes.
    """
    checked = CheckedSite(name=name, title=entry["title"], card=card)
    for scene, found in scenes.items():
        checked.tell(found.status, "scenes", scene, f"{found.verdict}; {land_of(found)}")
    cubes = {scene: cube_of(found) for scene, found in scenes.items()}
    try:
        require_alike(name, cubes)
    except HeadscarpError as error:
        checked.tell(ERROR, "scenes", "channels", str(error))
    for note in pixel_size_notes(cubes):
        checked.tell(NOTE, "scenes", "pixels", note)
    check_split_of_scenes(checked, cubes, scenes, sampling, entry.get("seed", 0))
    return checked


def land_of(found: Checked) -> str:
    """How much of a scene is mapped, and landslide."""
    if found.label is None or not (found.label != UNMAPPED).any():
        return "without labels"
    mapped = found.label != UNMAPPED
    slides = np.sum(found.label == LANDSLIDE)
    return f"{mapped.mean():.0%} of it is mapped, {slides / mapped.sum():.2%} of that is landslide"


def cube_of(found: Checked) -> Cube:
    """What the cube of a scene will be, without its values."""
    layers = found.said
    names = (layers.get("labels") or {}).get("names", SLIDE_NAMES)
    header = {
        "channels": [{"name": channel} for channel in channel_names(layers)],
        "dates": [layers["dates"]] if isinstance(layers["dates"], str) else layers["dates"],
        "classes": {str(code): text for code, text in names.items()},
        "grid": found.grid.to_record(),
    }
    label = np.full(found.view.shape, UNMAPPED, np.uint8) if found.label is None else seen_label(found)
    return Cube(np.empty((1, 0, *label.shape), np.float32), label, np.zeros((0, 0), np.int32), header)


def check_split_of_scenes(
    checked: CheckedSite,
    cubes: Mapping[str, Cube],
    scenes: Mapping[str, Checked],
    sampling: Mapping[str, Any],
    seed: int,
) -> None:
    """How many windows and landslides each subset gets of all scenes together."""
    lacking = [scene for scene, found in scenes.items() if found.label is None]
    large = [scene for scene, found in scenes.items() if found.thinning > 1]
    for which, why in ((lacking, "has no labels at hand"), (large, "is too large to be split before a run")):
        if which:
            checked.tell(NOTE, "split", "blocked", f"left out: {which[0]} {why}")
            return
    gap = SamplingSpec.from_record(sampling).window
    width = max(cube.label.shape[1] for cube in cubes.values())
    label = np.concatenate(
        list(stacked_strips([cube.label for cube in cubes.values()], width, gap, UNMAPPED))
    )
    tell_split(checked, label, sampling, seed, scene_placements(cubes, gap))
