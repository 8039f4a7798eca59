"""Rule score_run: the scores of one map on the evaluated region of its protocol, or of a whole site that the
run was applied to."""

from pathlib import Path

import numpy as np

from headscarp.arrays import open_array
from headscarp.codes import UNMAPPED
from headscarp.files import read_json
from headscarp.geo.layer import read_layer
from headscarp.job import job
from headscarp.samples.build import bootstrap_cells
from headscarp.samples.splits import TEST, UNUSED
from headscarp.samples.windows import read_windows
from headscarp.scoring.score import score_classes, score_run, write_scores


def score(
    probability: str,
    classes: str | None,
    cube_folder: Path,
    samples_folder: Path,
    run_folder: Path,
    protocol: str,
    seed: int,
    home: str | None = None,
    everywhere: bool = False,
) -> None:
    """Read the map, the labels and the regions, and write scores.json and cells.npz, and classes.npz where
    there is a map of classes.

    `home`, the scores of a run on its own site, gives the threshold of a run that was applied to another.
    `everywhere` evaluates every labelled pixel that was mapped; the samples, of either site, then say the
    size of the bootstrap's blocks only.
    """
    layer, label, instances = (
        read_layer(probability),
        open_array(cube_folder / "label.npy"),
        open_array(cube_folder / "instances.npy"),
    )
    if everywhere:
        regions = np.where(np.isnan(layer.values), UNUSED, TEST).astype(np.uint8)
        blocks, windows = (
            bootstrap_cells(label != UNMAPPED, read_json(samples_folder / "samples.json")["window"]),
            [],
        )
    else:
        regions, blocks = (
            open_array(samples_folder / "regions.npy"),
            open_array(samples_folder / "blocks.npy"),
        )
        windows = read_windows(samples_folder / "windows.csv")
    data = read_json(cube_folder / "cube.json")["data"]
    threshold = read_json(home)["threshold"] if home else None
    places = label, instances, regions, blocks
    scores, cells = score_run(
        layer.values, *places, layer.grid.resolution**2, protocol, data, seed, threshold, windows
    )
    confusions = None
    if classes:
        of_classes, confusions, notes = score_classes(read_layer(classes).values, *places)
        scores |= of_classes | {"notes": scores["notes"] + notes}
    write_scores(run_folder, scores, cells, confusions)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        score(
            snakemake.input.probability,
            snakemake.input.get("classes"),
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.scores).parent,
            snakemake.wildcards.protocol,
            int(snakemake.wildcards.seed),
            snakemake.input.get("home"),
            snakemake.params.get("everywhere", False),
        )
