// The page: what a person sets and edits, and what Python answers.

import { MaskMaker, fromRuns, toRuns } from "./mask.js";
import { Picture } from "./picture.js";
import { ObjectList, StretchControl, button, make } from "./widgets.js";
import { listenToKeys, listenToPointer } from "./input.js";

const CERTAIN = 0.85;
// Times that saving waits for the mask, 50 ms each.
const PATIENCE = 200;
const MODES = ["before", "mask", "after"];
const TOOLS = [
  ["move", "Move", "Drag moves the frame, a click chooses a cosmic ray (v)"],
  ["add", "Add", "Brush that flags pixels (d)"],
  ["remove", "Remove", "Brush that removes pixels (e)"],
];
const SAVES = {
  flags: "copy of the file, flags set",
  filled: "copy of the file, flags set and pixels filled",
  masks: "file of masks only",
};

const pause = (time) => new Promise((done) => setTimeout(done, time));

export class App {
  /**
   * @param {HTMLElement} root where the page goes
   * @param {function} call takes a name and arguments, returns an answer of Python
   */
  constructor(root, call) {
    this.root = root;
    this.call = call;
    this.edits = [];
    this.dropped = [];
    this.tool = "move";
    this.mode = "mask";
    this.brush = 1;
    this.tab = 0;
    this.version = 0;
    root.classList.add("deepcr-ccd");
    root.app = this;
    this.build();
    this.setTool("move");
    this.show(null, false);
    listenToPointer(this);
    listenToKeys(this);
  }

  build() {
    this.status = make("p", { role: "status", class: "status" });
    this.tabs = make("div", { role: "tablist", class: "tabs", "aria-label": "Images" });
    this.box = make("div", { class: "picture", tabindex: "0", role: "application", "aria-label": "Frame" });
    this.picture = new Picture(this.box, (level, row, column, filled) =>
      this.call("tile", { tab: this.tab, level, row, column, filled }).then((bytes) => new Uint16Array(bytes)),
    );
    this.tabs.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const next = this.tabs.children[this.tab + by];
      if (!next) return;
      next.focus();
      next.click();
    });
    this.readout = make("p", { class: "readout" }, "\u00a0");
    this.stretch = new StretchControl(this.picture);
    this.list = new ObjectList((object, centres) => this.show(object, centres));
    this.title = make("h1", {}, "deepcr-ccd inspect");
    this.root.replaceChildren(
      make("header", {}, this.title, this.tabs, this.status),
      make(
        "div",
        { class: "work" },
        make("section", { class: "frame", "aria-label": "Frame" }, this.toolbar(), this.box, this.readout),
        make("aside", {}, this.maskPanel(), this.listPanel(), this.stretch.element, this.savePanel(), this.keysPanel()),
      ),
    );
  }

  toolbar() {
    this.modes = MODES.map((mode, n) => button(mode[0].toUpperCase() + mode.slice(1), `Show ${mode} (${n + 1}); b goes round`, () => this.setMode(mode)));
    this.tools = TOOLS.map(([tool, text, title]) => button(text, title, () => this.setTool(tool)));
    this.brushSize = make("input", { type: "range", min: 0, max: 12, value: 1, "aria-label": "Radius of the brush in px" });
    this.brushSize.addEventListener("input", () => (this.brush = Number(this.brushSize.value)));
    const excluded = make("input", { type: "checkbox" });
    excluded.addEventListener("change", () => {
      this.picture.showsExcluded = excluded.checked;
      this.picture.draw();
    });
    this.excludedBox = excluded;
    return make(
      "div",
      { class: "toolbar", role: "toolbar", "aria-label": "View and tools" },
      make("span", { class: "group" }, ...this.modes),
      make(
        "span",
        { class: "group" },
        button("−", "Zoom out (-)", () => this.picture.zoom(1 / 1.5)),
        button("Fit", "Whole frame (0)", () => this.picture.fit()),
        button("+", "Zoom in (+)", () => this.picture.zoom(1.5)),
      ),
      make("span", { class: "group" }, ...this.tools),
      make("label", {}, "Brush", this.brushSize),
      make("label", {}, excluded, "Excluded"),
    );
  }

  slider(text, change) {
    const input = make("input", { type: "range", min: 0, step: 1 });
    const output = make("output");
    input.addEventListener("input", () => change(Number(input.value)));
    return { input, output, label: make("label", { class: "slider" }, make("span", {}, text), input, output) };
  }

  maskPanel() {
    this.seed = this.slider("Threshold", (seed) => this.set({ seed, extend: Math.min(seed, this.settings.extend) }));
    this.extend = this.slider("Extend to", (extend) => this.set({ extend, seed: Math.max(extend, this.settings.seed) }));
    this.growth = this.slider("Grow (px)", (half) => this.set({ grow: half / 2 }));
    this.counts = make("p", { class: "counts" });
    this.undoButton = button("Undo", "Undo the last edit (u)", () => this.undo());
    this.resetButton = button("Reset", "Thresholds and growth of the start", () => this.set({ ...this.info.start }));
    return make(
      "section",
      { class: "panel" },
      make("h2", {}, "Mask"),
      this.seed.label,
      this.extend.label,
      this.growth.label,
      this.counts,
      make("div", { class: "row" }, this.undoButton, this.resetButton),
    );
  }

  listPanel() {
    this.acceptButton = button("Accept", "Keep it, whatever the thresholds (a)", () => this.decide("accept"));
    this.rejectButton = button("Reject", "It is no cosmic ray (x)", () => this.decide("reject"));
    return make(
      "section",
      { class: "panel" },
      make("h2", {}, "Cosmic rays"),
      make(
        "div",
        { class: "row" },
        this.acceptButton,
        this.rejectButton,
        button("Previous", "Previous in the list (p)", () => this.list.step(-1)),
        button("Next", "Next in the list (n)", () => this.list.step(1)),
      ),
      this.list.element,
    );
  }

  savePanel() {
    this.kind = make("select", { "aria-label": "What to save" });
    this.where = make("p", { class: "path" });
    this.saved = make("p", { role: "status" });
    this.replaceButton = button("Replace it", "Replace the file that is there", () => this.save(true), { hidden: true });
    this.saveButton = button("Save", "Write the file (s)", () => this.save(false));
    this.savePart = make("div", {}, this.where, make("div", { class: "row" }, this.kind, this.saveButton, this.replaceButton), this.saved);
    this.recipe = make("textarea", { readonly: true, rows: 3, "aria-label": "What makes the same mask without edits" });
    const copy = button("Copy", "Copy it", () => navigator.clipboard.writeText(this.recipe.value));
    return make(
      "section",
      { class: "panel" },
      make("h2", {}, "Save"),
      this.savePart,
      make("p", { class: "hint" }, "The same mask without edits:"),
      this.recipe,
      make("div", { class: "row" }, copy),
    );
  }

  keysPanel() {
    const keys = [
      ["b, 1, 2, 3", "blink: before, mask, after"],
      ["n, p", "next, previous cosmic ray"],
      ["a, x", "accept, reject it"],
      ["v, d, e", "move; brush that adds, removes"],
      ["[, ]", "smaller, larger brush"],
      ["u", "undo the last edit"],
      ["+, −, 0", "zoom, whole frame"],
      ["arrows", "move the frame"],
      ["i", "invert the stretch"],
      ["s", "save"],
      ["Shift + drag", "limits of the stretch"],
    ];
    const rows = keys.map(([key, what]) => make("tr", {}, make("th", { scope: "row" }, key), make("td", {}, what)));
    return make("details", { class: "panel" }, make("summary", {}, "Keys"), make("table", { class: "keys" }, ...rows));
  }

  async start() {
    this.info = await this.call("info", {});
    this.title.textContent = this.info.name;
    if (this.root === page) document.title = `${this.info.name} – inspect`;
    this.seed.input.max = this.extend.input.max = this.info.grid.length - 1;
    this.growth.input.max = 2 * this.info.largest_growth;
    this.certain = this.info.grid.indexOf(CERTAIN);
    this.kind.replaceChildren(...this.info.saves.map((kind) => make("option", { value: kind }, SAVES[kind])));
    this.savePart.hidden = !this.info.saves.length;
    this.where.textContent = this.info.output;
    const several = this.info.tabs.length > 1;
    this.tabs.replaceChildren(
      ...(several ? this.info.tabs : []).map((tab, n) =>
        button(tab.title, `${tab.shape[1]} x ${tab.shape[0]} px`, () => this.open(n), { role: "tab" }),
      ),
    );
    await this.open(0);
  }

  /** Show a tab: the frame at once, the mask when it is computed. */
  async open(tab) {
    const opening = (this.opening = Symbol("opening"));
    // What was edited last in the tab before is sent first.
    while (this.syncing) await pause(20);
    if (this.opening !== opening) return;
    this.settle(false);
    this.tab = tab;
    this.maker = null;
    this.list.chosen = null;
    [...this.tabs.children].forEach((one, n) => {
      one.setAttribute("aria-selected", n === tab);
      one.tabIndex = n === tab ? 0 : -1;
    });
    this.say("reading the frame…");
    try {
      const view = await this.call("view", { tab });
      if (this.opening !== opening) return;
      this.picture.open(view, this.info.tile);
      this.stretch.refresh();
      this.takeState(view.state);
      this.setMode("mask");
      this.say("searching for cosmic rays…");
      // The search takes all cores: the picture comes first.
      await this.picture.whole(1500);
      const codes = await this.loadCodes(tab, opening);
      if (!codes) return;
      this.maker = this.picture.maker = new MaskMaker(codes, view.shape, view.step);
      this.say("");
      this.update();
    } catch (error) {
      if (this.opening === opening) this.fail(error);
    }
  }

  async loadCodes(tab, opening) {
    for (;;) {
      const answer = await this.call("codes", { tab });
      if (this.opening !== opening) return null;
      if (answer instanceof ArrayBuffer) {
        const stream = new Blob([answer]).stream().pipeThrough(new DecompressionStream("deflate"));
        return new Uint8Array(await new Response(stream).arrayBuffer());
      }
    }
  }

  takeState(state) {
    this.settings = { seed: state.seed, extend: state.extend, grow: state.grow };
    this.revision = state.revision;
    this.edits = state.edits;
    this.showSettings();
  }

  showSettings() {
    const { seed, extend, grow } = this.settings;
    const { grid } = this.info;
    for (const [slider, place] of [[this.seed, seed], [this.extend, extend]]) {
      slider.input.value = place;
      slider.output.textContent = String(grid[place]);
      slider.input.setAttribute("aria-valuetext", String(grid[place]));
    }
    if (extend === seed) this.extend.output.textContent = "not";
    this.growth.input.value = 2 * grow;
    this.growth.output.textContent = String(grow);
    this.undoButton.disabled = !this.edits.length;
  }

  set(change) {
    Object.assign(this.settings, change);
    this.showSettings();
    this.update();
  }

  edit(kind, pixels) {
    if (!this.maker || !pixels.length) return;
    this.edits = [...this.edits, [kind, toRuns(pixels)]];
    this.showSettings();
    this.update();
  }

  undo() {
    if (!this.edits.length) return;
    this.edits = this.edits.slice(0, -1);
    this.showSettings();
    this.update();
  }

  /** Make the mask anew, draw it, and tell Python. */
  update() {
    if (!this.maker) return;
    this.version += 1;
    this.settle(false);
    this.makeMask();
    this.sync();
  }

  makeMask() {
    const begin = performance.now();
    const { seed, extend, grow } = this.settings;
    const certain = Math.max(seed, this.certain);
    this.maker.make({ seed, extend, certain, grow }, this.dropped, this.edits);
    this.stepTime = performance.now() - begin;
    const pixels = this.maker.flagged.length;
    this.counts.textContent = `${this.maker.countGroups()} cosmic rays, ${pixels} px`;
    if (this.edits.length) this.counts.textContent += `, ${this.edits.length} edits`;
    this.picture.draw();
  }

  /** Send the state, one call at a time; the answer has what leaks at the thresholds. */
  async sync() {
    if (this.syncing) return;
    this.syncing = true;
    try {
      let version = -1;
      while (version !== this.version && this.maker) {
        version = this.version;
        const { tab, revision, settings, edits } = this;
        const answer = await this.call("change", { tab, revision, ...settings, edits });
        this.revision = answer.revision;
        if (version === this.version) this.take(answer);
      }
    } catch (error) {
      this.failedSync(error);
    } finally {
      this.syncing = false;
    }
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.finish(), 120);
  }

  take(answer) {
    this.recipe.value = answer.command || answer.call;
    const changed = answer.dropped.length !== this.dropped.length || answer.dropped.some((pixel, n) => pixel !== this.dropped[n]);
    this.dropped = answer.dropped;
    if (changed) this.makeMask();
  }

  failedSync(error) {
    if (!error.state) {
      this.fail(error);
      return;
    }
    this.takeState(error.state);
    this.say("Another page has changed the mask: this is its state, and the last edit here is lost.");
    this.update();
    // The call that failed has ended.
    queueMicrotask(() => this.sync());
  }

  /** With the state at rest: the list, the counts, and the fill. */
  async finish() {
    const { version, tab, maker } = this;
    if (!maker || this.syncing) return;
    try {
      const answer = await this.call("objects", { tab });
      if (version !== this.version || tab !== this.tab || maker !== this.maker) return;
      this.list.set(answer, (first) => maker.isByHand(first));
      if (this.list.chosen) this.show(this.list.chosen, false);
      const { added, removed } = answer.edited;
      const number = answer.flagged.first.length;
      this.counts.textContent = `${number} cosmic rays, ${answer.pixels} px; ${answer.excluded} px excluded`;
      if (added || removed) this.counts.textContent += `; by hand ${added} px added, ${removed} px removed`;
      if (answer.messages.length) this.say(answer.messages.join("; "));
      if (answer.pixels !== maker.flagged.length || answer.checksum !== maker.checksum()) {
        throw new Error("this page shows another mask than Python's: reload it");
      }
      if (this.mode === "after") await this.showFilled();
      if (version === this.version && tab === this.tab) this.settle(true);
    } catch (error) {
      this.fail(error);
    }
  }

  async showFilled() {
    const { version, tab } = this;
    this.say("filling…");
    const { filled } = await this.call("fill", { tab });
    this.say("");
    if (version !== this.version || tab !== this.tab || this.mode !== "after") return;
    this.picture.filled = filled;
    this.picture.draw();
  }

  setMode(mode) {
    this.mode = mode;
    this.modes.forEach((one, n) => one.setAttribute("aria-pressed", MODES[n] === mode));
    this.picture.showsMask = mode === "mask";
    if (mode !== "after") this.picture.filled = null;
    else if (this.maker && this.root.dataset.settled === "true") this.showFilled().catch((error) => this.fail(error));
    this.picture.draw();
  }

  blink() {
    this.setMode(MODES[(MODES.indexOf(this.mode) + 1) % MODES.length]);
  }

  setTool(tool) {
    this.tool = tool;
    this.tools.forEach((one, n) => one.setAttribute("aria-pressed", TOOLS[n][0] === tool));
    this.box.dataset.tool = tool;
  }

  /** Show a cosmic ray of the list. */
  show(object, centres) {
    const chosen = object && { x: object.x, y: object.y, size: Math.sqrt(object.size * object.elongation) / 2 };
    this.picture.selected = chosen;
    if (object && centres) this.picture.centre(object.x, object.y, 3 * (window.devicePixelRatio || 1));
    this.acceptButton.disabled = this.rejectButton.disabled = !object;
    this.picture.draw();
  }

  /** Choose the cosmic ray at a pixel. */
  choose(pixel) {
    const group = this.maker ? this.maker.groupAt(pixel) : [];
    const first = group.reduce((least, one) => Math.min(least, one), Infinity);
    this.list.choose(this.list.objects.find((one) => one.first === first) || null, false);
  }

  decide(kind) {
    const { chosen } = this.list;
    if (!chosen || !this.maker) return;
    const group = this.maker.groupAt(chosen.first);
    if (kind === "reject" && this.maker.isRejected(chosen.first)) return;
    this.edit(kind, group);
  }

  async save(replace) {
    if (!this.info.saves.length || !this.maker) return;
    this.saved.textContent = "waiting for the mask…";
    for (let n = 0; this.root.dataset.settled !== "true" && n < PATIENCE; n++) {
      await pause(50);
    }
    if (this.root.dataset.settled !== "true") {
      this.saved.textContent = "the mask is not ready: try again";
      return;
    }
    const { tab, revision, maker } = this;
    const shown = { pixels: maker.flagged.length, checksum: maker.checksum() };
    this.saved.textContent = "saving…";
    this.saveButton.disabled = true;
    this.replaceButton.hidden = true;
    try {
      const answer = await this.call("save", { tab, revision, kind: this.kind.value, replace, ...shown });
      this.saved.textContent = `saved: ${answer.path}`;
    } catch (error) {
      this.saved.textContent = error.message;
      this.replaceButton.hidden = !error.exists;
    } finally {
      this.saveButton.disabled = false;
    }
  }

  settle(isSettled) {
    this.root.dataset.settled = isSettled;
  }

  say(text) {
    this.status.textContent = text;
    this.status.classList.remove("error");
  }

  fail(error) {
    this.status.textContent = error.message;
    this.status.classList.add("error");
  }

  /** Pixels that are removed or added, for tests and for the console. */
  get mask() {
    return [...this.maker.flagged.view()].sort((one, other) => one - other);
  }

  get brushed() {
    return this.edits.filter(([kind]) => kind === "add" || kind === "remove").flatMap(([, runs]) => fromRuns(runs));
  }
}

const NO_KEY = "Open the link that was printed: each works once.";

async function post(path, content, headers) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(content),
  });
  if ((response.headers.get("Content-Type") || "").startsWith("application/octet-stream")) {
    return response.arrayBuffer();
  }
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = { error: text.trim() || `status ${response.status}` };
  }
  if (!response.ok) throw Object.assign(new Error(answer.error), answer);
  return answer;
}

/** Exchange the token of the link for the key, which this tab keeps when it is reloaded. */
async function findKey() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  // The link has been used, and does not stay in the history.
  history.replaceState(null, "", "/");
  if (token) {
    const { key } = await post("/key", { token });
    sessionStorage.setItem("key", key);
    return key;
  }
  const known = sessionStorage.getItem("key");
  if (!known) throw new Error(NO_KEY);
  return known;
}

/** Call Python by HTTP. */
function callServer(key) {
  return (name, params) => post(`/api/${name}`, params, { Authorization: `Bearer ${key}` });
}

/** Call Python by the messages of a widget; several views may share a model. */
function callKernel(model) {
  const view = crypto.randomUUID?.() || String(Math.random());
  const waiting = new Map();
  let number = 0;
  const onAnswer = ({ id, answer, error }, buffers) => {
    const promise = waiting.get(id);
    if (!promise) return;
    waiting.delete(id);
    if (error) promise.reject(Object.assign(new Error(error.error), error));
    else if (answer !== undefined) promise.resolve(answer);
    else {
      const { buffer, byteOffset, byteLength } = buffers[0];
      promise.resolve(buffer.slice(byteOffset, byteOffset + byteLength));
    }
  };
  model.on("msg:custom", onAnswer);
  const call = (name, params) =>
    new Promise((resolve, reject) => {
      number += 1;
      const id = `${view}/${number}`;
      waiting.set(id, { resolve, reject });
      model.send({ id, name, params });
    });
  return { call, end: () => model.off("msg:custom", onAnswer) };
}

/** Show the page as a widget of a notebook. */
function render({ model, el }) {
  const root = document.createElement("div");
  // The keys of the notebook would cut cells.
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  root.tabIndex = -1;
  el.append(root);
  const { call, end } = callKernel(model);
  const app = new App(root, call);
  app.start().catch((error) => app.fail(error));
  return end;
}

export default { render };

const page = document.getElementById("deepcr-ccd");
if (page) {
  // Another link in the same tab.
  addEventListener("hashchange", () => location.reload());
  const found = findKey();
  const app = new App(page, async (name, params) => callServer(await found)(name, params));
  app.start().catch((error) => app.fail(error));
}
