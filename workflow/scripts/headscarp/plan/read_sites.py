"""Sites of a card, resolved: its own, and those that it borrows from other cards."""

from dataclasses import replace
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.plan.model import Site
from headscarp.sources.twin.files import raw_files
from headscarp.vocabulary import require_known

# Where a file of an area may come from, and the one that every area has.
ORIGINS, OUTLINE = ("stac", "dataset", "url", "path", "data"), "outline.gpkg"


def own_sites(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The sites that a card describes itself."""
    return {name: site for name, site in record["sites"].items() if "of" not in site}


def sites_of_card(record: dict[str, Any], records: dict[str, dict[str, Any]], scale: str) -> dict[str, Site]:
    """The sites of a card in its order: its own, and those that it borrows from other cards (`of`), which
    stay as these resolve them but for the sampling."""
    of_all_cards = {name: site for other in records.values() for name, site in own_sites(other).items()}

    def resolved(owner: dict[str, Any]) -> dict[str, Site]:
        return resolve_sites(owner["name"], own_sites(owner), owner["scales"][scale]["size"], of_all_cards)

    own, sites = resolved(record), {}
    for name, site in record["sites"].items():
        if name in own:
            sites[name] = own[name]
            continue
        place = f"card {record['name']}, site {name}"
        owner = records[require_known(site["of"], records, f"{place}: card")]
        require_known(name, own_sites(owner), f"{place}: site of card {owner['name']}")
        if name in owner.get("cells", {}):
            raise HeadscarpError(
                f"{place}: card {owner['name']} samples it as cells, which it alone can read; name another"
            )
        sites[name] = replace(resolved(owner)[name], sampling=site.get("sampling", {}))
    return sites


def resolve_sites(
    card: str,
    records: dict[str, dict[str, Any]],
    size: float,
    of_all_cards: dict[str, dict[str, Any]] | None = None,
) -> dict[str, Site]:
    """The sites of a card at the chosen scale: a twin loses pixels, a real site gets coarser ones where its
    grid names a resolution.

    Raw files may be those of a site of another card, one of `of_all_cards`.
    """
    known = (of_all_cards or {}) | records
    return {name: resolve_site(card, name, record, records, size, known) for name, record in records.items()}


def resolve_site(
    card: str,
    name: str,
    record: dict[str, Any],
    records: dict[str, dict[str, Any]],
    size: float,
    known: dict[str, dict[str, Any]],
) -> Site:
    """One of the sites `records` of a card; `known` are those of all cards."""
    place = f"card {card}, site {name}"
    if "crs" in record and record["source"] != "local":
        raise HeadscarpError(
            f"{place}: the key `crs` is for rasters of a local folder; the files of an area have it as a key "
            "of their own, others say theirs"
        )
    raw = require_known(record.get("raw", name), known, f"{place}: raw")
    source = known[raw]
    if "ground" in record:
        require_known(record["ground"], known, f"{place}: ground")
    for scene in record.get("scenes", []):
        require_known(scene, records, f"{place}: scene")
    require_parts(record, place)
    if source["source"] == "twin" and "twin" not in source:
        raise HeadscarpError(
            f"card {card}, site {raw}: a simulated site needs its landscape; describe it as `twin`, "
            f"or name a site as `raw`"
        )
    layers = record.get("layers", {})
    grid = layers.get("grid", {})
    if source["source"] != "twin" and "resolution_m" in grid:
        layers = layers | {"grid": grid | {"resolution_m": grid["resolution_m"] / size}}
    files = raw_files(source["twin"]) if source["source"] == "twin" else tuple(source.get("files", []))
    identity = {"name": name, "data": record["data"]}
    return Site(
        name=name,
        title=record["title"],
        card=card,
        source=record["source"],
        data=record["data"],
        seed=record.get("seed", source.get("seed", 0)),
        raw=raw,
        files=files,
        dem=layers.get("dem"),
        twin=record.get("twin", {}),
        layers=identity | layers if layers else {},
        origin=record.get("folder"),
        scenes=tuple(record.get("scenes", [])),
        sampling=record.get("sampling", {}),
        origins=origins_of(source, f"card {card}, site {raw}, files"),
        patch_set=identity | patch_set_at(record["patch_set"], size) if "patch_set" in record else {},
        composite=tuple(record["composite"]) if "composite" in record else None,
        event=record.get("event", ""),
        image=record.get("image", ""),
        crs=record.get("crs"),
        ground=record.get("ground"),
        placeless=record.get("placeless", False),
    )


def patch_set_at(record: dict[str, Any], size: float) -> dict[str, Any]:
    """The part `patch_set` of a site with `join`, how many cells become one in each direction at a scale."""
    shrinks = record.get("shrinks_with_scale", False)
    kept = {key: value for key, value in record.items() if key != "shrinks_with_scale"}
    return kept | {"join": max(1, round(1 / size)) if shrinks else 1}


def require_parts(record: dict[str, Any], place: str) -> None:
    """A collage has `scenes`, a set of patches `patch_set`, and every other site `layers`; none has a part of
    another.

    Raises:
        HeadscarpError: a part is missing or does not belong there.
    """
    needed = {"collage": "scenes", "patch_set": "patch_set"}.get(record["source"], "layers")
    if [part for part in ("scenes", "patch_set", "layers") if part in record] != [needed]:
        raise HeadscarpError(
            f"{place}: a collage needs `scenes`, a set of patches `patch_set`, every other site `layers`, "
            f"and none has another of these"
        )


def origins_of(record: dict[str, Any], place: str) -> dict[str, dict[str, Any]]:
    """Where each file of an area or a set of patches comes from; other sites have no such mapping.

    Raises:
        HeadscarpError: an area lists names alone, another site says more, an area has no outline, or a file
        names no origin or several.
    """
    files, says = record.get("files", []), record["source"] in ("area", "patch_set")
    if isinstance(files, dict) != says:
        raise HeadscarpError(
            f"{place}: an area or a set of patches says of each file where it comes from, as in `dem.tif: "
            f"{{stac: dem}}`; other sites list the "
            "names alone"
        )
    if not says:
        return {}
    if record["source"] == "area" and OUTLINE not in files:
        raise HeadscarpError(
            f"{place}: {OUTLINE} is missing; name the area's outline as `{OUTLINE}: {{path: "
            f"my_outline.geojson}}`"
        )
    for name, spec in files.items():
        named = [key for key in ORIGINS if key in spec]
        if len(named) != 1:
            raise HeadscarpError(
                f"{place}, {name}: give one of {', '.join(ORIGINS)}, which says where the file comes from"
            )
        if "data" in spec and record["source"] == "area":
            raise HeadscarpError(
                f"{place}, {name}: `data` is for sets of patches; name the file of an area as `path`"
            )
    return files
