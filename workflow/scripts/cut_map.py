"""Rule cut_map: the part of a collage's maps that one scene holds, on the scene's own grid."""

from collections.abc import Mapping
from typing import Any

from headscarp.files import read_json
from headscarp.geo.layer import read_any_layer, write_layer
from headscarp.job import job
from headscarp.site.collage import cut_scene


def cut(maps: Mapping[str, str], header: Mapping[str, Any], scene: str) -> None:
    """Write the part of each map, {map of the collage: map of the scene}, that a scene of the collage holds;
    `header` is the collage's cube.json."""
    for whole, part in maps.items():
        write_layer(part, cut_scene(read_any_layer(whole), header, scene))


if "snakemake" in globals():
    with job(snakemake.log[0]):
        cut(
            dict(zip(snakemake.input.maps, snakemake.output, strict=True)),
            read_json(snakemake.input.cube),
            snakemake.wildcards.place,
        )
