"""Scenes of a user: the layers of each, and a collage, one cube that holds several of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from affine import Affine

from headscarp.arrays import stream_array
from headscarp.codes import UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, read_json, write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import Layer
from headscarp.site.cube import Cube, open_cube
from headscarp.site.layers import build_layers
from headscarp.site.scene import prepare_scene
from headscarp.site.stack import ROWS_AT_ONCE, SERIES_KEYS
from headscarp.vocabulary import require_known

NO_LOCATION_NOTE = (
    "a collage of scenes has no place on Earth: its grid has the CRS "
    "and the resolution of the first scene, and its own corner at 0, 0"
)


def build_scene_layers(
    record: Mapping[str, Any],
    raw_folder: str | Path,
    terrain_folder: str | Path | None,
    out_folder: str | Path,
) -> None:
    """Check a user's scene and write its layers as `build_layers` does; `layers.json` begins its notes with
    those of the check.

    Args:
        record: as `site.scene.check_scene` takes it.

    Raises:
        HeadscarpError: any file is unfit; the message names it and the remedy. Nothing is written then.
    """
    with (
        atomic_path(out_folder) as whole,
        TemporaryDirectory(dir=Path(out_folder).parent, prefix=".scene.") as prepared,
    ):
        ready, notes = prepare_scene(record, raw_folder, prepared)
        build_layers(ready, prepared, terrain_folder, whole)
        manifest = read_json(whole / "layers.json")
        write_json(whole / "layers.json", manifest | {"notes": notes + manifest["notes"]})


def join_scenes(name: str, scenes: Mapping[str, str | Path], out_folder: str | Path, gap: int) -> None:
    """Write the cube of the site `name` that holds the cubes of several scenes one below the other:
    `cube.npy`, `label.npy`, … `cube.json`.

    Between scenes, and beside narrower ones, everything is no data (NaN, label 255, instance 0), so that with
    a `gap` of a window or more no window sees two scenes. Slides are numbered on from scene to scene.
    cube.json has, beside the usual, `scenes`: [{name, site, row, height, width, grid}] (the rows of each in
    the collage, and its place on Earth) and `notes`; dates that differ between scenes are joined by a comma,
    and `series` is left to the scenes.

    Args:
        scenes: {site: folder of its cube} in their order from the top.
        gap: rows between two scenes.

    Raises:
        HeadscarpError: fewer than two scenes, a file is missing or truncated, or channels or classes differ
            between scenes.
    """
    if len(scenes) < 2:
        raise HeadscarpError(
            f"site {name}: a collage needs two scenes or more, it lists {len(scenes)}; add scenes of the card"
        )
    if gap < 1:
        raise HeadscarpError(f"site {name}: the gap between scenes is {gap} rows; make it one window or more")
    out = Path(out_folder)
    cubes = {site: open_cube(folder) for site, folder in scenes.items()}
    require_alike(name, cubes)
    headers = [cube.header for cube in cubes.values()]
    placed = scene_placements(cubes, gap)
    height, width = placed[-1]["row"] + placed[-1]["height"], max(scene["width"] for scene in placed)
    times, channels = next(iter(cubes.values())).values.shape[:2]

    def strips_of_planes() -> Iterator[np.ndarray]:
        for time, channel in product(range(times), range(channels)):
            planes = [cube.values[time, channel] for cube in cubes.values()]
            yield from stacked_strips(planes, width, gap, np.nan)

    stream_array(out / "cube.npy", np.float32, (times, channels, height, width), strips_of_planes())
    stream_array(
        out / "label.npy",
        np.uint8,
        (height, width),
        stacked_strips([cube.label for cube in cubes.values()], width, gap, UNMAPPED),
    )
    stream_array(
        out / "instances.npy",
        np.int32,
        (height, width),
        stacked_strips(renumbered_instances(cubes.values()), width, gap, 0),
    )
    first = Grid.from_record(headers[0]["grid"])
    grid = Grid(first.crs, Affine(first.transform.a, 0, 0, 0, first.transform.e, 0), height, width)
    dates = [
        ", ".join(dict.fromkeys(str(header["dates"][time]) for header in headers)) for time in range(times)
    ]
    data = "real" if all(header["data"] == "real" for header in headers) else "twin"
    header = {key: value for key, value in headers[0].items() if key not in SERIES_KEYS}
    joined = {
        "site": name,
        "data": data,
        "grid": grid.to_record(),
        "dates": dates,
        "channels": channels_of_all(headers),
        "scenes": placed,
    }
    write_json(out / "cube.json", header | joined | {"notes": [NO_LOCATION_NOTE, *pixel_size_notes(cubes)]})


def require_alike(name: str, cubes: Mapping[str, Cube]) -> None:
    """All scenes have the same channels in the same order, as many dates and the same classes.

    Raises:
        HeadscarpError: they have not; the message names the first scene and channel that differ.
    """
    (first, model), *others = cubes.items()
    remedy = "give the `layers` of all scenes the same rasters, terrain and indices in the same order"
    for site, cube in others:
        for wanted, found in zip(model.channels, cube.channels, strict=False):
            if wanted != found:
                if found not in model.channels:
                    how = f"scene {first} lacks the channel '{found}'"
                elif wanted not in cube.channels:
                    how = f"scene {site} lacks the channel '{wanted}'"
                else:
                    how = f"their channels stand in another order, '{found}' first"
                raise HeadscarpError(
                    f"site {name}: scenes {first} and {site} do not fit together: {how}; {remedy}"
                )
        if len(model.channels) != len(cube.channels):
            longer, shorter = (first, site) if len(model.channels) > len(cube.channels) else (site, first)
            extra = cubes[longer].channels[len(cubes[shorter].channels)]
            raise HeadscarpError(
                f"site {name}: scenes {first} and {site} do not fit together: "
                f"scene {shorter} lacks the channel '{extra}'; {remedy}"
            )
        one, other = len(model.header["dates"]), len(cube.header["dates"])
        if one != other:
            raise HeadscarpError(
                f"site {name}: scenes {first} and {site} have different "
                f"numbers of dates ({one} and {other}); give both as many"
            )
        one, other = model.header.get("classes"), cube.header.get("classes")
        if one != other:
            raise HeadscarpError(
                f"site {name}: scenes {first} and {site} have different "
                f"classes ({one} and {other}); give both the same in the card"
            )


def channels_of_all(headers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The channels as the first scene describes them; one that is dated or masked in any scene is so in the
    collage."""
    channels = []
    for alike in zip(*(header["channels"] for header in headers), strict=True):
        dated = any(channel.get("dated", False) for channel in alike)
        masked = any(channel.get("masked", False) for channel in alike)
        channels.append(alike[0] | {"dated": dated, "masked": masked})
    return channels


def scene_placements(cubes: Mapping[str, Cube], gap: int) -> list[dict[str, Any]]:
    """Where each scene stands in the collage (its first row and size) and on Earth (its grid)."""
    placed, row = [], 0
    for site, cube in cubes.items():
        height, width = cube.label.shape
        placed.append(
            {
                "name": site,
                "site": site,
                "row": row,
                "height": height,
                "width": width,
                "grid": cube.header["grid"],
            }
        )
        row += height + gap
    return placed


def pixel_size_notes(cubes: Mapping[str, Cube]) -> list[str]:
    """A note where the scenes' pixels differ in size, since areas are counted in those of the first."""
    sizes = {site: Grid.from_record(cube.header["grid"]).resolution for site, cube in cubes.items()}
    if np.ptp(list(sizes.values())) <= 0.01 * min(sizes.values()):
        return []
    listed = ", ".join(f"{site} {size:g}" for site, size in sizes.items())
    return [
        f"pixels of the scenes differ in size ({listed}); they are joined "
        "pixel by pixel, and areas are counted in those of the first"
    ]


def stacked_strips(arrays: Sequence[np.ndarray], width: int, gap: int, fill: float) -> Iterator[np.ndarray]:
    """Arrays (row, col) one below the other as strips (rows, width), filled beside the narrower ones and in
    `gap` rows between two."""
    for number, array in enumerate(arrays):
        if number:
            yield np.full((gap, width), fill, array.dtype)
        for top in range(0, len(array), ROWS_AT_ONCE):
            strip = array[top : top + ROWS_AT_ONCE]
            yield np.pad(strip, ((0, 0), (0, width - strip.shape[1])), constant_values=fill)


def renumbered_instances(cubes: Sequence[Cube]) -> list[np.ndarray]:
    """Instances of each scene, numbered on after the greatest number of the scenes above."""
    last, numbered = 0, []
    for cube in cubes:
        numbered.append(np.where(cube.instances > 0, cube.instances + np.int32(last), np.int32(0)))
        last += int(cube.instances.max(initial=0))
    return numbered


def cut_scene(layer: Layer, header: Mapping[str, Any], name: str) -> Layer:
    """The part of a collage's map that one scene holds, back on the scene's own grid.

    Args:
        header: cube.json of the collage.

    Raises:
        HeadscarpError: the collage has no such scene.
    """
    scenes = {scene["name"]: scene for scene in header["scenes"]}
    scene = scenes[require_known(name, scenes, f"site {header['site']}: scene")]
    rows = slice(scene["row"], scene["row"] + scene["height"])
    return replace(layer, values=layer.values[rows, : scene["width"]], grid=Grid.from_record(scene["grid"]))
