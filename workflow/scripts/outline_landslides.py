"""Rule outline_landslides: the landslides of a map as polygons, at the threshold of its scores."""

from headscarp.files import read_json
from headscarp.job import job
from headscarp.mapping.polygons import polygonise, write_polygons
from headscarp.site.layer import read_layer

if "snakemake" in globals():
    with job(snakemake.log[0]):
        layer = read_layer(snakemake.input.probability)
        threshold = read_json(snakemake.input.scores)["threshold"]
        write_polygons(snakemake.output[0], polygonise(layer.values, layer.grid, threshold))
