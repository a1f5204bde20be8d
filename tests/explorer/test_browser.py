"""The page in a real browser: filter, brush, pick, walk, open by address; nothing on the console, nothing requested."""

from __future__ import annotations

import csv
import json
import re
import shutil
import time

import pytest

from neuroattn.explorer.contents import Shown, contents
from neuroattn.explorer.page import page

from .conftest import TUNED

pytestmark = pytest.mark.process

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
EVIL = "<img src=x onerror=\"document.title='broken'\">"


class Browser:
    """A page in a browser: what a test may look at and do."""

    def __init__(self, driver, file, downloads):
        self.driver, self.file, self.downloads = driver, file, downloads

    def open(self, fragment=""):
        self.driver.get("about:blank")
        self.driver.get(f"{self.file.as_uri()}{fragment}")
        self.wait("document.querySelector('main').dataset.ready")
        return self

    def js(self, expression):
        return self.driver.execute_script(f"return {expression}")

    def wait(self, expression):
        end = time.monotonic() + 20
        while not self.js(expression):
            assert time.monotonic() < end, f"{expression} did not become true"
            time.sleep(0.02)

    def text(self, selector):
        return self.js(f"document.querySelector({json.dumps(selector)}).textContent")

    def texts(self, selector):
        return self.js(f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.textContent)")

    def click(self, selector):
        self.driver.execute_script("document.querySelector(arguments[0]).click()", selector)

    def filter(self, text, expected):
        """Type into the filter, and wait for so many rows."""
        self.driver.execute_script(
            "const field = document.querySelector('input[type=search]'); field.value = arguments[0];"
            "field.dispatchEvent(new Event('input'))",
            text,
        )
        self.wait(f"document.querySelector('.count').textContent.startsWith('{expected} of ')")

    def key(self, key):
        """Press a key, and return the unit that is then shown."""
        self.driver.execute_script(
            "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))", key
        )
        time.sleep(0.1)
        return self.unit()

    def unit(self):
        return self.text("article h2").strip().removeprefix("Unit ")

    def downloaded(self, name, label):
        """Return the text of a file that a click on a button downloads."""
        file = self.downloads / name
        self.click(f'[aria-label^="{label}"]')
        end = time.monotonic() + 10
        while not file.exists():
            assert time.monotonic() < end, f"{name} was not downloaded"
            time.sleep(0.05)
        return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """One session of a browser for the module."""
    webdriver = pytest.importorskip("selenium.webdriver")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium and chromedriver are not installed (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,1000",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.chrome.service.Service(DRIVER))
    downloads = tmp_path_factory.mktemp("downloads")
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
    driver.downloads = downloads
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def browser(driver, units, recording, stimuli, fields, tmp_path_factory):
    """The page of a small table, some of whose words are markup, in a browser."""
    file = tmp_path_factory.mktemp("page") / "explorer.html"
    table = units.assign(note=EVIL)
    made = contents(f"Tuning {EVIL}", table, recording, TUNED, Shown(stimuli=stimuli, fields=fields), notes=[EVIL])
    file.write_text(page(made, (("report.html", "report"),)), encoding="utf-8")
    return Browser(driver, file, driver.downloads)


@pytest.fixture
def opened(browser):
    """The page, opened anew; afterwards the console is clean and nothing but the page was requested."""
    for kind in ("browser", "performance"):
        browser.driver.get_log(kind)
    yield browser.open()
    assert browser.driver.get_log("browser") == []
    sent = [json.loads(one["message"])["message"] for one in browser.driver.get_log("performance")]
    asked = {one["params"]["request"]["url"] for one in sent if one["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith(("file:", "data:", "blob:"))} == set()
    assert {url.split("#")[0] for url in asked if url.startswith("file:")} == {browser.file.as_uri()}
    assert browser.js("document.title").startswith("Tuning <img")
    assert browser.js("document.querySelectorAll('img[src=x]').length") == 0


def test_the_first_view_shows_the_unit_of_largest_index(opened, units):
    best = units.loc[units["modulation_index"].idxmax()]
    assert opened.unit() == best["neuroid_id"]
    assert opened.text(".count") == f"{len(units)} of {len(units)} units"
    assert opened.text(".rank").startswith("rank  of 29 by modulation index, descending")
    assert opened.js("document.querySelector('.rank input').value") == "1"


def test_conditions_and_words_filter(opened, units):
    of_stage = units["layer"].eq("stage2/response") & units["excluded_by"].eq("")
    opened.filter("gain>2", (units["gain"] > 2).sum())
    opened.filter("gain=∞", 3)
    opened.filter('stage2 excluded_by=""', of_stage.sum())
    opened.filter("no such unit", 0)


def test_arrow_keys_walk_in_the_order_of_the_table(opened, units):
    order = units.sort_values("modulation_index", ascending=False)["neuroid_id"].tolist()
    assert [opened.key(key) for key in ("ArrowDown", "n", "ArrowUp", "End", "Home")] == [
        order[1], order[2], order[1], order[-1], order[0],
    ]  # fmt: skip
    opened.wait(f"document.querySelector('tr[aria-selected=true]')?.textContent.includes('{order[0]}')")


def test_a_click_on_a_column_sorts_by_it_and_what_is_not_defined_comes_last(opened, units):
    opened.js("[...document.querySelectorAll('.wide th button')].find(one => one.textContent === 'gain').click()")
    opened.wait("document.querySelector('.wide th[aria-sort=descending]').textContent === 'gain'")
    names = opened.texts(".wide tbody tr:not(.room) td:nth-child(3)")
    infinite = units.loc[units["gain"].eq(float("inf")), "neuroid_id"].tolist()
    assert names[:3] == infinite
    assert set(names[-3:]) == set(units.loc[units["gain"].isna(), "neuroid_id"])
    assert "∞" in opened.text(".wide tbody tr:nth-child(2)")


def test_a_brush_over_the_scatter_leaves_what_lies_in_it(opened, units):
    actions = pytest.importorskip("selenium.webdriver").ActionChains(opened.driver)
    over = opened.driver.find_element("css selector", ".plots svg")
    half = over.size["height"] / 2
    actions.move_to_element_with_offset(over, 0, int(-half + 5)).click_and_hold()
    actions.move_by_offset(int(over.size["width"] / 2 - 12), int(half)).release().perform()
    opened.wait("document.querySelector('.count').textContent.includes('brushed')")
    kept = int(opened.text(".count").split()[0])
    assert 0 < kept < len(units)
    opened.key("Escape")
    opened.wait("!document.querySelector('.count').textContent.includes('brushed')")
    assert opened.text(".count").startswith("29 of 29")


def test_an_address_opens_its_unit_and_follows_the_pick(browser, opened, units):
    wanted = units["neuroid_id"].iloc[20]
    opened.open(f"#unit={wanted}")
    assert opened.unit() == wanted
    following = opened.key("n")
    assert opened.js("decodeURIComponent(location.hash)") == f"#unit={following}"
    opened.driver.execute_script(f"location.hash = 'unit={wanted}'")
    opened.wait(f"document.querySelector('article h2').textContent.includes({json.dumps(wanted)})")
    opened.open("#unit=nobody")
    assert opened.text(".told") == "There is no unit nobody on this page."


def test_a_unit_shows_its_curves_fits_course_map_field_pictures_and_numbers(opened, units, recording):
    opened.open("#unit=first.stage1.response.5")
    titles = opened.texts("article figcaption")
    assert titles == [
        "Responses over orientation, time step 4", "Time course, mean over conditions",
        "Map of channel 0: modulation index at (y, x)", "Receptive field, bottom up",
        "Pictures that drive it most and least",
    ]  # fmt: skip
    label = opened.js("document.querySelector('article svg').getAttribute('aria-label')")
    values = recording["first/stage1/response"]["maximum"].values[:, 1, 5].reshape(2, 4)
    for name, curve in zip(("bar attended", "bar unattended"), values, strict=True):
        best = int(curve.argmax())
        match = re.search(rf"{name}: largest ([\d.]+) at {best * 45}", label)
        assert float(match[1]) == pytest.approx(curve[best], rel=1e-3)
    assert "rows 2 to 4, columns 4 to 6" in opened.text("article")
    assert opened.js(
        "[...document.querySelectorAll('article img')].every(one => one.complete && one.naturalWidth === 7)"
    )
    assert opened.text("article .excluded") == "Excluded: not driven"
    opened.click("article details summary")
    opened.wait("document.querySelectorAll('article details tr').length")
    rows = dict(zip(opened.texts("article details th"), opened.texts("article details td"), strict=True))
    assert float(rows["gain"]) == pytest.approx(units["gain"].iloc[5], rel=1e-3)
    # Of the mean there is a fit, of the attended state.
    opened.driver.execute_script(
        "const field = document.querySelector('article select'); field.value = '1';"
        "field.dispatchEvent(new Event('change'))"
    )
    opened.wait("document.querySelector('article').textContent.includes('fitted von Mises')")


def test_what_is_not_there_is_said(opened):
    opened.open("#unit=first.stage2.response.1")
    assert "The receptive field is not known" in opened.text("article")


def test_units_can_be_kept_side_by_side(opened):
    first = opened.unit()
    opened.key("k")
    second = opened.key("n")
    opened.wait("document.querySelectorAll('article').length === 2")
    assert [text.strip().removeprefix("Unit ").split()[0] for text in opened.texts("article h2")] == [second, first]


def test_downloads_hold_what_is_shown(opened, units):
    wanted = units[units["layer"].eq("stage2/response") & (units["gain"] > 1)]
    opened.filter("layer:stage2 gain>1", len(wanted))
    rows = list(csv.DictReader(opened.downloaded("units.csv", "Download the table").splitlines()))
    assert {row["neuroid_id"] for row in rows} == set(wanted["neuroid_id"])
    assert {row["gain"] for row in rows} >= {"Infinity"}
    drawing = opened.downloaded("scatter.svg", "Download the scatter")
    assert drawing.count("<circle") - drawing.count('class="now"') == len(wanted)


def test_on_a_phone_nothing_is_wider_than_the_page(opened):
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    opened.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        opened.open()
        assert opened.js("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    finally:
        opened.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_everything_that_is_pressed_or_drawn_has_a_name(opened):
    nameless = (
        "[...document.querySelectorAll('button, input, select, svg[role=img], img')].filter(one => "
        "!(one.getAttribute('aria-label') || one.textContent.trim() || one.alt || one.labels?.length))"
        ".map(one => one.outerHTML)"
    )
    assert opened.js(nameless) == []
