"""Time the page of ``deepcr-ccd inspect`` on a large frame, in a headless Chromium.

Run as ``python benchmarks/inspect_page.py [WIDTH]``; it needs playwright and Chromium.
It prints the time from a click on the link to the first whole picture, which does not
wait for the search for cosmic rays, and that of steps of the sliders: to make the mask,
to count its groups and to draw it.
"""

import argparse
import shutil
import statistics
import time

import numpy as np
from astropy.nddata import CCDData
from playwright.sync_api import Page, sync_playwright

from deepcr_ccd import inspect
from deepcr_ccd.demo import simulate

APP = "document.getElementById('deepcr-ccd').app"
STEPS = [0.3, 0.4, 0.5, 0.7, 0.8, 0.9, 0.95]


def make_frame(width: int) -> CCDData:
    """Return a frame of copies of a simulated one, with 90 cosmic rays a megapixel."""
    part = simulate((750, 750), n_stars=150, n_tracks=50)
    number = -(-width // 750)
    data = np.tile(part.data, (number, number))[:width, :width]
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 2, data.shape)
    return CCDData((data + noise).astype(np.float32), unit="electron")


def time_step(page: Page, grid: list[float], threshold: float) -> list[float]:
    """Return the ms that a step takes: the mask, and with its drawing."""
    return page.evaluate(
        f"""(seed) => {{
            const app = {APP};
            const begin = performance.now();
            app.editor.settings.seed = seed;
            app.editor.makeMask();
            app.picture.drawMask();
            return [app.editor.stepTime, performance.now() - begin];
        }}""",
        grid.index(threshold),
    )


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("width", nargs="?", type=int, default=6000)
    frame = make_frame(parser.parse_args().width)
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with inspect(frame, browser=False, device="cpu") as session, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path)
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        begin = time.perf_counter()
        page.goto(session.url)
        while not page.evaluate(f"{APP}?.picture.isWhole"):
            page.wait_for_timeout(5)
        print(f"first picture: {time.perf_counter() - begin:.2f} s")
        parts = page.evaluate(
            "performance.getEntriesByType('resource').map(e => "
            "[e.name.split('/').pop(), Math.round(e.startTime), "
            "Math.round(e.duration)])"
        )
        print(*(f"{name} {start}+{took} ms" for name, start, took in parts), sep=", ")
        page.wait_for_selector("#deepcr-ccd[data-settled=true]", timeout=900_000)
        print(
            f"mask: {time.perf_counter() - begin:.1f} s; {page.inner_text('.counts')}"
        )
        grid = page.evaluate(f"{APP}.info.grid")
        for text, zoom in (
            ("whole frame", "fit()"),
            ("pixels", "centre(3000, 3000, 4)"),
        ):
            page.evaluate(f"{APP}.picture.{zoom}")
            times = [time_step(page, grid, step) for step in STEPS]
            mask, drawn = (statistics.median(part) for part in zip(*times, strict=True))
            print(f"step, {text}: mask {mask:.0f} ms, counted and drawn {drawn:.0f} ms")
        begin = time.perf_counter()
        page.evaluate(f"{APP}.editor.set({{seed: {grid.index(0.55)}}})")
        page.wait_for_selector("#deepcr-ccd[data-settled=true]")
        print(f"settled, with the list: {time.perf_counter() - begin:.2f} s")
        browser.close()


if __name__ == "__main__":
    main()
