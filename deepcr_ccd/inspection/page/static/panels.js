// Panels of the page that hold controls: each function returns its element, and those
// that the page writes to.

import { button, make } from "./widgets.js";

export const MODES = ["before", "mask", "after"];
export const TOOLS = [
  ["move", "Move", "Drag moves the frame, a click chooses a cosmic ray (v)"],
  ["add", "Add", "Brush that flags pixels (d)"],
  ["remove", "Remove", "Brush that removes pixels (e)"],
];
const KEYS = [
  ["b, 1, 2, 3", "blink: before, mask, after"],
  ["n, p", "next, previous cosmic ray"],
  ["a, x", "accept, reject it"],
  ["v, d, e", "move; brush that adds, removes"],
  ["[, ]", "smaller, larger brush"],
  ["u", "undo the last edit"],
  ["+, −, 0", "zoom, whole frame"],
  ["arrows", "move the frame, or choose in the list"],
  ["i", "invert the stretch"],
  ["s", "save"],
  ["Shift + drag", "limits of the stretch"],
];

/** Modes, zoom, tools and brush. */
export function makeToolbar(app) {
  const { picture } = app;
  const modes = MODES.map((mode, n) => button(mode[0].toUpperCase() + mode.slice(1), `Show ${mode} (${n + 1}); b goes round`, () => app.setMode(mode)));
  const tools = TOOLS.map(([tool, text, title]) => button(text, title, () => app.setTool(tool)));
  const brushSize = make("input", { type: "range", min: 0, max: 12, value: 1, "aria-label": "Radius of the brush in px" });
  brushSize.addEventListener("input", () => (app.brush = Number(brushSize.value)));
  const excluded = make("input", { type: "checkbox" });
  excluded.addEventListener("change", () => {
    picture.showsExcluded = excluded.checked;
    picture.draw();
  });
  const element = make(
    "div",
    { class: "toolbar", role: "toolbar", "aria-label": "View and tools" },
    make("span", { class: "group" }, ...modes),
    make(
      "span",
      { class: "group" },
      button("−", "Zoom out (-)", () => picture.zoom(1 / 1.5)),
      button("Fit", "Whole frame (0)", () => picture.fit()),
      button("+", "Zoom in (+)", () => picture.zoom(1.5)),
    ),
    make("span", { class: "group" }, ...tools),
    make("label", {}, "Brush", brushSize),
    make("label", {}, excluded, "Excluded"),
  );
  return { element, modes, tools, brushSize };
}

function makeSlider(text, change) {
  const input = make("input", { type: "range", min: 0, step: 1 });
  const output = make("output");
  input.disabled = true;
  input.setAttribute("aria-label", text);
  input.addEventListener("input", () => change(Number(input.value)));
  return { input, output, label: make("label", { class: "slider" }, make("span", {}, text), input, output) };
}

/** Thresholds, growth, and what they give. */
export function makeMaskPanel(app) {
  const { editor } = app;
  const seed = makeSlider("Threshold", (place) => editor.set({ seed: place, extend: Math.min(place, editor.settings.extend) }));
  const extend = makeSlider("Extend to", (place) => editor.set({ extend: place, seed: Math.max(place, editor.settings.seed) }));
  const growth = makeSlider("Grow (px)", (half) => editor.set({ grow: half / 2 }));
  const counts = make("p", { class: "counts", role: "status" });
  const undoButton = button("Undo", "Undo the last edit (u)", () => editor.undo(), { disabled: true });
  const resetButton = button("Reset", "Thresholds and growth of the start", () => editor.set({ ...app.info.start }), { disabled: true });
  const element = make(
    "section",
    { class: "panel" },
    make("h2", {}, "Mask"),
    seed.label,
    extend.label,
    growth.label,
    counts,
    make("div", { class: "row" }, undoButton, resetButton),
  );
  const maskControls = [seed.input, extend.input, growth.input, resetButton];
  return { element, seed, extend, growth, counts, undoButton, maskControls };
}

/** The list of cosmic rays, and what is done with the chosen one. */
export function makeListPanel(app) {
  const acceptButton = button("Accept", "Keep it, whatever the thresholds (a)", () => app.decide("accept"));
  const rejectButton = button("Reject", "It is no cosmic ray (x)", () => app.decide("reject"));
  const element = make(
    "section",
    { class: "panel" },
    make("h2", {}, "Cosmic rays"),
    make(
      "div",
      { class: "row" },
      acceptButton,
      rejectButton,
      button("Previous", "Previous in the list (p)", () => app.list.step(-1)),
      button("Next", "Next in the list (n)", () => app.list.step(1)),
    ),
    app.list.element,
  );
  return { element, acceptButton, rejectButton };
}

/** What the keys do. */
export function makeKeysPanel() {
  const rows = KEYS.map(([key, what]) => make("tr", {}, make("th", { scope: "row" }, key), make("td", {}, what)));
  return make("details", { class: "panel" }, make("summary", {}, "Keys"), make("table", { class: "keys" }, ...rows));
}
