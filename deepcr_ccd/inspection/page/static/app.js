// The page: what it shows of the frame, tab by tab, and what a person chooses there.

import { MaskEditor } from "./editor.js";
import { listenToKeys, listenToPointer } from "./input.js";
import { MODES, TOOLS, makeKeysPanel, makeListPanel, makeMaskPanel, makeToolbar } from "./panels.js";
import { Picture } from "./picture.js";
import { SavePanel } from "./saving.js";
import { StatusLine } from "./status.js";
import { ObjectList, StretchControl, button, make, pause } from "./widgets.js";

export class App {
  /**
   * @param {HTMLElement} root where the page goes
   * @param {function} call takes a name and arguments, returns an answer of Python
   * @param {boolean} isPage whether it has the whole page, and not a cell of a notebook
   */
  constructor(root, call, isPage = false) {
    this.root = root;
    this.call = call;
    this.isPage = isPage;
    this.brush = 1;
    this.tab = 0;
    root.classList.add("deepcr-ccd");
    root.app = this;
    this.status = new StatusLine();
    this.editor = new MaskEditor(this);
    this.build();
    this.setTool("move");
    this.setMode("mask");
    this.show(null, false);
    listenToPointer(this);
    listenToKeys(this);
  }

  build() {
    this.tabs = make("div", { role: "tablist", class: "tabs", "aria-label": "Images" });
    this.tabs.addEventListener("keydown", (event) => this.changeTab(event));
    this.box = make("div", { class: "picture", tabindex: "0", role: "application", "aria-label": "Frame" });
    this.picture = new Picture(this.box, (level, row, column, filled) =>
      this.call("tile", { tab: this.tab, level, row, column, filled }).then((bytes) => new Uint16Array(bytes)),
    );
    this.readout = make("p", { class: "readout" }, "\u00a0");
    this.stretch = new StretchControl(this.picture);
    this.list = new ObjectList((object, centres) => this.show(object, centres));
    this.title = make("h1", {}, "deepcr-ccd inspect");
    this.saving = new SavePanel(this);
    const [toolbar, mask, list] = [makeToolbar(this), makeMaskPanel(this), makeListPanel(this)];
    const { modes, tools, brushSize } = toolbar;
    const { seed, extend, growth, counts, undoButton, maskControls } = mask;
    const { acceptButton, rejectButton } = list;
    Object.assign(this, { modes, tools, brushSize, seed, extend, growth, counts, undoButton, maskControls, acceptButton, rejectButton });
    this.root.replaceChildren(
      make("header", {}, this.title, this.tabs),
      this.status.element,
      make(
        "div",
        { class: "work" },
        make("section", { class: "frame", "aria-label": "Frame" }, toolbar.element, this.box, this.readout),
        make(
          "aside",
          {},
          mask.element,
          this.saving.element,
          list.element,
          this.stretch.element,
          this.saving.recipePanel,
          makeKeysPanel(),
        ),
      ),
    );
  }

  async start() {
    this.info = await this.call("info", {});
    this.title.textContent = this.info.name;
    if (this.isPage) document.title = `${this.info.name} – inspect`;
    this.seed.input.max = this.extend.input.max = this.info.grid.length - 1;
    this.growth.input.max = 2 * this.info.largest_growth;
    this.saving.open(this.info);
    const several = this.info.tabs.length > 1;
    this.tabs.replaceChildren(
      ...(several ? this.info.tabs : []).map((tab, n) =>
        button(tab.title, "", () => this.open(n), { role: "tab" }),
      ),
    );
    this.info.tabs.forEach((tab, n) => tab.searched && this.markSearched(n));
    this.markSearched(null);
    await this.open(0);
  }

  /** Tell the tabs whose image was searched from those that still have no mask. */
  markSearched(tab) {
    const image = this.info.tabs[tab]?.image;
    this.info.tabs.forEach((one, n) => {
      if (one.image === image) one.searched = true;
      const button = this.tabs.children[n];
      if (!button) return;
      const size = `${one.shape[1]} x ${one.shape[0]} px`;
      button.title = one.searched ? size : `${size}, not searched yet`;
      button.classList.toggle("waiting", !one.searched);
      button.setAttribute("aria-label", one.searched ? one.title : `${one.title}, not searched yet`);
    });
  }

  changeTab(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const next = this.tabs.children[this.tab + by];
    if (!next) return;
    next.focus();
    next.click();
  }

  /** Show a tab: the frame at once, the mask when it is computed. */
  async open(tab) {
    const opening = (this.opening = Symbol("opening"));
    // What was edited last in the tab before is sent first.
    while (this.editor.isSyncing) await pause(20);
    if (this.opening !== opening) return;
    this.editor.end();
    this.tab = tab;
    this.list.clear();
    this.show(null, false);
    this.status.goOn();
    this.status.warn([]);
    this.showCounts("No mask yet", true);
    [...this.tabs.children].forEach((one, n) => {
      one.setAttribute("aria-selected", n === tab);
      one.tabIndex = n === tab ? 0 : -1;
    });
    this.status.work("reading the frame…");
    try {
      const view = await this.call("view", { tab });
      if (this.opening !== opening) return;
      this.picture.open(view, this.info.tile);
      this.stretch.refresh();
      this.editor.take(view.state);
      this.setMode("mask");
      this.showCounts("No mask yet: the model is running", true);
      this.status.work("searching for cosmic rays: there is no mask yet…");
      // The search takes all cores: the picture comes first.
      await this.picture.whole(1500);
      const codes = await this.loadCodes(tab, opening);
      if (!codes) return;
      this.status.work("");
      this.status.goOn();
      this.markSearched(tab);
      this.editor.begin(codes, view);
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

  showSettings() {
    const { edits, settings } = this.editor;
    const { seed, extend, grow } = settings;
    const { grid } = this.info;
    for (const [slider, place] of [[this.seed, seed], [this.extend, extend]]) {
      slider.input.value = place;
      slider.output.textContent = String(grid[place]);
      slider.input.setAttribute("aria-valuetext", String(grid[place]));
    }
    if (extend === seed) {
      this.extend.output.textContent = "not";
      this.extend.input.setAttribute("aria-valuetext", "not extended");
    }
    this.growth.input.value = 2 * grow;
    this.growth.output.textContent = String(grow);
    this.growth.input.setAttribute("aria-valuetext", `${grow} px`);
    for (const one of this.maskControls) one.disabled = false;
    this.undoButton.disabled = !edits.length;
    this.saving.refresh();
  }

  /** Show counts of the mask, and whether they may change without a person's doing. */
  showCounts(text, isProvisional) {
    this.counts.textContent = text;
    this.counts.setAttribute("aria-busy", isProvisional);
    this.list.element.setAttribute("aria-busy", isProvisional);
  }

  /** Take the answer of the call "objects". */
  showObjects(answer) {
    const { maker } = this.editor;
    this.list.set(answer, (first) => maker.isByHand(first));
    if (this.list.chosen) this.show(this.list.chosen, false);
    const { added, removed } = answer.edited;
    const number = answer.flagged.first.length;
    let text = `${number} cosmic rays, ${answer.pixels} px; ${answer.excluded} px excluded`;
    if (added || removed) text += `; by hand ${added} px added, ${removed} px removed`;
    this.showCounts(text, false);
    this.status.warn(answer.messages);
  }

  async showFilled() {
    const { tab, editor } = this;
    const { version } = editor;
    this.status.work("filling…");
    const { filled } = await this.call("fill", { tab });
    this.status.work("");
    if (version !== editor.version || tab !== this.tab || this.mode !== "after") return;
    this.picture.filled = filled;
    this.picture.draw();
  }

  setMode(mode) {
    this.mode = mode;
    this.modes.forEach((one, n) => one.setAttribute("aria-pressed", MODES[n] === mode));
    this.picture.showsMask = mode === "mask";
    if (mode !== "after") this.picture.filled = null;
    else if (this.editor.maker && this.editor.isSettled) this.showFilled().catch((error) => this.fail(error));
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
    const { maker } = this.editor;
    const group = maker ? maker.groupAt(pixel) : [];
    const first = group.reduce((least, one) => Math.min(least, one), Infinity);
    this.list.choose(this.list.objects.find((one) => one.first === first) || null, false);
  }

  /** Accept or reject the chosen cosmic ray. */
  decide(kind) {
    const { chosen } = this.list;
    const { maker } = this.editor;
    if (!chosen || !maker) return;
    if (kind === "reject" && maker.isRejected(chosen.first)) return;
    this.editor.edit(kind, maker.groupAt(chosen.first));
  }

  fail(error) {
    this.status.fail(error);
  }

  /** Indices of flagged pixels, for tests and for the console. */
  get mask() {
    return [...this.editor.maker.flagged.view()].sort((one, other) => one - other);
  }
}
