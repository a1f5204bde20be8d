"""The explorer at its bound: 100,000 units × 24 conditions × 5 time steps in headless Chromium.

``python benchmarks/explorer.py`` writes the page, opens it from its file, and says how large it is (bound: 25 MB), when
the first view stands (2 s) and how long a unit takes (100 ms). Needs selenium, chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import xarray as xr

from neuroattn.explorer.contents import contents
from neuroattn.explorer.page import page
from neuroattn.explorer.view import View

BOUNDS = {"size_mb": 25.0, "first_view_s": 2.0, "unit_ms": 100.0}
UNIT = """
const done = arguments[arguments.length - 1], start = performance.now();
const before = document.querySelector("article");
const seen = new MutationObserver(() => {
  if (document.querySelector("article") !== before) { seen.disconnect(); done(performance.now() - start); }
});
seen.observe(document.querySelector(".unit"), {childList: true, subtree: true});
location.hash = "unit=" + encodeURIComponent(arguments[0]);
"""


def recording(n_units: int, n_layers: int = 2) -> tuple[pd.DataFrame, xr.DataTree]:
    """Return rectified, noisy tuning curves in two states over twelve orientations at five steps, and their units."""
    generator = np.random.default_rng(0)
    orientation, state, n_steps = np.tile(np.arange(12) * 15.0, 2), np.repeat([0, 1], 12), 5
    tables, groups = [], {}
    for number in range(1, n_layers + 1):
        n, layer = n_units // n_layers, f"stage{number}/response"
        preferred, gain = generator.uniform(0, 180, n), generator.lognormal(0.3, 0.3, n)
        curve = np.exp(2 * (np.cos(2 * np.deg2rad(orientation[:, None] - preferred)) - 1))
        of_state = np.where(state == 0, gain[:, None], 1.0).T
        grown = (curve * of_state)[:, None] * np.linspace(0.6, 1, n_steps)[:, None]
        values = np.maximum(grown + generator.normal(-0.2, 0.05, grown.shape), 0).astype(np.float32)
        ids = [f"bench.{layer.replace('/', '.')}.{k}" for k in range(n)]
        place = {"channel": np.arange(n) // 2500, "channel_y": np.arange(n) // 50 % 50, "channel_x": np.arange(n) % 50}
        groups[f"/bench/{layer}"] = xr.Dataset(
            {"mean": (("condition", "time_step", "neuroid"), values)},
            {"orientation": ("condition", orientation), "attended": ("condition", state),
             "neuroid_id": ("neuroid", ids), "time_step": np.arange(n_steps),
             **{name: ("neuroid", at) for name, at in place.items()}},
        )  # fmt: skip
        index = (gain - 1) / (gain + 1)
        table = pd.DataFrame({"model": "bench", "layer": layer, "neuroid_id": ids, **place, "gain": gain})
        noisy = {f"measure_{k}": index + generator.normal(0, 0.1, n) for k in range(4)}
        tables.append(table.assign(modulation_index=index, preferred=preferred, **noisy, excluded_by=""))
    return pd.concat(tables, ignore_index=True), xr.DataTree.from_dict(groups)


def main() -> None:
    """Measure, print, and fail beyond a bound."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n_units", type=int, default=100_000)
    units, tree = recording(parser.parse_args().n_units)
    start = time.perf_counter()
    text = page(
        contents("Benchmark", units, tree, View(x="orientation", unit="°", measures=("gain", "modulation_index")))
    )
    made = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "explorer.html"
        file.write_text(text, encoding="utf-8")
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(argument)
        driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        try:
            driver.get("about:blank")
            start, before = time.perf_counter(), processor_seconds()
            driver.get(file.as_uri())
            while not driver.execute_script("return document.querySelector('main').dataset.ready"):
                time.sleep(0.02)
            first, used = time.perf_counter() - start, processor_seconds() - before
            ids = units["neuroid_id"].sample(20, random_state=0)
            took = [driver.execute_async_script(UNIT, name) for name in ids]
        finally:
            driver.quit()
    found = {"size_mb": file_size(text), "first_view_s": first, "unit_ms": statistics.median(took)}
    print(f"the first view took {used:.2f} s of all processors, which on a busy machine says more than the clock")
    print(f"page of {len(units):,} units made in {made:.1f} s; the slowest of 20 units took {max(took):.0f} ms")
    for name, value in found.items():
        print(f"{name:14} {value:8.2f}   bound {BOUNDS[name]:g}   {'ok' if value <= BOUNDS[name] else 'BEYOND'}")
    if any(value > BOUNDS[name] for name, value in found.items()):
        raise SystemExit(1)


def processor_seconds() -> float:
    """Return the processor time of all processes of the browser so far."""
    times = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
    return float(sum(one.user + one.system for one in times))


def file_size(text: str) -> float:
    """Return the size of a page in MB."""
    return len(text.encode()) / 1e6


if __name__ == "__main__":
    main()
