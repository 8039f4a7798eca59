"""The command line: `headscarp init outline.geojson …`, `headscarp check NAME`, `headscarp map image.tif …`,
`headscarp audit table.csv`; or `python -m headscarp …`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError

CHECKOUT = Path(__file__).resolve().parents[3]  # where the cards are
POSSIBLE, WRONG, UNUSABLE = 0, 1, 2
BAD = ("impossible", "mislabelled", "other test set")
AUDIT = """\
Check a table of scores against itself: whether any confusion matrix has the numbers of each row, what
landslide share they imply, whether columns are of the landslide class or averages over classes, and
whether all rows can be of one test set. The first column names the models; the others may be accuracy (OA,
PA), precision, recall, F1 (Dice), IoU, mIoU, kappa, ... in percent or fractions; empty cells are left out.
Printed digits tell the rounding, so write 0.90 where 0.90 is printed."""
INIT = """\
Write a card for a study area, areas/NAME.yaml, from an outline and any number of files: images, elevation
models, other rasters, inventories of landslides and lines, in any CRS. Nothing is asked: what each file
is, its bands, dates and scales are guessed from names and values; every guess is told, and a comment in
the card. A layer of a file of several is named as QGIS does: 'project.gpkg|layername=slides'. Without an
image, Sentinel-2 before and after the event (Landsat where it is older) is named to be fetched; of an
inventory with dates, the landslides of the event are taken. With --susceptibility the card maps where
landslides may come: OUTLINE, then the inventory, then elevation model, class rasters, lines and polygons as
factors. What has no CRS needs no outline: a picture and its mask (and what else shows the same frame) make an
area whose place is made up, two folders of pictures and their masks a set of pictures. No card is
overwritten."""
CHECK = """\
Check the files of a study area before any training: CRS, overlap, resolution, missing data, ranges of
values, alignment of the landslides with the image, areas of the landslides, split. Of a collage each scene is
checked, and whether they fit together; of a set of patches the pictures and their masks. Writes check.json
and, but for collages, check.png below results/sites/SITE. Nothing is fetched."""
MAP = """\
Map the ground that rasters show with a trained network, without a card. The folder of the run is all that is
needed, wherever it lies. Images and an elevation model may have any CRS; which band is which is told by their
names, as `headscarp init` reads them, or by --bands. Values, pixels and units are held against those of
training. Writes probability.tif, classes.tif, map.json (of which band each layer was made) and model_card.md
and, where the run was scored, mask.tif and landslides.gpkg at its threshold, with QGIS styles."""
EXPORT = """\
Write a trained network as an ONNX file that needs no headscarp: it takes tiles as QGIS's plugin Deepness cuts
them out of a raster with the channels as bands, and gives probabilities. Beside it model_card.md says what it
was trained on and how well it maps. Needs the packages of `pip install 'headscarp[onnx]'`."""
SCORES = """\
Print the tables of scores of a card from the runs that are finished, while the others still train, in the
folder in which Snakemake runs. Rows stand beside each other on the same ground only: of scenes that are left
out in turn those that every row has been tested on. Nothing is made or changed."""
CHECK_EXITS = "exit status: 0 no error, 1 some error, 2 the card cannot be read"
EXITS = "exit status: 0 nothing is impossible, 1 something is, 2 the table cannot be read"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="headscarp", description="Landslide-mapping papers re-run, and their numbers checked."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "audit", help="check a table of scores against itself", description=AUDIT, epilog=EXITS
    )
    command.add_argument(
        "table", type=Path, help="CSV file with a heading, one row per model, all of one test set"
    )
    command.add_argument("--out", type=Path, metavar="REPORT.CSV", help="write every finding here too")
    command.set_defaults(run=audit)
    command = commands.add_parser("init", help="write a card for a study area of yours", description=INIT)
    command.add_argument(
        "outline",
        type=Path,
        metavar="OUTLINE",
        help="vector file with the polygon of the study area; or a picture without CRS, and then its mask; "
        "or a folder of pictures, and then that of their masks",
    )
    command.add_argument("files", type=Path, nargs="*", metavar="FILES", help="rasters and vectors")
    command.add_argument("--name", help="of the area (default: that of the outline's file)")
    command.add_argument("--event", metavar="DATE", help="date of the landslides, such as 2018-09-06")
    command.add_argument(
        "--resolution",
        type=float,
        metavar="METRES",
        help="of the grid (default: the pixels of the finest image, coarser where these are too many; with "
        "--susceptibility 30)",
    )
    command.add_argument(
        "--susceptibility",
        action="store_true",
        help="map where landslides may come: the first file is the inventory (polygons, points or a "
        "raster), the others are factors",
    )
    command.add_argument(
        "--year", metavar="COLUMN", help="of the inventory, with --susceptibility: the year of each landslide"
    )
    command.add_argument(
        "--dates",
        nargs="+",
        default=[],
        metavar="DATE",
        help="of a series of images, the last one that of the landslides",
    )
    command.add_argument(
        "--pixel", type=float, metavar="METRES", help="size of a pixel of pictures that do not tell it"
    )
    command.set_defaults(run=init)
    command = commands.add_parser(
        "check", help="check the files of a study area", description=CHECK, epilog=CHECK_EXITS
    )
    command.add_argument("name", metavar="NAME", help="name of a card in areas/, or the path of a card")
    command.set_defaults(run=check)
    command = commands.add_parser(
        "scores", help="the tables of scores of a card, from what is finished", description=SCORES
    )
    command.add_argument("name", metavar="CARD", help="name of a card")
    command.set_defaults(run=scores)
    command = commands.add_parser("map", help="map your rasters with a trained network", description=MAP)
    command.add_argument(
        "images",
        type=Path,
        nargs="+",
        metavar="IMAGE",
        help="rasters: images and, for terrain, an elevation model; the first image is mapped whole",
    )
    command.add_argument(
        "--model", type=Path, required=True, metavar="RUN", help="folder of the run, with its run.json"
    )
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the map is written")
    command.add_argument(
        "--bands",
        action="append",
        default=[],
        metavar="LAYER=[FILE:]BAND",
        help="which band is a layer (or dem), by number or name; several are parted by commas",
    )
    command.add_argument(
        "--scale",
        action="append",
        default=[],
        metavar="LAYER=FACTOR",
        help="what makes a layer's values those of training (light: guessed)",
    )
    command.set_defaults(run=map_images)
    command = commands.add_parser("export", help="write a trained network as ONNX", description=EXPORT)
    command.add_argument("model", type=Path, metavar="RUN", help="folder of the run, with its run.json")
    command.add_argument("--out", type=Path, required=True, metavar="MODEL.ONNX", help="file to write")
    command.set_defaults(run=export)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
    except HeadscarpError as error:
        print(f"headscarp: {error}", file=sys.stderr)
        return UNUSABLE


def init(chosen: argparse.Namespace) -> int:
    """Write the card of an area or of a set of pictures and say what to do next."""
    from headscarp.areas.init.pictures import summary_of_pictures
    from headscarp.areas.init.summary import summary
    from headscarp.areas.init.write import (
        snakefile_option,
        write_card,
        write_config,
        write_framed_card,
        write_picture_card,
    )

    if is_of_folders(chosen):
        card, pictures = write_picture_card(chosen.outline, *chosen.files, chosen.name, chosen.pixel)
        print("\n".join(summary_of_pictures(pictures)))
    elif is_of_one_frame(chosen):
        card, draft = write_framed_card(
            [chosen.outline, *chosen.files], chosen.name, chosen.pixel, chosen.event, chosen.resolution
        )
        print("\n".join(summary(draft)))
    else:
        card, draft = write_card(
            chosen.outline,
            chosen.files,
            chosen.name,
            chosen.event,
            chosen.resolution,
            chosen.dates,
            susceptibility=chosen.susceptibility,
            year=chosen.year,
        )
        print("\n".join(summary(draft)))
    print(f"wrote {card}: read its comments, they say what was guessed")
    if config := write_config(card.stem):
        print(f"wrote {config}: which card plain `snakemake` runs, and at which scale")
    print(f"next: headscarp check {card.stem}\nthen: snakemake{snakefile_option()} --cores 2 {card.stem}")
    return POSSIBLE


def is_of_folders(chosen: argparse.Namespace) -> bool:
    """Whether `init` is asked for a set of pictures: its first path is a folder, but for a geodatabase.

    Raises:
        HeadscarpError: it is, and lacks what that needs or has what it cannot use.
    """
    folders = [path.is_dir() and path.suffix.lower() != ".gdb" for path in (chosen.outline, *chosen.files)]
    if not folders[0]:
        return False
    if folders != [True, True]:
        raise HeadscarpError(
            f"{chosen.outline} is a folder; give two, one of pictures and one of their masks, and nothing "
            "else, or the file of an outline first"
        )
    if not chosen.name:
        raise HeadscarpError("a set of pictures has no outline to be called after; give it a --name")
    unused = ("event", "resolution", "dates", "susceptibility", "year")
    refuse_options(chosen, unused, "folders of pictures and masks, which have no dates and no grid")
    return True


def is_of_one_frame(chosen: argparse.Namespace) -> bool:
    """Whether `init` is asked for pictures without CRS that show one frame: its first path is a raster.

    Raises:
        HeadscarpError: it is, and has options that it cannot use; or it is not, and has that of pictures.
    """
    from headscarp.sources.patch_sets.images import PICTURES

    if chosen.outline.suffix.lower() in PICTURES:
        unused = ("dates", "susceptibility", "year")
        refuse_options(chosen, unused, "pictures of one frame, which need an outline and a CRS for that")
        return True
    if chosen.pixel is not None:
        raise HeadscarpError(
            "--pixel is for pictures without CRS; the cells of an area are those of --resolution"
        )
    return False


def refuse_options(chosen: argparse.Namespace, unused: Sequence[str], what: str) -> None:
    """Refuse options of `init` that `what` it is asked for cannot use.

    Raises:
        HeadscarpError: one is given.
    """
    if given := [f"--{key}" for key in unused if getattr(chosen, key)]:
        raise HeadscarpError(
            f"{', '.join(given)}: not for {what}; leave it out (the size of a pixel is --pixel)"
        )


def check(chosen: argparse.Namespace) -> int:
    """Check the sites of a card, say what was found, and return 1 where there is an error."""
    from headscarp.areas.check.card import examine_card, write_check
    from headscarp.areas.check.findings import ERROR, report

    results = examine_card(chosen.name)
    for checked in results:
        print(report(checked), flush=True)
        print(f"written: {', '.join(map(str, write_check(checked)))}\n")
    return WRONG if any(checked.status == ERROR for checked in results) else POSSIBLE


def scores(chosen: argparse.Namespace) -> int:
    """Print what the tables of scores of a card can show so far."""
    from headscarp.exhibits.kinds import function_of
    from headscarp.exhibits.pages import markdown_page
    from headscarp.exhibits.render import page_of
    from headscarp.exhibits.spec import ExhibitSpec
    from headscarp.plan.plan import load_plan
    from headscarp.plan.so_far import finished_part, tables_of_scores
    from headscarp.vocabulary import require_known
    from headscarp.yaml_files import read_yaml

    config = Path("config.yaml")
    if not config.is_file():
        raise HeadscarpError("there is no config.yaml here; run this in the folder in which Snakemake runs")
    plan = load_plan(read_yaml(config), CHECKOUT)
    require_known(chosen.name, plan.cards, "card")
    for exhibit in tables_of_scores(plan.exhibits, chosen.name):
        record, missing = finished_part(plan.exhibits, exhibit)
        runs = len(plan.exhibits.runs(exhibit))
        print(f"{exhibit.name}: {runs - len(missing)} of {runs} runs are finished")
        if record:
            spec = ExhibitSpec.from_record(record)
            print(f"\n{markdown_page(page_of(function_of(spec.kind)(spec), spec))}")
    return POSSIBLE


def map_images(chosen: argparse.Namespace) -> int:
    """Map rasters with a run, and say how."""
    from headscarp.areas.map.bands import parse_choices
    from headscarp.areas.map.draw import map_rasters

    told = map_rasters(
        chosen.model,
        chosen.images,
        chosen.out,
        parse_choices(chosen.bands, "--bands"),
        parse_choices(chosen.scale, "--scale"),
    )
    print("\n".join(told))
    print(f"wrote {', '.join(sorted(path.name for path in chosen.out.iterdir()))} in {chosen.out}")
    return POSSIBLE


def export(chosen: argparse.Namespace) -> int:
    """Write a network as ONNX and its card beside it."""
    from headscarp.delivery.model_card import write_model_card
    from headscarp.delivery.onnx_file import bands_of_raster, write_onnx
    from headscarp.delivery.trained_model import read_model

    model, card = read_model(chosen.model), chosen.out.with_name("model_card.md")
    write_onnx(model, chosen.out)
    write_model_card(model, card)
    print(f"wrote {chosen.out} and {card}; the bands of its raster, in this order:")
    print("\n".join("{band}. {channel} ({units})".format(**band) for band in bands_of_raster(model)))
    return POSSIBLE


def audit(chosen: argparse.Namespace) -> int:
    """Run the check `scores` on a table, say what it finds, and return 1 where something is impossible."""
    # Read here, so that help and errors of spelling do not wait for pandas.
    import pandas as pd

    from headscarp.files import atomic_path
    from headscarp.scoring.audit.scores import audit_table

    frame = read_scores(chosen.table)
    try:
        findings = audit_table(frame)
    except HeadscarpError as error:
        raise HeadscarpError(f"{chosen.table}: {error}") from None
    print(report(findings))
    if chosen.out:
        try:
            with atomic_path(chosen.out) as temporary:
                pd.DataFrame(findings).to_csv(temporary, index=False, float_format="%.6g")
        except OSError as error:
            raise HeadscarpError(
                f"{chosen.out} cannot be written ({error.strerror}); choose another file for --out"
            ) from None
    return WRONG if any(finding["verdict"] in BAD for finding in findings) else POSSIBLE


def read_scores(path: Path) -> Any:
    """The table as a frame of text.

    Raises:
        HeadscarpError: the file does not exist or is not a table of comma-, semicolon- or tab-separated
        values.
    """
    import pandas as pd

    if not path.is_file():
        raise HeadscarpError(f"{path} does not exist or is not a file; give the path of a CSV file")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        heading = next((line for line in lines if line.strip()), "")
        separator = max(",;\t", key=heading.count)
        if not heading.count(separator) or "\0" in heading:
            raise ValueError("its first line has no columns")
        return pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            index_col=False,
            skipinitialspace=True,
        )
    except (ValueError, OSError) as error:  # also those of pandas and of the encoding
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HeadscarpError(
            f"{path} is not a CSV file of text ({reason}); save the table as CSV, UTF-8, with one "
            f"heading line"
        ) from None


def report(findings: Sequence[dict[str, Any]]) -> str:
    """Findings for people: a line per row of the table, then a sentence for each thing found."""
    rows = [finding for finding in findings if finding["check"] == "row"]
    lines = [(one["row"], one["reading"], share(one), one["verdict"]) for one in rows]
    lines.insert(0, ("row", "read as", "landslide share", "verdict"))
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    parts = [f"scale: {next(one['text'] for one in findings if one['check'] == 'scale')}", ""]
    parts += [
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3]])
        for line in lines
    ]
    sentences = [
        f"- {one['row'] + ': ' if one['row'] else ''}{one['text']}" for one in findings if is_told(one)
    ]
    bad = len({one["row"] for one in findings if one["verdict"] in BAD})
    if bad:
        parts += [
            "",
            *sentences,
            "",
            f"{bad} of {len(rows)} rows cannot be as printed: no confusion matrix of one test set has them.",
        ]
        parts += [
            "Averages over images, folds or runs can give such numbers without any slip; say so beside "
            "the table."
        ]
    else:
        parts += ["", *sentences, *([""] if sentences else []), "nothing is impossible"]
    return "\n".join(parts)


def is_told(finding: dict[str, Any]) -> bool:
    """Whether a finding is worth a sentence beside the line of its row."""
    return finding["check"] in ("conflict", "columns", "test set") or (
        finding["check"] == "row" and finding["verdict"] == "mislabelled"
    )


def share(finding: dict[str, Any]) -> str:
    """Range of the landslide share of a row; a dash where its numbers leave it open."""
    from headscarp.scoring.audit.scores import is_known, share_text

    low, high = finding["low"], finding["high"]
    return share_text(low, high) if is_known(low, high) else "-"


if __name__ == "__main__":
    sys.exit(main())
