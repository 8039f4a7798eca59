"""What the parts of a card have to do with each other, which no schema says: the names that one part uses
exist in another, and the sections that changes are laid over are sound as a whole.

Names of sites, experiments, searches and input groups are looked up while a card is resolved, and by
`plan.checks`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from headscarp.codes import AS_RELEASED, NOT_A_LANDSLIDE, TEMPORAL
from headscarp.errors import HeadscarpError
from headscarp.plan.model import SEEDS, WINDOWS, Card, Experiment, Site
from headscarp.plan.read_shown import OF_ROWS, ONE_ROW, rows_of_pair
from headscarp.plan.shown import Exhibit
from headscarp.samples.spec import SCENES, CellsSpec, SamplingSpec, label_kind, refuse_raster
from headscarp.schema import parts, validate
from headscarp.scoring.metric_names import (
    FLAT_METRICS,
    FOLD_METRICS,
    IMAGE_METRICS,
    METRICS,
    TRUTH_METRICS,
)
from headscarp.site.checks import TOLD, check_layers
from headscarp.site.layer_names import LABEL, channel_names, files_read, is_channel, layer_names
from headscarp.sources.archive import read_table
from headscarp.sources.patch_sets.channel_names import channel_names as channels_of_patches
from headscarp.sources.patch_sets.ground import tells_in_part
from headscarp.sources.twin.files import bands_of
from headscarp.training.recipe import Recipe
from headscarp.training.space import check_space
from headscarp.vocabulary import require_known
from headscarp.yaml_files import merge

# The option `published` that shows no published values.
NONE = "none"


def check_relations(record: dict[str, Any], card: Card, scale: str, sites: Mapping[str, Site]) -> None:
    """Check a resolved card against its record, at one scale; `sites` are those of all cards.

    Raises:
        HeadscarpError: a name does not exist (the nearest is named), or a section is unsound once its changes
        are laid over it.
    """
    place, changes = f"card {card.name}", record["scales"][scale]
    for site in card.sites.values():
        if site.card == card.name:  # a borrowed one is checked where it is described
            check_site(site, card, sites, f"{place}, site {site.name}")
    check_inputs(record["inputs"], card, sites, place)
    check_experiments(card, place)
    check_searches(merge(record.get("searches", {}), changes.get("searches", {})), place)
    check_samples(card, sites, place)
    check_files(card, place)
    for exhibit in card.exhibits.values():
        # All rows: those that a scale does not run are left out of an exhibit, not of its options.
        rows = record["exhibits"][exhibit.name].get("rows", [])
        require_all(rows, card.experiments, f"{place}, exhibit {exhibit.name}, rows: experiment")
        where = f"{place}, exhibit {exhibit.name}, options"
        check_protocols(exhibit, record["exhibits"][exhibit.name], card, f"{place}, exhibit {exhibit.name}")
        check_metrics(exhibit, where)
        # All pairs, too: those of rows that a scale leaves out are to name rows that exist.
        whole = replace(exhibit, options=record["exhibits"][exhibit.name].get("options", {}))
        check_rows(whole, rows, where)
        check_published(exhibit, card, where)
        check_shown(exhibit, card, sites, where)


# --- sites


def check_site(site: Site, card: Card, sites: Mapping[str, Site], place: str) -> None:
    """Check how the raw files of a site become layers."""
    if site.source == "archive" and site.raw == site.name:
        require_archive(site, card, place)
    if site.patch_set.get("format") == "images":
        check_pictures(site, f"{place}, patch_set")
    if not site.layers:
        return
    record = {key: value for key, value in site.layers.items() if key not in TOLD}
    check_layers(record, f"{place}, layers")
    for key, file in files_read(record).items():
        require_known(file, site.files, f"{place}, layers, {key}: file")
    check_bands(record, sites[site.raw].twin, f"{place}, layers")
    for layer in site.composite or ():
        require_known(layer, layer_names(record), f"{place}, composite: layer")


def require_archive(site: Site, card: Card, place: str) -> None:
    """Refuse raw files that the card's table does not list."""
    if card.archive is None:
        raise HeadscarpError(f"{place}: its files are of an archive; name the card's table as `archive`")
    table = read_table(card.archive)
    for name in site.files:
        require_known(name, table, f"{place}, files: file of {card.archive.name}")


def check_pictures(site: Site, place: str) -> None:
    """Folders of pictures and masks, where the site names all folders and leaves none to an archive."""
    if not all("data" in origin for origin in site.origins.values()):
        return
    for one in site.patch_set.get("sets", [{}]):
        for key in ("images", "masks"):
            folder = one.get(key, site.patch_set.get(key, key))
            require_known(folder, site.origins, f"{place}, {key}: folder of the site's files")


def check_bands(record: Mapping[str, Any], twin: dict[str, Any], place: str) -> None:
    """Bands of simulated images by name; those of others are known when their files are there."""
    bands = bands_of(twin) if twin else {}
    for name, entry in record.get("rasters", {}).items():
        files = [*entry.get("files", {}).values(), *([entry["file"]] if "file" in entry else [])]
        for file in (file for file in files if file in bands and isinstance(entry.get("band"), str)):
            require_known(entry["band"], bands[file], f"{place}, rasters, {name}: band of {file}")


def layers_of(site: Site, sites: Mapping[str, Site]) -> list[str]:
    """Layers of a site or, of a collage, of its scenes."""
    return [LABEL, *(name for record in records_of(site, sites) for name in layer_names(record))]


def channels_of(site: Site, sites: Mapping[str, Site]) -> list[str]:
    """Channels of a site's cube that its record tells."""
    found = [name for record in records_of(site, sites) for name in channel_names(record)]
    return [*found, *(channels_of_patches(site.patch_set) if site.patch_set else ())]


def records_of(site: Site, sites: Mapping[str, Site]) -> list[Mapping[str, Any]]:
    """How the layers of a site are made or, of a collage, those of its scenes."""
    return [sites[name].layers for name in (site.scenes or (site.name,)) if sites[name].layers]


def require_channel(name: str, of: Sequence[Site], sites: Mapping[str, Site], what: str) -> None:
    """Refuse a channel that no cube of some sites has."""
    if not any(is_channel(name, record) for site in of for record in records_of(site, sites)):
        require_known(name, [known for site in of for known in channels_of(site, sites)], what)


def check_inputs(inputs: Mapping[str, Any], card: Card, sites: Mapping[str, Site], place: str) -> None:
    """Channels of input groups: of one site where the group says which, else of any."""
    for group, channels in inputs.items():
        where = f"{place}, inputs, {group}"
        if not isinstance(channels, dict):
            for channel in channels:
                require_channel(channel, list(card.sites.values()), sites, f"{where}: channel")
            continue
        for site, own in channels.items():
            require_known(site, card.sites, f"{where}: site")
            for channel in own:
                require_channel(channel, [card.sites[site]], sites, f"{where}, {site}: channel")


# --- training


def check_experiments(card: Card, place: str) -> None:
    """Recipes and parameters of networks, with the changes of experiment and scale."""
    for name, experiment in card.experiments.items():
        where = f"{place}, experiment {name}"
        validate("training", experiment.training, f"{where}, training")
        for protocol in card.protocols:
            check_recipe(experiment.recipe(protocol), f"{where}, training under {protocol}")
        check_params(experiment.network, experiment.params, f"{where}, params")
        if experiment.window:
            check_window(experiment, card, where)


def check_window(experiment: Experiment, card: Card, place: str) -> None:
    """Windows of an experiment's own: larger than those of the samples, and nowhere on ground that is not
    theirs: of the test (which `published` does not keep apart), of another scene, of another patch."""
    if experiment.method != WINDOWS:
        raise HeadscarpError(f"{place}: {experiment.network} reads no windows; leave `window` out")
    if card.protocols != ("blocked",):
        raise HeadscarpError(
            f"{place}: `window` would reach into the windows that protocol published tests; take `protocols: "
            "[blocked]`, or leave it out"
        )
    for site in card.sites.values():
        if site.scenes or site.patch_set:
            raise HeadscarpError(
                f"{place}: `window` would reach from one scene or patch of {site.name} into another; set the "
                "window of all in `sampling`"
            )
        own = SamplingSpec.from_record(merge(card.sampling, site.sampling)).window
        if experiment.window <= own:
            raise HeadscarpError(
                f"{place}: `window: {experiment.window}` is not larger than that of {site.name}'s samples, "
                f"{own}; make it larger, or leave it out"
            )


def check_recipe(recipe: dict[str, Any], place: str) -> None:
    """A recipe as a whole: the parameters are those of its loss and schedule."""
    validate("training", recipe, place)
    try:
        Recipe.from_record(recipe)
    except HeadscarpError as error:
        raise HeadscarpError(f"{place}: {error}") from None


def check_params(network: str, params: Mapping[str, Any], place: str) -> None:
    """Parameters of a network; one that the schema does not list has none."""
    if network in parts("network"):
        validate(f"network/{network}", params, place)
    elif params:
        raise HeadscarpError(
            f"{place}: the parameters of {network} are not described; do so in "
            f"workflow/schemas/network.schema.yaml"
        )


def check_searches(searches: Mapping[str, dict[str, Any]], place: str) -> None:
    """Searches, with the changes of the scale."""
    for name, search in searches.items():
        where = f"{place}, search {name}"
        validate("search", search, where)
        check_params(search["network"], search.get("params", {}), f"{where}, params")
        check_recipe(search["training"], f"{where}, training")
        check_space(search["space"], search["training"], where)


# --- samples


def check_samples(card: Card, sites: Mapping[str, Site], place: str) -> None:
    """How each site of a card is sampled, with its changes."""
    for site in card.sites.values():
        where, record = f"{place}, site {site.name}, sampling", merge(card.sampling, site.sampling)
        leaves_scenes_out = record.get("split", {}).get("kind") == SCENES
        # Where scenes are left out, those that a collage joins are not sampled themselves.
        if site.name in card.cells or (leaves_scenes_out and not site.scenes):
            continue
        spec = SamplingSpec.from_record(record, where)
        refuse_seeds_of_folds(card, spec, f"{place}, site {site.name}")
        if tells_in_part(site.patch_set):
            require_fit_in_part(card, place, site.name)
        for channel in spec.superpixels.channels if spec.superpixels else ():
            require_channel(channel, [site], sites, f"{where}, superpixels: channel")
        for key in ("test", "validation") if leaves_scenes_out else ():
            if isinstance(scene := getattr(spec.split, key), str):
                require_known(scene, site.scenes, f"{where}, split, {key}: scene")
    for name, record in card.cells.items():
        where = f"{place}, cells, {name}"
        CellsSpec.from_record(record, where)
        try:
            kind = label_kind(record)
            refuse_raster(record[kind].get("file", ""))
        except HeadscarpError as error:
            raise HeadscarpError(f"{where}: {error}") from None
        if TEMPORAL in record.get("protocols", ()) and not (
            "temporal" in record and "year" in record.get("polygons", {})
        ):
            raise HeadscarpError(
                f"{where}: protocol {TEMPORAL} needs `polygons: {{file, year: column}}` and "
                "`temporal: {until: year}`; add them, or leave the protocol out"
            )
        if "layer" in record and record["layer"]["channel"] != LABEL:
            channel = record["layer"]["channel"]
            require_channel(channel, [card.sites[name]], sites, f"{where}, layer: channel")


def refuse_seeds_of_folds(card: Card, spec: SamplingSpec, place: str) -> None:
    """Refuse a mean over seeds that test different ground: each has trained on what another one tests."""
    means = [one.name for one in card.experiments.values() if one.method == SEEDS]
    if means and "blocked" in card.protocols and spec.folds > 1:
        raise HeadscarpError(
            f"{place}: its seeds test {spec.folds} folds of the ground in turn, so that their mean "
            f"({', '.join(means)}) would be tested where some of them trained; take a split that all seeds "
            "share, such as `split: {kind: strips, ...}`, or leave that experiment out"
        )


def require_fit_in_part(card: Card, place: str, site: str) -> None:
    """Experiments on labels that tell classes in part: several classes, and a loss that knows of it."""
    for name, experiment in card.experiments.items():
        where = f"{place}, experiment {name}, on site {site}"
        if experiment.classes < 3:
            raise HeadscarpError(
                f"{where}: its masks tell several classes, one of them only as `{NOT_A_LANDSLIDE}`; give the "
                f"card its `classes`, or call all that is no landslide `{NOT_A_LANDSLIDE}` in `values`"
            )
        for protocol in card.protocols:
            try:
                Recipe.from_record(experiment.recipe(protocol)).require_fit_in_part()
            except HeadscarpError as error:
                raise HeadscarpError(f"{where}, training under {protocol}: {error}") from None


def check_files(card: Card, place: str) -> None:
    """Raw files that sections other than layers read."""
    for name, record in card.cells.items():
        files = {f"inventory, {key}": file for key, file in record.get("inventory", {}).items()}
        for kind in ("polygons", "points"):
            given = record.get(kind, {})
            files |= {f"{kind}, {key}": given[key] for key in ("file", "area") if key in given}
        for key, file in files.items():
            require_known(file, card.sites[name].files, f"{place}, cells, {name}, {key}: file")
    for name, mask in card.inventory.get("masks", {}).items():
        target = card.sites[card.inventory["target"]]
        require_known(mask["file"], target.files, f"{place}, inventory, masks, {name}: file")
    for one in card.change.get("dates", []):
        if "truth" in one:
            files = card.sites[one["site"]].files
            require_known(one["truth"], files, f"{place}, change, dates, {one['date']}, truth: file")


# --- exhibits


def check_protocols(exhibit: Exhibit, record: Mapping[str, Any], card: Card, place: str) -> None:
    """A protocol of cells only is offered by the cells of one of the exhibit's sites."""
    offered = [one for site in exhibit.sites for one in card.cells.get(site, {}).get("protocols", ())]
    for protocol in (AS_RELEASED, TEMPORAL):
        if protocol in record.get("protocols", ()) and protocol not in offered:
            raise HeadscarpError(
                f"{place}, protocols: {protocol} is for cells of susceptibility whose `cells` section says "
                f"`protocols: [{protocol}]`, and none of {', '.join(exhibit.sites)} has it; leave it out"
            )
    if TEMPORAL in exhibit.protocols:
        for name in exhibit.sites:
            refuse_future(exhibit, card, card.sites[name], place)


def refuse_future(exhibit: Exhibit, card: Card, site: Site, place: str) -> None:
    """No factor of what is tested on later landslides shows a later year than those that are learnt from."""
    told = card.cells.get(site.name, {}).get("temporal")
    if not told:
        return
    layers, names = site.layers, layer_names(site.layers)
    require_all(told.get("years", {}), names, f"card {card.name}, cells, {site.name}, years: layer")
    years = years_of_images(layers) | dict(told.get("years", {}))
    for row in exhibit.rows:
        for channel in card.experiments[row].channels_at(site.name):
            year = years.get(layer_of_channel(channel, names))
            if year is not None and year > told["until"]:
                raise HeadscarpError(
                    f"{place}: '{row}' reads {channel}, which shows {year}, but under {TEMPORAL} landslides "
                    f"up to {told['until']} are learnt from: nobody had it then; leave that factor out "
                    "(`without:`)"
                )


def years_of_images(layers: Mapping[str, Any]) -> dict[str, int]:
    """The year of the last image, of layers that are made of images of certain days."""
    dates = layers.get("dates")
    if not isinstance(dates, list | tuple):
        return {}
    dated = [name for name, one in layers.get("rasters", {}).items() if "files" in one]
    return dict.fromkeys([*layers.get("indices", {}), *dated], int(str(dates[-1])[:4]))


def layer_of_channel(channel: str, layers: Sequence[str]) -> str:
    """The layer that a channel is, or is a part of (sine or cosine of an angle, one of its classes)."""
    return channel if channel in layers else channel.rpartition("_")[0]


def check_metrics(exhibit: Exhibit, place: str) -> None:
    """Metrics that an exhibit shows are those that scores can have."""
    options, known = exhibit.options, (*METRICS, *IMAGE_METRICS, *FOLD_METRICS)
    if exhibit.kind == "paired_effect":
        known = FLAT_METRICS
    if exhibit.kind == "printed_scores":
        known = (*known, *TRUTH_METRICS)
    for metric in options.get("metrics", []):
        require_known(metric, known, f"{place}, metrics: metric")
    columns = {"columns": options.get("columns", {})}
    columns |= {f"row_columns, {row}": own for row, own in options.get("row_columns", {}).items()}
    for key, chosen in columns.items():
        for metric in chosen.values():
            require_known(metric, known, f"{place}, {key}: metric")


def check_rows(exhibit: Exhibit, rows: Sequence[str], place: str) -> None:
    """Rows that options name are rows of the exhibit."""
    options = exhibit.options
    named = [(key, row) for key in OF_ROWS[1:] for row in options.get(key, {})]
    named += [(key, options[key]) for key in ONE_ROW if key in options]
    for pair in options.get("pairs", []):
        named += [("pairs", row) for row in rows_of_pair(pair)]
    for key, row in named:
        require_known(row, rows, f"{place}, {key}: row")
    if exhibit.kind == "factor_classes":
        rows = options["factors"]
    if exhibit.kind == "cross_scene":
        pairs = [f"{trained}:{scored}" for trained in exhibit.sites for scored in exhibit.sites]
        rows = [f"{pair}:{row}" for pair in pairs for row in rows]
    for row in options.get("published_rows", {}):
        require_known(row, rows, f"{place}, published_rows: row")


def check_published(exhibit: Exhibit, card: Card, place: str) -> None:
    """Published tables that an exhibit names, and their rows and columns."""
    options, published = exhibit.options, card.published
    if options.get("published", NONE) != NONE:
        require_known(options["published"], [*published, NONE], f"{place}, published: published table")
    shown = published.get(options.get("published", exhibit.name), [])
    if shown:
        check_printed(options, shown, place)


def check_printed(options: Mapping[str, Any], shown: Sequence[Mapping[str, Any]], place: str) -> None:
    """Rows and columns of the published table that stands beside an exhibit."""
    rows, columns = [line["row"] for line in shown], columns_of(shown)
    require_all(options.get("published_rows", {}).values(), rows, f"{place}, published_rows: published row")
    if "published_row" in options:
        require_known(options["published_row"], rows, f"{place}, published_row: published row")
    for pair in options.get("pairs", []):
        if isinstance(pair, dict) and "published" in pair:
            require_known(pair["published"], rows, f"{place}, pairs, published: published row")
    require_all(options.get("columns", {}), columns, f"{place}, columns: printed column")
    for row, own in options.get("row_columns", {}).items():
        require_all(own, columns, f"{place}, row_columns, {row}: printed column")
    require_all(options.get("beside", {}).values(), columns, f"{place}, beside: printed column")
    require_all(options.get("beside", {}), options.get("metrics", METRICS), f"{place}, beside: metric")


def columns_of(table: Iterable[Mapping[str, Any]]) -> list[str]:
    """Metrics that a published table prints."""
    return list(dict.fromkeys(line["metric"] for line in table))


def check_shown(exhibit: Exhibit, card: Card, sites: Mapping[str, Site], place: str) -> None:
    """Layers, channels, raw files and dates of the sites that an exhibit shows."""
    options = exhibit.options
    shown = [card.sites[name] for name in (*exhibit.sites, *filter(None, [exhibit.target]))]
    layers = [name for site in shown for name in (*layers_of(site, sites), *channels_of(site, sites))]
    for key in ("factors", "layers", "composite"):
        require_all(options.get(key, []), layers, f"{place}, {key}: layer")
    if "layer" in options and exhibit.kind != "grad_cam":
        require_known(options["layer"], layers, f"{place}, layer: layer")
    if isinstance(options.get("background"), dict):
        require_all(options["background"], exhibit.sites, f"{place}, background: site")
    raw = [file for site in shown for file in site.files]
    for key in ("points", "nets", "learnt"):
        if key in options:
            require_known(options[key], raw, f"{place}, {key}: file")
    require_all(options.get("outlines", {}).values(), raw, f"{place}, outlines: file")
    vectors = [file.removesuffix(".gpkg") for file in raw]
    require_all(options.get("areas", []), vectors, f"{place}, areas: file")
    dates = [one["date"] for one in card.change.get("dates", [])]
    require_all(options.get("dates", {}), dates, f"{place}, dates: date")


def require_all(names: Iterable[str], known: Iterable[str], what: str) -> None:
    """Refuse the first name that is not known."""
    known = list(known)
    for name in names:
        require_known(name, known, what)
