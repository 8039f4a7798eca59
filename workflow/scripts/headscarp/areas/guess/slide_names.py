"""What names say of landslides: inventories as agencies call them, and what only sounds like one."""

import re

from headscarp.areas.guess.words import plain

# Stems that mean landslides wherever they stand in a word.
STEMS = (
    r"land_?sli[dp]|(mud|rock|earth|debris)_?slide|debris_?(flow|avalanche)|mud_?flow|earth_?flow|rock_?fall|"
    r"rock_?avalanche|mass_?(movement|wasting)|(slope|ground)_?failure|shallow_?slide|"  # English
    r"rutschung|hangrutsch|rutschgebiet|bergst(u|ue)rz|felsst(u|ue)rz|murgang|massenbewegung|"  # German
    r"glissement|eboulement|coulees?_(de_)?(boue|debris)|mouvements?_(de_)?terrain|"  # French
    r"deslizamiento|derrumbe|desprendimiento|movimientos?_en_masa|remocion(es)?_en_masa|hua[iy]co|"  # Spanish
    r"flujos?_de_(detritos|lodo)|deslizamento|escorregamento|movimentos?_de_massa|"  # Portuguese
    r"dissest[oi]|colat[ae]_detritic|smottament|scivolament|"  # Italian
    r"heyelan|longsor|tanah_runtuh|osuwisk|sesuv|zosuv|klizist|alunecar|jordskred|steinskred|fjellskred|"
    r"sat_lo_|truot_lo|jisuberi|houkai|huapo|sansatae|opolz|pahiro|"
    r"地すべり|地滑り|崩壊|土砂|土石流|崖崩れ|がけ崩れ|山崩|滑坡|崩塌|泥石流|塌方|崩滑|地质灾害|地質災害|"
    r"산사태|토석류|사면붕괴|оползн|оползен|обвал|селев|κατολισθ|भूस्खलन|पहिरो|ভূমিধস|ดินถล่ม|انزلاق|زمین_?لغزش"
)
# Words that mean landslides where they stand alone.
ALONE = (
    r"slides?|scarps?|lahars?|fran[ae]|croll[oi]|colat[ae]|iffi|skred|plazovi|muren|"
    r"ls(_?(poly|polygons?|inv|inventory|maps?|masks?|labels?|scars?))?"
)
# Words that mean landslides unless the name speaks of something else too.
WEAK = r"inventory|inventories|inventario|inventaire|inventar|scars?|cicatriz(es)?"
OTHERS = (
    r"burn(t|ed)?|fires?|forests?|trees?|buildings?|houses?|roads?|bridges?|rivers?|lakes?|glaciers?|"
    r"wetlands?|floods?|faults?|mines?|mining|soils?|crops?|snow|birds?|species|assets?|dams?|wells?"
)
# Of these, LS is something else: Landsat's numbers, and the factor of slope length and steepness.
NOT_LS = r"_ls_([45789]|0[45789])_|_ls_(factor|faktor)_|_landsat"
# What maps with a landslide word show instead of landslides, and how that is told.
INSTEAD = {
    "where landslides may come (susceptibility, hazard, risk)": (
        r"susceptib|suscettib|anfallig|hazard|_risks?_|risiko|rischio|riesgo|risque|vulnerab|_exposure|"
        r"probabilit|likelihood|_prone_?|proneness|potential|zonation|zoning|_alea_|pericolos|amenaza|"
        r"peligro|gefahr|_danger|predict|警戒|危険|危险|易发|风险|リスク|위험|опасн"
    ),
    "land without landslides": (
        r"_(no|non|not|without|stable|absence|negatives?)_?(ls|land_?slides?|slides?)_|nonlandslide|"
        r"_land_?slides?_(free|absence)|_(stable|unaffected)_"
    ),
    "a measure of landslides, not their outlines": (
        r"density|distance|_depth|thickness|volume|velocity|displacement|heat_?map|_trigger|_count"
    ),
}
REGIONS = (
    r"(aoi|roi|study|mapping|mapped|interpret(ed|ation)|investigat(ed|ion)|survey(ed)?|inventory|inventoried|"
    r"covered|coverage|project)_(areas?|extents?|boundar(y|ies)|footprints?|regions?|outlines?|zones?|limits?)"
)
AREA = rf"_(aoi|roi|{REGIONS})_|判読範囲|判読区域|対象範囲|調査範囲|调查范围|研究区"
# What means the mapped area where no landslides are named.
AREA_ALONE = r"_(mapped|interpreted|extents?|footprints?)_|判読"


def names_slides(text: str) -> bool:
    """Whether a name means outlines of landslides, or a mask of them."""
    name = plain(text)
    return has_slide_word(name) and instead_of_slides(text) is None and not re.search(AREA, name)


def names_mapped_area(text: str) -> bool:
    """Whether a name means the area in which landslides were mapped."""
    name = plain(text)
    return bool(re.search(AREA, name)) or (
        bool(re.search(AREA_ALONE, name)) and not has_slide_word(name) and instead_of_slides(text) is None
    )


def instead_of_slides(text: str) -> str | None:
    """What a name with a landslide word means other than landslides, in words."""
    name = plain(text)
    if not has_slide_word(name):
        return None
    return next((what for what, known in INSTEAD.items() if re.search(known, name)), None)


def without_slides(text: str) -> str:
    """A name without its words of landslides, of which some hold other words (slope failure, land cover)."""
    name = plain(text)
    return re.sub(rf"({STEMS})[^\W_]*(_cover(age)?)?", "_", name) if has_slide_word(name) else text


def has_slide_word(name: str) -> bool:
    """Whether a name (see `plain`) has any word of landslides."""
    if re.search(STEMS, name):
        return True
    if re.search(rf"_({ALONE})_", name) and not re.search(NOT_LS, name):
        return True
    return bool(re.search(rf"_({WEAK})_", name)) and not re.search(rf"_({OTHERS})_", name)
