"""The page in a real browser: its mask is Python's, and edits reach the file."""

import base64
import re
import shutil
import threading

import numpy as np
import pytest
from astropy.io import fits
from sample_files import hst_like

from deepcr_ccd import cosmicray_deepcr, inspect
from deepcr_ccd.demo import simulate
from deepcr_ccd.inspection import images
from deepcr_ccd.inspection.edits import Edit, apply_edits
from deepcr_ccd.inspection.inspection import Inspection
from deepcr_ccd.inspection.page.server import static_files
from deepcr_ccd.inspection.page.widget import SCRIPTS, single_module
from deepcr_ccd.inspection.session import inspect_file
from deepcr_ccd.io.fits_file import FitsFile

EXACT = {"model": "universal", "device": "cpu", "precision": "float32"}
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SETTLED = "#deepcr-ccd[data-settled=true]"
APP = "document.getElementById('deepcr-ccd').app"


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window."""
    api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("Chromium is not installed")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path)
        yield opened
        opened.close()


@pytest.fixture
def new_page(browser):
    """Opens pages of one browser; any error in a page fails the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    errors = []

    def open_page(link):
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(link)
        return page

    yield open_page
    context.close()
    assert errors == []


@pytest.fixture
def open_file(tmp_path):
    """Opens sessions on files, and closes them."""
    sessions = []

    def open_session(path, **options):
        options = EXACT | options
        session = inspect_file(path, tmp_path / "out", browser=False, **options)
        sessions.append(session)
        return session

    yield open_session
    for session in sessions:
        session.close()


def settle(page):
    page.wait_for_selector(SETTLED, timeout=20_000)


def wait_until(page, expression):
    """Wait for an expression of the app; the page's policy allows no polling in it."""
    for _ in range(200):
        if page.evaluate(f"{APP}.{expression}"):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"{expression} did not become true")


def page_mask(page, shape):
    """The mask that a page shows."""
    mask = np.zeros(shape, dtype=bool)
    mask.flat[page.evaluate(f"{APP}.mask")] = True
    return mask


def move_slider(page, name, value):
    """Move a slider as a person does, which does not go through the app."""
    page.evaluate(
        f"""([name, value]) => {{
            const {{ input }} = {APP}[name];
            input.value = value;
            input.dispatchEvent(new Event("input"));
        }}""",
        [name, value],
    )
    settle(page)


def place_of(page, x, y):
    """Where a pixel of the frame is on the page."""
    box = page.locator(".picture").bounding_box()
    left, top = page.evaluate(
        f"""([x, y]) => {{
            const p = {APP}.picture;
            return [(x - p.x) * p.scale + p.base.width / 2,
                    p.base.height / 2 - (y - p.y) * p.scale];
        }}""",
        [int(x), int(y)],
    )
    return box["x"] + left, box["y"] + top


@pytest.fixture(scope="module")
def frame():
    return simulate((150, 170), n_stars=10, n_tracks=12, seed=7)


@pytest.fixture(scope="module")
def path(tmp_path_factory, frame):
    return hst_like(tmp_path_factory.mktemp("inspect") / "two.fits", frame)


def read(path, number):
    """A chip of the file as the package reads it."""
    return FitsFile(path).images[number].read()


def python_mask(ccd, **options):
    cleaned = cosmicray_deepcr(ccd, inpaint=None, **EXACT, **options)
    return cleaned.mask if ccd.mask is None else cleaned.mask & ~ccd.mask


def test_the_mask_follows_the_sliders_as_python_says(open_file, new_page, path):
    session = open_file(path)
    page, ccd = new_page(session.url), read(path, 0)
    settle(page)
    np.testing.assert_array_equal(page_mask(page, ccd.shape), python_mask(ccd))
    grid = page.evaluate(f"{APP}.info.grid")
    for seed, extend, grow in [(0.9, 0.9, 1), (0.5, 0.001, 2.5)]:
        move_slider(page, "seed", grid.index(seed))
        move_slider(page, "extend", grid.index(extend))
        move_slider(page, "growth", 2 * grow)
        expected = python_mask(ccd, threshold=seed, extend_threshold=extend, grow=grow)
        np.testing.assert_array_equal(page_mask(page, ccd.shape), expected)
        np.testing.assert_array_equal(session.mask, expected)
    assert page.locator("textarea").input_value() == (
        f"deepcr-ccd mask {path} -o masks --threshold 0.5 --extend-threshold 0.001 "
        "--grow 2.5 --device cpu --precision float32"
    )


def test_a_judged_mask_is_written(open_file, new_page, path, tmp_path):
    page, ccd = new_page(open_file(path).url), read(path, 0)
    settle(page)
    automatic = page_mask(page, ccd.shape)
    page.keyboard.press("n")
    chosen = page.evaluate(f"{APP}.editor.maker.groupAt({APP}.list.chosen.first)")
    assert automatic.flat[chosen].all()
    page.keyboard.press("x")
    settle(page)
    # Three pixels that are flagged with the brush, away from all others.
    page.keyboard.press("0")
    page.keyboard.press("d")
    page.keyboard.press("[")
    clear = np.argwhere(~automatic[20:-20, 20:-20])[0] + 20
    page.wait_for_timeout(100)
    page.mouse.move(*place_of(page, clear[1], clear[0]))
    page.mouse.down()
    page.mouse.move(*place_of(page, clear[1] + 2, clear[0]))
    page.mouse.up()
    settle(page)
    edits = page.evaluate(f"{APP}.editor.edits")
    assert [kind for kind, _ in edits] == ["reject", "add"]
    line = np.ravel_multi_index((clear[0], clear[1] + np.arange(3)), ccd.shape)
    assert edits[1][1] == [line[0], 3]
    expected = apply_edits(
        automatic, ccd.mask, [Edit("reject", np.array(chosen)), Edit("add", line)]
    )
    assert expected.flat[line].all() and not expected.flat[chosen].any()
    np.testing.assert_array_equal(page_mask(page, ccd.shape), expected)
    # Edits stay when a slider moves, and when the page is loaded again.
    before = page.evaluate(f"{APP}.editor.settings.extend")
    move_slider(page, "extend", before - 10)
    assert not page_mask(page, ccd.shape).flat[chosen].any()
    move_slider(page, "extend", before)
    page.reload()
    settle(page)
    np.testing.assert_array_equal(page_mask(page, ccd.shape), expected)
    page.get_by_role("button", name="Save").click()
    wait_until(page, "saving.saved.textContent.startsWith('saved')")
    with fits.open(tmp_path / "out" / path.name) as result, fits.open(path) as source:
        flagged = (result["DQ", 1].data & 4096) > 0
        known = (source["DQ", 1].data & 4096) > 0
        np.testing.assert_array_equal(flagged, expected | known)
        np.testing.assert_array_equal(result["SCI", 1].data, source["SCI", 1].data)
        history = [
            line for line in result["SCI", 1].header["HISTORY"] if "hand" in line
        ]
        assert history == [
            f"deepcr_ccd: edited by hand, 3 px added, {len(chosen)} px removed"
        ]
        other = (result["DQ", 2].data & 4096) > 0
        np.testing.assert_array_equal(other, python_mask(read(path, 1)) | known)
    # A file that is there is replaced only where a person says so. Saving waits for a
    # slider that has just moved.
    page.evaluate(f"{APP}.editor.set({{}})")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Replace it").wait_for()
    assert "exists" in page.evaluate(f"{APP}.saving.saved.textContent")
    page.keyboard.press("u")
    settle(page)
    page.keyboard.press("u")
    settle(page)
    np.testing.assert_array_equal(page_mask(page, ccd.shape), automatic)


def test_tabs_blinking_and_the_pixel_under_the_pointer(open_file, new_page, path):
    session = open_file(path)
    page = new_page(session.url)
    settle(page)
    page.mouse.move(*place_of(page, 30, 40))
    wait_until(page, "readout.textContent.includes('x 30  y 40')")
    shown = page.evaluate(f"{APP}.readout.textContent")
    ccd = read(path, 0)
    assert f"{float(ccd.data[40, 30]):.7g} electron" in shown and "p 0." in shown
    page.keyboard.press("b")
    wait_until(page, "picture.filled !== null")
    assert page.evaluate(f"{APP}.mode") == "after"
    page.keyboard.press("b")
    assert page.evaluate(f"[{APP}.mode, {APP}.picture.showsMask]") == ["before", False]
    expected = python_mask(read(path, 1))
    # An edit that is followed at once by another tab is not lost.
    page.evaluate(
        f"""() => {{
            {APP}.editor.edit("add", [1]);
            {APP}.editor.edit("add", [2]);
            {APP}.open(1);
        }}"""
    )
    wait_until(page, "tab == 1")
    settle(page)
    np.testing.assert_array_equal(page_mask(page, ccd.shape), expected)
    page.evaluate(f"{APP}.editor.set({{grow: 1}})")
    settle(page)
    page.get_by_role("button", name="Reset").click()
    settle(page)
    np.testing.assert_array_equal(page_mask(page, ccd.shape), expected)
    page.get_by_role("tab", name="SCI,1").click()
    wait_until(page, "tab == 0")
    settle(page)
    assert page.evaluate(f"{APP}.editor.edits") == [["add", [1, 1]], ["add", [2, 1]]]
    assert session.mask.flat[[1, 2]].all()


def say(page):
    """What the status and the counts say, and whether the counts may change."""
    return page.evaluate(
        f"[{APP}.status.text.textContent, {APP}.counts.textContent, "
        f"{APP}.counts.ariaBusy, {APP}.counts.role]"
    )


def is_in_view(locator):
    box, view = locator.bounding_box(), locator.page.viewport_size
    return box["y"] >= 0 and box["y"] + box["height"] <= view["height"]


def held(monkeypatch, owner, name):
    """Hold back a function until the event is set."""
    go, function = threading.Event(), getattr(owner, name)

    def wait(*args, **kwargs):
        assert go.wait(60)
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, wait)
    return go


def test_a_mask_that_is_not_final_is_marked(open_file, new_page, path, monkeypatch):
    found = held(monkeypatch, images, "clean_frame")
    page = new_page(open_file(path).url)
    page.get_by_text("the model is running").wait_for()
    searching = "searching for cosmic rays: there is no mask yet…"
    none = "No mask yet: the model is running"
    assert say(page) == [searching, none, "true", "status"]
    second = page.get_by_role("tab", name="SCI,2, not searched yet")
    assert page.get_by_role("tab", name="SCI,1, not searched yet").count() == 1
    page.keyboard.press("s")
    assert "not saved: there is no mask yet" in say(page)[0]
    page.keyboard.press("u")
    found.set()
    settle(page)
    text, counts, *how = say(page)
    assert not text and "cosmic rays" in counts and how == ["false", "status"]
    assert "Provisional" not in counts
    assert page.get_by_role("tab", name="SCI,1", exact=True).count() == 1
    # While Python has not confirmed what a slider makes, the counts are the page's.
    confirmed = held(monkeypatch, Inspection, "plane")
    page.evaluate(f"{APP}.editor.set({{grow: 2}})")
    page.get_by_text("updating: the mask is provisional…").wait_for()
    text, counts, *how = say(page)
    assert counts.startswith("Provisional: ") and how == ["true", "status"]
    confirmed.set()
    settle(page)
    text, after, *how = say(page)
    assert not text and after.startswith(counts.removeprefix("Provisional: "))
    assert how == ["false", "status"]
    # Nothing of a tab stays on the next.
    found.clear()
    second.click()
    page.get_by_text("the model is running").wait_for()
    assert say(page) == [searching, none, "true", "status"]
    assert page.locator("tbody tr").count() == 0
    found.set()
    settle(page)
    assert page.locator("tbody tr").count() > 0


def test_leaving_asks_where_anything_is_not_saved(open_file, new_page, path):
    session = open_file(path, overwrite=True)
    page = new_page(session.url)
    settle(page)
    asked = []

    def stay(dialog):
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)

    def leave():
        asked.clear()
        page.close(run_before_unload=True)
        page.wait_for_timeout(300)
        return asked

    for name, key in [
        ("Threshold", "ArrowRight"),
        ("Extend to", "ArrowLeft"),
        ("Grow (px)", "ArrowRight"),
        ("Frame", "x"),
    ]:
        if key == "x":
            page.keyboard.press("n")
        page.get_by_label(name, exact=True).last.press(key)
        assert leave() == ["beforeunload"], name
        settle(page)
        assert leave() == ["beforeunload"] and session.has_unsaved_changes
        assert page.inner_text(".saved") == "Changes are not saved."
        page.get_by_role("button", name="Save").press("Enter")
        page.get_by_role("status").filter(has_text="saved: /").wait_for()
        assert not session.has_unsaved_changes
        assert page.evaluate("document.activeElement.textContent") == "Save"
    asked.clear()
    with page.expect_event("close"):
        page.close(run_before_unload=True)
    assert asked == []


@pytest.mark.parametrize("size", [(1300, 900), (1300, 500), (400, 800)])
def test_what_became_of_saving_is_in_view(open_file, new_page, path, tmp_path, size):
    page = new_page(open_file(path).url)
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    if size[1] == 900:
        assert is_in_view(page.get_by_role("button", name="Save"))
    status, saved = page.locator(".status").first, page.locator(".saved")
    page.get_by_role("button", name="Save").click()
    page.locator(".status", has_text="saved: ").wait_for()
    shown = f"saved: {tmp_path / 'out' / path.name}"
    assert status.inner_text() == saved.inner_text() == shown
    assert is_in_view(status) and is_in_view(saved)
    # Wherever a person is on the page.
    page.get_by_text("Keys").scroll_into_view_if_needed()
    page.keyboard.press("s")
    page.locator(".status", has_text="exists").wait_for()
    assert is_in_view(status)
    page.get_by_role("button", name="Replace it").press("Enter")
    page.locator(".status", has_text="saved: ").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Save"


def test_the_list_is_used_by_keys(open_file, new_page, path):
    page = new_page(open_file(path).url)
    settle(page)
    page.get_by_role("button", name="doubt").focus()
    chosen = []
    for key in ("Tab", "Enter", "ArrowDown", "ArrowDown", "ArrowUp", "x"):
        page.keyboard.press(key)
        settle(page)
        chosen.append(page.evaluate(f"{APP}.list.objects.indexOf({APP}.list.chosen)"))
        # The list is made anew, and keeps the focus.
        assert page.evaluate("document.activeElement.closest('tbody') !== null"), key
    assert chosen[:5] == [-1, 0, 1, 2, 1]
    assert [kind for kind, _ in page.evaluate(f"{APP}.editor.edits")] == ["reject"]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('tbody') === null")


def test_a_session_that_has_ended_is_said(open_file, new_page, path):
    session = open_file(path)
    page = new_page(session.url)
    settle(page)
    before = session.mask
    session.close()
    page.evaluate(f"{APP}.editor.set({{grow: 3}})")
    page.get_by_role("alert").filter(has_text="session has ended").wait_for()
    np.testing.assert_array_equal(session.mask, before)


def test_two_pages_do_not_overwrite_each_other(open_file, new_page, path):
    session = open_file(path)
    first, second = new_page(session.url), new_page(session.url)
    settle(first)
    settle(second)
    first.keyboard.press("n")
    first.keyboard.press("x")
    settle(first)
    edited = page_mask(first, session.mask.shape)
    # A page that asks for the list learns of it, and so does one that changes the mask.
    second.evaluate(f"{APP}.editor.finish()")
    second.get_by_text("Another page has changed the mask").wait_for()
    settle(second)
    np.testing.assert_array_equal(page_mask(second, edited.shape), edited)
    assert second.get_by_role("alert").inner_text() == ""
    first.keyboard.press("u")
    settle(first)
    first.keyboard.press("x")
    settle(first)
    second.evaluate(f"{APP}.editor.set({{grow: 1}})")
    settle(second)
    assert "Another page has changed the mask" in second.inner_text(".status")
    np.testing.assert_array_equal(page_mask(second, edited.shape), edited)
    np.testing.assert_array_equal(session.mask, edited)
    second.evaluate(f"{APP}.editor.set({{grow: 1}})")
    settle(second)
    np.testing.assert_array_equal(page_mask(second, edited.shape), session.mask)
    assert session.mask.sum() > edited.sum()


def test_a_page_needs_a_link_that_was_not_used(open_file, new_page, path):
    session = open_file(path)
    link = session.url
    first = new_page(link)
    settle(first)
    assert first.url == link.partition("#")[0]
    for one in (link, first.url):
        page = new_page(one)
        page.get_by_text("each works once").wait_for()
        assert page.locator("tbody tr").count() == 0
    # Another link in the same tab, and the tab loaded again.
    page.evaluate("link => { location.href = link; }", session.url)
    settle(page)
    page.reload()
    settle(page)


def test_raw_colour_frames_and_excluded_pixels(new_page, frame):
    ccd = frame.copy()
    ccd.meta["BAYERPAT"] = "RGGB"
    ccd.mask = np.zeros(ccd.shape, dtype=bool)
    ccd.mask[:, 60:62] = True
    ccd.data[:, 60] += 30_000
    ccd.data[20:90, 62] += 700
    with inspect(ccd, browser=False, grow=1.5, **EXACT) as session:
        page = new_page(session.url)
        settle(page)
        expected = python_mask(ccd, grow=1.5)
        np.testing.assert_array_equal(page_mask(page, ccd.shape), expected)
        grid = page.evaluate(f"{APP}.info.grid")
        move_slider(page, "extend", grid.index(0.02))
        expected = python_mask(ccd, grow=1.5, extend_threshold=0.02)
        np.testing.assert_array_equal(page_mask(page, ccd.shape), expected)
        assert page.get_by_role("button", name="Save").count() == 0
        assert page.locator("textarea").input_value() == session.call
    assert session.call.startswith("cosmicray_deepcr(ccd, threshold=0.45, ")


def test_a_real_frame(open_file, new_page, data_folder):
    path = data_folder / "hst_wfc3_uvis" / "ibo821kvq_flt.fits"
    session = open_file(path, grow=1)
    page, ccd = new_page(session.url), read(path, 0)
    settle(page)
    expected = python_mask(ccd, grow=1)
    np.testing.assert_array_equal(page_mask(page, ccd.shape), expected)
    grid = page.evaluate(f"{APP}.info.grid")
    move_slider(page, "seed", grid.index(0.95))
    expected = python_mask(ccd, grow=1, threshold=0.95)
    np.testing.assert_array_equal(page_mask(page, ccd.shape), expected)


def test_scripts_are_short_and_the_widget_has_all():
    files = static_files()
    scripts = {name for name in files if name.endswith(".js")}
    assert scripts == set(SCRIPTS)
    assert [name for name in scripts if files[name].count(b"\n") > 350] == []
    assert "\nimport " not in single_module()
    assert re.findall(r"^export .*", single_module(), re.MULTILINE) == [
        "export default { render };"
    ]


HARNESS = """
<!doctype html><title>notebook</title>
<link rel="stylesheet" href="/style.css">
<div id="cell"></div>
<script type="module">
  import widget from "/module.js";
  const listeners = [];
  window.receive = (message, parts) => {
    const buffers = parts.map((text) => {
      const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
      return new DataView(bytes.buffer);
    });
    listeners.forEach((one) => one(message, buffers));
  };
  const model = {
    on: (_, listener) => listeners.push(listener),
    off: () => {},
    send: (message) => window.kernel(message),
  };
  widget.render({ model, el: document.getElementById("cell") });
</script>
"""


def test_the_widget_of_a_notebook_is_the_same_page(browser, frame, monkeypatch):
    pytest.importorskip("anywidget")
    with inspect(frame, browser=False, **EXACT) as session:
        widget = session.widget()
    page = browser.new_page()
    waiting, errors = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.expose_function("kernel", lambda message: waiting.append(message))
    monkeypatch.setattr(
        widget,
        "send",
        lambda content, buffers=(): page.evaluate(
            "([message, parts]) => window.receive(message, parts)",
            [content, [base64.b64encode(one).decode() for one in buffers]],
        ),
    )

    def fulfil(route):
        kind, body = {
            "module.js": ("text/javascript", widget._esm),
            "style.css": ("text/css", widget._css),
        }.get(route.request.url.rpartition("/")[2], ("text/html", HARNESS))
        route.fulfill(body=body, content_type=kind)

    def run_until(condition):
        for _ in range(400):
            assert errors == []
            while waiting:
                widget._handle_custom_msg(waiting.pop(0), [])
            if page.locator(condition).count():
                return
            page.wait_for_timeout(20)
        pytest.fail(f"{condition} did not appear")

    try:
        page.route("**/*", fulfil)
        page.goto("http://notebook.test/")
        run_until("[data-settled=true]")
        app = "document.querySelector('.deepcr-ccd').app"
        mask = np.zeros(frame.shape, dtype=bool)
        mask.flat[page.evaluate(f"{app}.mask")] = True
        np.testing.assert_array_equal(mask, python_mask(frame))
        page.locator(".picture").click(position={"x": 5, "y": 5})
        page.keyboard.press("n")
        page.keyboard.press("x")
        run_until("[data-settled=false]")
        run_until("[data-settled=true]")
        removed = page.evaluate(f"{app}.editor.maker.rejected.length")
        assert 0 < removed == mask.sum() - session.mask.sum()
    finally:
        page.close()
