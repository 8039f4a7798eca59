"""Rule cut_map: the part of a collage's map that one scene holds, on the scene's own grid."""

from headscarp.files import read_json
from headscarp.geo.layer import read_layer, write_layer
from headscarp.job import job
from headscarp.site.collage import cut_scene

if "snakemake" in globals():
    with job(snakemake.log[0]):
        layer = read_layer(snakemake.input.probability)
        write_layer(
            snakemake.output[0], cut_scene(layer, read_json(snakemake.input.cube), snakemake.wildcards.scene)
        )
