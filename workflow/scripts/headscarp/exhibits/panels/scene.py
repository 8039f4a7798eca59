"""A site that runs are scored on, and what they find in it, invent and miss."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from headscarp.arrays import open_array
from headscarp.codes import LANDSLIDE, TEST, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.layers import layer_path, site_grid
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.ground import (
    TRUE_COLOUR,
    band_limits,
    composite,
    grey_relief,
    image_bands,
    paint,
    tone,
)
from headscarp.exhibits.panels.legend import swatches
from headscarp.exhibits.panels.marks import hatch, outline, show
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.panels.windows import Window
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import record
from headscarp.files import read_json
from headscarp.samples.ground import part_of_collage


def whole_view(site: SiteFiles) -> View:
    """A site at full resolution."""
    grid = site_grid(site)
    return View.of(grid, max(grid.shape))


def samples_of(site: SiteFiles, protocol: str) -> Path:
    """Folder of the samples of a site under a protocol.

    Raises:
        HeadscarpError: the site has none.
    """
    if protocol not in site.samples:
        raise HeadscarpError(
            f"site '{site.name}' has no samples of protocol '{protocol}'; make them, or leave the "
            f"protocol out of the exhibit"
        )
    return site.samples[protocol]


def regions_of(site: SiteFiles, protocol: str, view: View) -> np.ndarray:
    """Regions of a protocol's split, thinned: 0 unused, 1 train, 2 validation, 3 test."""
    return view.thin(open_array(samples_of(site, protocol) / "regions.npy"))


def site_shown(spec: ExhibitSpec) -> SiteFiles:
    """Where the maps of an exhibit of runs lie: its site or, with the option `elsewhere`, its target."""
    return spec.target if spec.options.get("elsewhere") else spec.only_site()


def regions_shown(spec: ExhibitSpec, protocol: str, view: View) -> np.ndarray:
    """Regions of that site, thinned, as in `regions_of`: of a target all is test."""
    if spec.options.get("elsewhere"):
        return np.full(view.shape, TEST, np.uint8)
    return regions_of(spec.only_site(), protocol, view)


OUTCOMES = {
    "found": palette.TRUE_POSITIVE,
    "false": palette.FALSE_POSITIVE,
    "missed": palette.FALSE_NEGATIVE,
}
CONFUSION = tuple(zip(OUTCOMES.values(), ("True positive", "False positive", "False negative"), strict=True))
FADED = 0.55  # how far an image is washed out below the colours of outcomes


def outcomes(mapped: np.ndarray, slide: np.ndarray, scored: np.ndarray) -> dict[str, np.ndarray]:
    """{outcome: mask (row, col)} of the scored pixels: landslides found, false ones, and missed ones."""
    masks = mapped & slide, mapped & ~slide, ~mapped & slide
    return {outcome: mask & scored for outcome, mask in zip(OUTCOMES, masks, strict=True)}


def paint_outcomes(image: np.ndarray, masks: Mapping[str, np.ndarray]) -> None:
    """Lay the colours of outcomes over an image (row, col, 3), in place."""
    for outcome, mask in masks.items():
        paint(image, mask, OUTCOMES[outcome])


def outcome_handles() -> list[Rectangle]:
    """Legend handles of the outcomes."""
    return swatches((colour, outcome.capitalize()) for outcome, colour in OUTCOMES.items())


def outcome_records(
    spec: ExhibitSpec, row: str, masks: Mapping[str, np.ndarray], **rest: Any
) -> Iterator[dict[str, Any]]:
    """Tidy records of the number of pixels of each outcome."""
    for outcome, mask in masks.items():
        yield record(spec, row, f"{outcome}_pixels", float(mask.sum()), **rest)


@dataclass(frozen=True)
class Scene:
    """A scored site under one protocol: reference (row, col), evaluated pixels (row, col), and how its image
    is stretched."""

    site: SiteFiles
    channels: Sequence[str]
    limits: np.ndarray
    label: np.ndarray
    tested: np.ndarray

    def view(self, window: Window) -> View:
        return View.of(site_grid(self.site), window=window)

    def image(self, view: View) -> np.ndarray:
        return composite(view, self.site, self.channels, self.limits)

    def faded(self, view: View) -> np.ndarray:
        """The image washed out, as a ground for colours."""
        return (1 - FADED) * self.image(view) + FADED


def scene_of(spec: ExhibitSpec, site: SiteFiles) -> Scene:
    """A site whose labelled pixels all count, with the stretch of its image."""
    channels = spec.options.get("composite", TRUE_COLOUR)
    limits = band_limits(image_bands(View.of(site_grid(site)), site, channels))
    label = whole_view(site).read(layer_path(site, "label"), classes=True)
    return Scene(site, channels, limits, label, label != UNMAPPED)


def scenes_of(spec: ExhibitSpec) -> dict[str, Scene]:
    """{protocol: scene} of an exhibit of runs: its site with the pixels evaluated under the protocol or, with
    the option `elsewhere`, its target site, where all labelled pixels are evaluated, or those of a scene that
    lie in the evaluated region of its collage.

    Raises:
        HeadscarpError: samples are missing, or no pixel is evaluated.
    """
    if spec.options.get("elsewhere"):
        scene = scene_of(spec, spec.target)
        scenes = {protocol: of_collage(scene, spec.only_site(), protocol) for protocol in spec.protocols}
    else:
        scene = scene_of(spec, spec.only_site())
        scenes = {protocol: tested_part(scene, protocol) for protocol in spec.protocols}
    for protocol, one in scenes.items():
        if not one.tested.any():
            raise HeadscarpError(
                f"exhibit '{spec.name}' ({spec.kind}): site '{one.site.name}' has no labelled pixel to "
                f"evaluate under '{protocol}'; "
                "make its samples again, or leave the protocol out of the exhibit"
            )
    return scenes


def of_collage(scene: Scene, trained_on: SiteFiles, protocol: str) -> Scene:
    """A scene of the collage that runs were trained on, of which only the test region of a protocol counts;
    any other scene as it is."""
    part = part_of_collage(samples_of(trained_on, protocol), scene.site.name)
    return replace(scene, tested=scene.tested & (part[0] == TEST)) if part else scene


def tested_part(scene: Scene, protocol: str) -> Scene:
    """A scene of which only the test region of a protocol counts."""
    regions = regions_of(scene.site, protocol, whole_view(scene.site))
    return replace(scene, tested=scene.tested & (regions == TEST))


def nothing_to_show(spec: ExhibitSpec, protocol: str) -> HeadscarpError:
    return HeadscarpError(
        f"exhibit '{spec.name}' ({spec.kind}): the evaluated region of site '{spec.only_site().name}' "
        f"under protocol '{protocol}' holds no "
        "landslide to show; make the samples with another seed, or leave the protocol out of the exhibit"
    )


def classes_of(run: RunFiles, scene: Scene) -> np.ndarray:
    """The class map (row, col) of a run at full resolution."""
    return whole_view(scene.site).read(run.maps / "classes.tif", classes=True)


def draw_reference(axes: Axes, scene: Scene, view: View, width: float) -> None:
    """The image with the outlines of reference landslides."""
    show(axes, scene.image(view), view)
    outline(axes, view.thin(scene.label) == LANDSLIDE, view, palette.IMAGE_SLIDE, width)


def draw_on_tested(axes: Axes, scene: Scene, view: View, image: np.ndarray) -> None:
    """A picture (row, col, 3) with the border of the evaluated region."""
    tested = view.thin(scene.tested)
    show(axes, image, view)
    if not tested.all():
        outline(axes, tested, view, "black", 0.6)


def tested_handles(scenes: Iterable[Scene]) -> list[Line2D]:
    """Legend handle of that border, where a scene has one."""
    bordered = any(not scene.tested.all() for scene in scenes)
    return [Line2D([], [], color="black", lw=0.8, label="Evaluated region")] if bordered else []


def reference_handles(scenes: Iterable[Scene]) -> list[Any]:
    """Legend handles of references, outcomes and evaluated regions."""
    reference = Line2D([], [], color=palette.IMAGE_SLIDE, lw=1.4, label="Reference landslide")
    return [reference, *outcome_handles(), *tested_handles(scenes)]


def draw_outcomes(axes: Axes, scene: Scene, view: View, run: RunFiles) -> dict[str, np.ndarray]:
    """The washed-out image with the outcomes of a run's probabilities; returns their masks, as drawn."""
    threshold = read_json(run.maps / "scores.json")["threshold"]
    mapped = view.read(run.maps / "probability.tif", classes=True) >= threshold
    masks = outcomes(mapped, view.thin(scene.label) == LANDSLIDE, view.thin(scene.tested))
    image = scene.faded(view)
    paint_outcomes(image, masks)
    draw_on_tested(axes, scene, view, image)
    return masks


def draw_inventory(axes: Axes, site: SiteFiles, view: View) -> None:
    """Mapped landslides over grey relief, unmapped land hatched."""
    label = view.read(layer_path(site, "label"), classes=True)
    image = grey_relief(tone(view, site), label)
    paint(image, label == LANDSLIDE, palette.SLIDE)
    show(axes, image, view)
    hatch(axes, label == UNMAPPED, view)
