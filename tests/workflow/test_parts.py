"""A scene mapped by several jobs against the same scene mapped by one."""

from pathlib import Path

from headscarp.plan.plan import load_plan
from tests.conftest import REPOSITORY
from tests.workflow.runs import configure, planned, snakemake

PLACE = "results/runs/gao2021/zigui/unet/blocked/seed0/zigui"
MAPS = [f"{PLACE}/{name}" for name in ("probability.tif", "classes.tif", "map.json")]


def configured(folder: Path, **mapping) -> Path:
    card = {"cards": ["gao2021"], "protocols": ["blocked"], "seeds": [0]}
    configure(folder, **card, overlay={"gao2021": {"mapping": mapping}} if mapping else {})
    return folder


def test_a_scene_mapped_in_parts_is_the_scene_mapped_at_once(tmp_path):
    folder = configured(tmp_path / "run", parts=3)
    snakemake(folder, *MAPS, warm=True)
    timings = sorted((folder / "results/timings/mapping").rglob("*.tsv"))
    assert [path.stem for path in timings if "map_part" in path.parts] == [
        "part1of3",
        "part2of3",
        "part3of3",
    ]
    assert not list((folder / PLACE).glob("part*"))
    in_parts = [(folder / name).read_bytes() for name in MAPS[:2]]

    for name in MAPS:
        (folder / name).unlink()
    configured(folder)
    assert planned(snakemake(folder, "--dry-run", *MAPS)) == {"map_scene": 1}
    snakemake(folder, *MAPS, warm=True)
    assert [(folder / name).read_bytes() for name in MAPS[:2]] == in_parts


def test_what_is_made_of_a_map_is_made_of_one_in_parts(tmp_path):
    folder = configured(tmp_path / "run", parts=4)
    jobs = planned(snakemake(folder, "--dry-run", f"{PLACE}/landslides.gpkg"))
    assert jobs["map_part"] == 4 and jobs["gather_parts"] == jobs["deliver_map"] == jobs["score_run"] == 1
    assert "map_scene" not in jobs


def test_auto_cuts_what_is_known_to_be_large():
    """zhang2024's city has 119 million pixels, gao2021's sites less than a million; how large real ones are
    the plan does not know."""

    def jobs(parts: int | str, scale: str = "full") -> dict[str, dict[str, int]]:
        cards = ["gao2021", "zhang2024", "iburi2018", "sichuan_aerial"]
        overlay = {card: {"mapping": {"parts": parts}} for card in cards}
        plan = load_plan({"cards": cards, "scale": scale, "overlay": overlay}, REPOSITORY)
        return {
            card: {place: plan.maps.parts(card, place) for place in plan.cards[card].sites} for card in cards
        }

    full = jobs("auto")
    # Its training district and its susceptibility at 90 m are smaller.
    assert full["zhang2024"] == {"zhangjiajie": 2, "wulingyuan": 1, "zhangjiajie_90m": 1}
    assert set(full["gao2021"].values()) == set(full["iburi2018"].values()) == {1}
    assert set(jobs("auto", "tiny")["zhang2024"].values()) == {1}
    fixed = jobs(5)
    assert set(fixed["gao2021"].values()) == {5}
    assert set(fixed["sichuan_aerial"].values()) == {1}  # patches, each a scene of its own
