"""Rule score_run: the scores of a run's map: of its own site on the evaluated region of its protocol, of
another place on all of it."""

from pathlib import Path

import numpy as np

from headscarp.arrays import open_array
from headscarp.codes import TEST, UNMAPPED, UNUSED
from headscarp.files import read_json
from headscarp.geo.layer import read_any_layer
from headscarp.job import job
from headscarp.samples.build import bootstrap_cells
from headscarp.samples.ground import part_of_collage
from headscarp.samples.windows import read_windows
from headscarp.scoring.score import has_converged, score_classes, score_run, write_scores


def score(
    probability: str,
    classes: str | None,
    cube_folder: Path,
    samples_folder: Path,
    out_folder: Path,
    protocol: str,
    seed: int,
    run: str,
    home: str | None = None,
    place: str = "",
) -> None:
    """Read the maps, the labels and the regions, and write scores.json and counts.npz.

    Args:
        classes: the map of classes of a run that tells several apart.
        samples_folder: of the site that the run was trained on.
        run: run.json, which says whether training reached its plateau.
        home: the scores of the run on its own site, where the map is of another place: their threshold is
            taken, every labelled pixel that was mapped is evaluated, and the samples then say the size of the
            bootstrap's blocks only. Where that place is a scene of the own site, a collage, its part of the
            evaluated region and of the blocks is taken.
        place: name of the place that is mapped.
    """
    layer, label, instances = (
        read_any_layer(probability),
        open_array(cube_folder / "label.npy"),
        open_array(cube_folder / "instances.npy"),
    )
    part = part_of_collage(samples_folder, place) if home else None
    windows = []
    if part:
        regions, blocks = part
    elif home:
        regions = np.where(np.isnan(layer.values), UNUSED, TEST).astype(np.uint8)
        blocks = bootstrap_cells(label != UNMAPPED, read_json(samples_folder / "samples.json")["window"])
    else:
        regions = open_array(samples_folder / "regions.npy")
        blocks = open_array(samples_folder / "blocks.npy")
        windows = read_windows(samples_folder / "windows.csv")
    data = read_json(cube_folder / "cube.json")["data"]
    threshold = read_json(home)["threshold"] if home else None
    fold = 0 if home and not part else read_json(samples_folder / "samples.json")["fold"]
    places = label, instances, regions, blocks
    scores, counts = score_run(
        layer.values,
        *places,
        layer.grid.resolution**2,
        protocol,
        data,
        seed,
        threshold,
        windows,
        fold,
        has_converged(run),
    )
    if classes:
        of_classes, confusions, notes = score_classes(read_any_layer(classes).values, *places)
        scores |= of_classes | {"notes": scores["notes"] + notes}
        counts["confusion"] = confusions
    write_scores(out_folder, scores, counts)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        score(
            snakemake.input.probability,
            snakemake.input.get("classes") or None,
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.scores).parent,
            snakemake.wildcards.protocol,
            int(snakemake.wildcards.seed),
            snakemake.input.run,
            snakemake.input.get("home") or None,
            snakemake.wildcards.place,
        )
