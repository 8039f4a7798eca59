"""Where the files of areas and sets of patches come from, as the plan resolves it, and what it says of bad
entries."""

import copy
import shutil

import pytest
import yaml

from headscarp.errors import HeadscarpError
from headscarp.plan.plan import load_plan
from tests.conftest import REPOSITORY

FILES = {
    "outline.gpkg": {"path": "valley.geojson"},
    "before.tif": {"stac": "sentinel2", "from": "2018-05-01", "to": "2018-09-05", "bands": ["red"]},
    "faults.gpkg": {"dataset": "gem_active_faults", "margin_m": 20000},
    "rain.tif": {"url": "https://example.org/a%20b/rain.tif?year=2018"},
    "landslides.gpkg": {"path": "slides.shp"},
}
CARD = {
    "name": "valley",
    "title": "Valley",
    "citation": "none",
    "sites": {
        "valley": {
            "title": "Valley",
            "source": "area",
            "data": "real",
            "files": FILES,
            "layers": {
                "grid": {"around": "outline.gpkg", "crs": "EPSG:32654", "resolution_m": 10},
                "dates": ["2018-09-06"],
                "rasters": {"red": {"file": "before.tif", "band": "red", "units": "reflectance"}},
                "labels": {"landslides": "landslides.gpkg"},
            },
        }
    },
    "inputs": {"optical": ["red"]},
    "experiments": {"unet": {"network": "unet", "inputs": ["optical"]}},
    "protocols": ["blocked"],
    "training": {"epochs": 1},
    "scales": {scale: {"size": 0.5, "width": 0.125, "seeds": [0]} for scale in ("tiny", "demo", "full")},
    "exhibits": {
        "comparison": {
            "kind": "scores",
            "title": "Scores",
            "caption": "Scores.",
            "sites": ["valley"],
            "rows": ["unet"],
            "options": {"metrics": ["f1"]},
        }
    },
}
CONFIG = {"cards": ["valley"], "scale": "tiny"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The workflow, and a working folder with an area whose own files are there."""
    (tmp_path / "repository").symlink_to(REPOSITORY)
    for name in ("valley.geojson", "slides.shp"):
        (tmp_path / name).touch()
    for name in ("HEADSCARP_MIRROR", "HEADSCARP_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    write_card(tmp_path, CARD)
    return tmp_path


def write_card(folder, record):
    (folder / "areas").mkdir(exist_ok=True)
    (folder / "areas" / f"{record['name']}.yaml").write_text(yaml.safe_dump(record))


def plan_of(root, **config):
    return load_plan(CONFIG | config, root / "repository")


def test_each_file_comes_from_its_own_place(root):
    origins = plan_of(root).origins
    assert origins.of_kind("stac") == ["valley/raw/before.tif"]
    assert origins.imported_from("valley/raw/landslides.gpkg") == {
        "origin": ["slides.shp"],
        "outline": "results/sites/valley/raw/outline.gpkg",
    }
    assert origins.imported_from("valley/raw/outline.gpkg") == {"origin": ["valley.geojson"]}
    fault = "gem_active_faults/gem_active_faults_harmonized.geojson"
    rain = "example.org/a_20b/rain.tif_year_2018"
    assert origins.downloads == {
        fault: {"dataset": "gem_active_faults", "file": "gem_active_faults_harmonized.geojson"},
        rain: {"url": "https://example.org/a%20b/rain.tif?year=2018", "sha256": None},
    }
    assert origins.imported_from("valley/raw/rain.tif")["origin"] == [f"results/downloads/{rain}"]


def test_a_smaller_scale_takes_coarser_cells_of_an_area(root):
    assert plan_of(root).sites["valley"].layers["grid"]["resolution_m"] == 20


def test_dates_need_no_quotes(root):
    path = root / "areas" / "valley.yaml"
    path.write_text(
        path.read_text().replace("'2018-05-01'", "2018-05-01").replace("'2018-09-06'", "2018-09-06")
    )
    site = plan_of(root).sites["valley"]
    assert site.origins["before.tif"]["from"] == "2018-05-01" and site.layers["dates"] == ["2018-09-06"]


def test_a_missing_file_of_the_user_skips_the_card_by_name(root):
    (root / "slides.shp").unlink()
    reason = plan_of(root).skipped["valley"]
    assert "slides.shp does not exist (site valley, files, landslides.gpkg)" in reason


@pytest.mark.parametrize("offline", [True, "true"])
def test_offline_lists_what_is_missing_with_a_command_each(root, offline):
    with pytest.raises(HeadscarpError) as error:
        plan_of(root, offline=offline)
    text = str(error.value)
    assert (
        "curl -L -C - --fail --create-dirs -o "
        "results/downloads/gem_active_faults/gem_active_faults_harmonized.geojson https://" in text
    )
    assert "snakemake results/sites/valley/raw/before.tif --config offline=false" in text
    assert "slides.shp" not in text and "iburi" not in text


def test_offline_is_content_with_what_is_there(root):
    raw = root / "results/sites/valley/raw"
    raw.mkdir(parents=True)
    for name in FILES:
        (raw / name).touch()
    plan = plan_of(root, offline=True)
    assert plan.environment["HEADSCARP_OFFLINE"] == "1" and plan.selected == ("valley",)


def test_offline_also_names_archives_of_cards(root):
    with pytest.raises(
        HeadscarpError, match=r"curl .* -o results/sites/iburi/raw/dsm\.tif https://raw\.githubusercontent"
    ):
        plan_of(root, cards=["iburi2018"], offline=True)


def changed(change):
    record = copy.deepcopy(CARD)
    change(record["sites"]["valley"], record)
    return record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda site, _: site["files"].pop("outline.gpkg"),
            "outline.gpkg is missing; name the area's outline",
        ),
        (lambda site, _: site.update(files=["before.tif"]), "says of each file where it comes from"),
        (
            lambda site, _: site["files"].update({"x.tif": {"margin_m": 5}}),
            "x.tif: give one of stac, dataset, url, path",
        ),
        (
            lambda site, _: site["files"]["rain.tif"].update(path="rain.tif"),
            "rain.tif: give one of stac, dataset, url, path",
        ),
        (
            lambda site, _: site["files"].update({"f.gpkg": {"dataset": "gem_faults"}}),
            "did you mean 'gem_active_faults'?",
        ),
        (lambda site, _: site["files"].update({"z.zip": {"dataset": "hr_gldd"}}), "name one as `file:`"),
        (
            lambda site, _: site["files"]["before.tif"].update(bnads=["red"]),
            "unknown key 'bnads'; did you mean 'bands'?",
        ),
        (
            lambda site, _: site["files"]["before.tif"].update(stac="sentinel3"),
            "'sentinel3' does not exist; did you mean 'sentinel2'?",
        ),
        (lambda site, _: site.pop("layers"), "every other site `layers`"),
        (
            lambda _, card: card.update(apply=[{"experiment": "unet", "site": "valley", "target": "vally"}]),
            "did you mean 'valley'?",
        ),
    ],
)
def test_bad_entries_are_one_clear_sentence(root, change, message):
    write_card(root, changed(change))
    with pytest.raises(HeadscarpError) as error:
        _ = plan_of(root).origins.downloads
    assert message in str(error.value)


def test_an_area_without_inventory_is_a_target_of_runs_trained_elsewhere(root):
    def add(site, card):
        card["sites"]["next"] = copy.deepcopy(site)
        card |= {"apply": [{"experiment": "unet", "site": "valley", "target": "next"}], "polygons": ["unet"]}

    write_card(root, changed(add))
    plan = plan_of(root)
    assert plan.maps.of_card("valley") == {
        "results/runs/valley/valley/unet/blocked/seed0/valley": "valley",
        "results/runs/valley/valley/unet/blocked/seed0/next": "next",
    }
    page = plan.maps.page_record("next")
    assert [run["trained_on"] for run in page["runs"]] == ["Valley"]
    assert "results/sites/next/summary.html" in plan.targets("valley")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda card: card["training"].update(loss="focal"),
            r"experiment aspp, on site mine, training under blocked: labels that say .* `loss",
        ),
        (lambda card: card.update(classes={0: "other", 1: "landslide"}), r"give the card its `classes`"),
        (
            lambda card: card["sites"]["mine"]["patch_set"]["sets"][0].update(images="sichuan_image"),
            r"mine, patch_set, images: folder of the site's files 'sichuan_image'.*sichuan_images",
        ),
    ],
)
def test_sets_that_tell_classes_in_part_are_refused_before_any_job(root, change, message):
    text = (REPOSITORY / "workflow/cards/sichuan_dubai.yaml").read_text()
    card = yaml.safe_load(text.replace("sichuan_dubai", "mine"))
    change(card)
    write_card(root, card)
    with pytest.raises(HeadscarpError, match=message):
        plan_of(root, cards=["mine"])


def test_the_example_of_a_patch_set_is_a_card(root):
    shutil.copy(REPOSITORY / "workflow/examples/landslide4sense.yaml", root / "areas")
    plan = plan_of(root)
    assert set(plan.patch_sets) == {"landslide4sense", "sichuan_aerial", "sichuan_dubai"}
    assert (
        plan.origins.archives("landslide4sense")["TestData.zip"]
        == "results/downloads/landslide4sense/TestData.zip"
    )
