"""What people look at: the report, the map and the summary of a site, opened from disk in a browser that
reaches no network.

Set HEADSCARP_SCREENSHOTS to a folder to keep pictures of the pages at desktop and phone width.
"""

import json
import math
import os
import re
import shutil
import time

import geopandas
import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.deploy import apt
from tests.workflow.runs import configure, snakemake

selenium = pytest.importorskip("selenium", reason="the browser is driven by selenium: pip install selenium")

from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

REPORT = "results/report/report.html"
DESKTOP, PHONE = (1400, 900), (390, 844)
PATIENCE = 15  # seconds until a page must have done what it was asked
DECIMALS = {"area_m2": 0, "length_m": 0, "mean_probability": 2, "mean_slope_deg": 1, "mean_elevation_m": 0}
HOME = "results/runs/small/ridge/fc_densenet+factors/{}/seed0/ridge"


def small_card():
    """Zigui of gao2021 under another name, with one experiment, one table, one figure and one claim: enough
    for a report of a minute."""
    card = yaml.safe_load((REPOSITORY / "workflow/cards/gao2021.yaml").read_text(encoding="utf-8"))
    kept = "fc_densenet+factors"
    exhibits = {name: card["exhibits"][name] | {"sites": ["ridge"]} for name in ("table7", "fig1")}
    exhibits["table7"]["rows"] = [kept]
    claim = {
        "text": "It equals itself.",
        "place": "nowhere",
        "metric": "f1",
        "tests": [{"site": "ridge", "rows": [kept, kept]}],
    }
    del card["published"], card["audit"]
    return card | {
        "name": "small",
        "title": "A small paper",
        "sites": {"ridge": card["sites"]["zigui"]},
        "exhibits": exhibits,
        "experiments": {kept: card["experiments"][kept]},
        "claims": {"same": claim},
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folder with all results of a card, their provenance and the report."""
    folder = tmp_path_factory.mktemp("report")
    configure(folder, cards=["small"], scale="tiny")
    (folder / "areas").mkdir()
    (folder / "areas/small.yaml").write_text(yaml.safe_dump(small_card(), sort_keys=False), encoding="utf-8")
    targets = ["all", "results/provenance.html"]
    snakemake(folder, "--", *targets)
    (folder / "results/report").mkdir()
    snakemake(folder, "--report", REPORT, "--", *targets)
    return folder


def install_browser():
    """Chromium and its driver; they are installed where this user may."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        try:
            apt.install("chromium", "chromium-driver")
        except apt.NotInstalled as reason:
            pytest.skip(f"no chromium with chromedriver here: {reason}")
    return shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="module")
def browser():
    """A browser without a screen for which no name resolves."""
    binary, driver = install_browser()
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    yield opened
    opened.quit()


def visit(browser, path, size=DESKTOP):
    """Open a file as a reader with a screen of some size does."""
    width, height = size
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE},
    )
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(path.resolve().as_uri())


def until(done, what):
    """What `done` returns once that is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if value := done():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


def errors(browser):
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def keep_picture(browser, name):
    if folder := os.environ.get("HEADSCARP_SCREENSHOTS"):
        os.makedirs(folder, exist_ok=True)
        browser.save_screenshot(os.path.join(folder, f"{name}.png"))


def drawn_tiles(browser, name):
    """Tiles of a layer that have arrived with pixels in them."""
    script = (
        "return [...map.getPane(arguments[0]).querySelectorAll('img')].filter((tile) => "
        "tile.naturalWidth === 256).length"
    )
    return browser.execute_script(script, name)


def popup(browser):
    """What the pop-ups on the map say, by column of the GeoPackage."""
    cells = browser.find_elements(By.CSS_SELECTOR, ".leaflet-popup td")
    return {cell.get_attribute("data-column"): cell.get_attribute("textContent") for cell in cells}


class TestMap:
    @pytest.fixture
    def page(self, browser, results):
        visit(browser, results / "results/sites/ridge/map.html")
        until(lambda: browser.execute_script("return 'landslides' in shown"), "landslides on the map")
        until(lambda: drawn_tiles(browser, "probability"), "tiles of the probability")
        return browser

    def test_it_loads_whole_and_says_that_the_site_is_simulated(self, page):
        assert "Simulated site (twin)" in page.find_element(By.TAG_NAME, "aside").text
        assert page.find_element(By.CLASS_NAME, "leaflet-control-scale-line").text.endswith(" m")
        keep_picture(page, "map_desktop")
        assert errors(page) == []

    def test_layers_are_switched_and_faded(self, page):
        for name in ("image", "relief", "inventory", "probability", "errors"):
            box = page.find_element(By.ID, f"show-{name}")
            if not box.is_selected():
                box.click()
            until(lambda name=name: drawn_tiles(page, name), f"tiles of {name}")
            slider = page.find_element(By.ID, f"opacity-{name}")
            page.execute_script(
                "arguments[0].value = 40; arguments[0].dispatchEvent(new Event('input'))", slider
            )
            assert (
                page.execute_script("return getComputedStyle(map.getPane(arguments[0])).opacity", name)
                == "0.4"
            )
            box.click()
            assert not page.execute_script("return map.getPane(arguments[0]).querySelector('img')", name)
            assert not slider.is_displayed()
        assert errors(page) == []

    def test_every_zoom_level_has_its_tiles(self, page):
        page.execute_script(
            "for (let zoom = map.getMinZoom(); zoom <= map.getMaxZoom(); zoom++) map.setZoom(zoom, { "
            "animate: false })"
        )
        until(lambda: drawn_tiles(page, "probability"), "tiles beyond the deepest level")
        assert errors(page) == []

    @pytest.mark.parametrize("protocol", ["blocked", "published"])
    def test_a_click_shows_the_numbers_of_the_geopackage(self, page, results, protocol):
        options = page.find_elements(By.CSS_SELECTOR, "#runs option")
        next(option for option in options if protocol in option.text).click()
        until(
            lambda: page.execute_script("return run.key in taken && 'landslides' in shown"),
            "landslides of the chosen run",
        )
        slides = geopandas.read_file(results / HOME.format(protocol) / "landslides.gpkg")
        scores = json.loads((results / HOME.format(protocol) / "scores.json").read_text())
        assert f"F1 {scores['metrics']['f1']:.3f}" in page.find_element(By.ID, "scores").text
        places = slides.geometry.representative_point().to_crs("EPSG:4326")
        for index in (0, len(slides) // 3):
            place, slide = places.iloc[index], slides.iloc[index]
            x, y = page.execute_script(
                "map.closePopup(); map.setView([arguments[0], arguments[1]], map.getMaxZoom(), { "
                "animate: false });"
                "const point = map.latLngToContainerPoint([arguments[0], arguments[1]]), box = "
                "map.getContainer().getBoundingClientRect();"
                "return [box.left + point.x, box.top + point.y]",
                place.y,
                place.x,
            )
            actions = ActionChains(page)
            actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
            actions.w3c_actions.pointer_action.click()
            actions.perform()
            until(
                lambda slide=slide: popup(page).get("id") == str(slide["id"]),
                f"numbers of landslide {slide['id']}",
            )
            told = popup(page)
            assert told["date"] == str(slide["date"])[:10]
            for name, decimals in (
                ("area_m2", 0),
                ("length_m", 0),
                ("mean_probability", 2),
                ("mean_slope_deg", 1),
                ("mean_elevation_m", 0),
            ):
                assert math.isclose(
                    float(told[name].replace(",", "")), slide[name], abs_tol=0.5001 * 10**-decimals
                ), name
            keep_picture(page, f"map_click_{protocol}_{index}")
        assert errors(page) == []

    def test_on_a_phone_map_and_list_are_both_seen(self, browser, results):
        visit(browser, results / "results/sites/ridge/map.html", PHONE)
        until(lambda: drawn_tiles(browser, "probability"), "tiles of the probability")
        keep_picture(browser, "map_phone")
        for element in (browser.find_element(By.ID, "map"), browser.find_element(By.TAG_NAME, "aside")):
            assert element.rect["width"] == PHONE[0] and element.rect["height"] > 250
        assert browser.execute_script("return document.documentElement.scrollWidth") == PHONE[0]


class TestSummary:
    def test_it_leads_to_the_map(self, browser, results):
        visit(browser, results / "results/sites/ridge/summary.html")
        browser.find_element(By.LINK_TEXT, "Interactive map").click()
        until(lambda: browser.current_url.endswith("/map.html"), "the map")
        assert errors(browser) == []


class TestTable:
    @pytest.fixture
    def page(self, browser, results):
        visit(browser, results / "results/sites/ridge/summary.html")
        return browser

    def column(self, page):
        script = (
            "const table = [...document.querySelectorAll('table')].find((one) => "
            "one.tHead.textContent.includes('Area')); return [...table.tBodies[0].rows].map((row) => "
            "Number(row.cells[1].textContent.replaceAll(',', '')))"
        )
        return page.execute_script(script)

    def head(self, page):
        return next(one for one in page.find_elements(By.CSS_SELECTOR, "th button") if "Area" in one.text)

    def test_a_click_or_a_key_on_a_head_sorts_and_the_third_brings_the_order_back(self, page):
        first = self.column(page)
        assert len(set(first)) > 2
        self.head(page).click()
        assert self.column(page) == sorted(first, reverse=True)
        self.head(page).send_keys(Keys.ENTER)
        assert self.column(page) == sorted(first)
        assert self.head(page).find_element(By.XPATH, "..").get_attribute("aria-sort") == "ascending"
        self.head(page).send_keys(Keys.SPACE)
        assert self.column(page) == first
        assert errors(page) == []


class TestGallery:
    def shown(self, browser):
        return [one.text for one in browser.find_elements(By.CSS_SELECTOR, "li strong") if one.is_displayed()]

    @pytest.mark.parametrize("size", [DESKTOP, PHONE])
    def test_what_has_all_words_stays_as_one_types(self, browser, results, size):
        visit(browser, results / "results/index.html", size)
        everything = self.shown(browser)
        assert len(everything) == 4  # a table, a figure, the claims as both
        browser.find_element(By.ID, "search").send_keys("figure fig1")
        assert len(self.shown(browser)) == 1 and "Fig. 1" in self.shown(browser)[0]
        assert browser.find_element(By.ID, "count").text == "0 tables, 1 figures"
        browser.find_element(By.ID, "search").send_keys(" nonsense")
        assert self.shown(browser) == [] and browser.find_element(By.ID, "none").is_displayed()
        keep_picture(browser, f"gallery_{size[0]}")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
        assert errors(browser) == []


class TestReport:
    def click(self, browser, text):
        path = f"//*[starts-with(normalize-space(text()), '{text}')]"
        until(
            lambda: [one for one in browser.find_elements(By.XPATH, path) if one.is_displayed()],
            f"'{text}' in the report",
        )[0].click()

    def open(self, browser, exhibit):
        path = f"//tr[contains(., '{exhibit}')]//a | //tr[contains(., '{exhibit}')]//button"
        until(lambda: browser.find_elements(By.XPATH, path), exhibit)[0].click()

    def test_it_opens_with_the_papers_and_a_word_on_simulated_sites(self, browser, results):
        visit(browser, results / REPORT)
        body = browser.find_element(By.TAG_NAME, "body")
        until(lambda: "99 sites" in body.text, "the menu")
        chapters = [line for line in body.text.splitlines() if re.match(r"\d\d [a-z]", line)]
        assert [chapter[:2] for chapter in chapters] == ["00", "01", "99"] and chapters[1] == "01 small"
        assert "never the level" in " ".join(body.text.split())
        keep_picture(browser, "report_desktop")
        assert errors(browser) == []

    def test_it_tells_how_the_results_came_about(self, browser, results):
        visit(browser, results / REPORT)
        for text in ("00 all papers", "Provenance"):
            self.click(browser, text)
        self.open(browser, "How these results came about")
        browser.switch_to.frame(until(lambda: browser.find_elements(By.TAG_NAME, "iframe"), "the page")[0])
        text = until(lambda: browser.find_element(By.TAG_NAME, "body").text, "its text")
        assert "tiny" in text and "Zigui, Three Gorges (simulated)" in text and "headscarp" in text

    @pytest.mark.parametrize(
        ("kind", "exhibit", "shown"), [("Tables", "Table VII", "iframe, table"), ("Figures", "Fig. 1", "img")]
    )
    def test_exhibits_of_a_paper_are_shown_inside(self, browser, results, kind, exhibit, shown):
        visit(browser, results / REPORT)
        for text in ("01 small", kind):
            self.click(browser, text)
        self.open(browser, exhibit)
        until(lambda: browser.find_elements(By.CSS_SELECTOR, shown), f"{exhibit} itself")
        keep_picture(browser, f"report_{kind.lower()}")
        assert errors(browser) == []
