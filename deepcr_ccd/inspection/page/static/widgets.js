// Parts of the page: elements, the stretch, the list of cosmic rays.

import { LARGEST } from "./picture.js";

const ROWS = 200;
const COLUMNS = [
  ["state", "", "What a person decided"],
  ["x", "x", "Position in px, from 0"],
  ["y", "y", "Position in px, from 0"],
  ["size", "px", "Size: flagged pixels"],
  ["peak", "peak", "Highest value, in the unit of the frame"],
  ["elongation", "elong.", "Ratio of the axes"],
  ["doubt", "doubt", "0: probability 1; 1: at the threshold"],
];

/** Wait for some ms. */
export const pause = (time) => new Promise((done) => setTimeout(done, time));

/** Make an element; text is always text, never markup. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function button(text, title, onclick, more = {}) {
  return make("button", { type: "button", title, onclick, ...more }, text);
}

/** Return a number in few digits. */
export function digits(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.01 || size >= 1e6)) return value.toExponential(2);
  return size >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** Limits of the stretch: a histogram whose ends are dragged, and numbers. */
export class StretchControl {
  constructor(picture) {
    this.picture = picture;
    this.canvas = make("canvas", { width: 512, height: 56, class: "histogram" });
    this.low = this.numberInput("Black", 0);
    this.high = this.numberInput("White", 1);
    this.choice = make(
      "select",
      { "aria-label": "Stretch", onchange: () => picture.setStretch({ stretch: this.choice.value }) },
      ...["asinh", "sqrt", "log", "linear"].map((name) => make("option", { value: name }, name)),
    );
    const limits = [["zscale", "zscale"], ["percentile", "99 %"], ["minmax", "All"]];
    this.element = make(
      "section",
      { class: "panel" },
      make("h2", {}, "Stretch"),
      this.canvas,
      make("div", { class: "row" }, this.low.label, this.high.label),
      make(
        "div",
        { class: "row" },
        this.choice,
        ...limits.map(([name, text]) =>
          button(text, `Limits: ${name}`, () => this.set(picture.view.limits[name].slice())),
        ),
        button("Invert", "Dark on bright (i)", () => this.invert()),
      ),
    );
    this.canvas.addEventListener("pointerdown", (event) => this.startDrag(event));
    this.canvas.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(name, () => (this.dragged = null));
    }
  }

  numberInput(text, place) {
    const input = make("input", { type: "number", step: "any" });
    input.addEventListener("change", () => {
      const limits = this.picture.limits.slice();
      limits[place] = Number(input.value);
      if (input.value !== "" && limits[0] < limits[1]) this.set(limits);
      else this.refresh();
    });
    return { input, label: make("label", {}, text, input) };
  }

  invert() {
    this.picture.setStretch({ inverted: !this.picture.inverted });
  }

  set(limits) {
    if (!(limits[0] < limits[1])) limits[1] = limits[0] + (Math.abs(limits[0]) || 1) * 1e-6;
    this.picture.setStretch({ limits });
    this.refresh();
  }

  encode(value) {
    const { centre, scale, low, high } = this.picture.view.encoding;
    return (Math.asinh((value - centre) / scale) - low) / (high - low);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  }

  startDrag(event) {
    if (!this.picture.view) return;
    this.canvas.setPointerCapture(event.pointerId);
    const place = this.place(event);
    const [low, high] = this.picture.limits.map((limit) => this.encode(limit));
    this.dragged = Math.abs(place - low) < Math.abs(place - high) ? 0 : 1;
    this.drag(event);
  }

  drag(event) {
    if (this.dragged === null || this.dragged === undefined) return;
    const limits = this.picture.limits.slice();
    limits[this.dragged] = this.picture.decode(1 + this.place(event) * (LARGEST - 1));
    if (limits[0] < limits[1]) this.set(limits);
  }

  refresh() {
    const { picture, canvas } = this;
    if (!picture.view) return;
    this.low.input.value = Number(picture.limits[0].toPrecision(6));
    this.high.input.value = Number(picture.limits[1].toPrecision(6));
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const counts = picture.view.limits.histogram;
    const most = Math.log1p(Math.max(...counts, 1));
    context.fillStyle = style.getPropertyValue("--bars");
    const wide = canvas.width / counts.length;
    counts.forEach((count, n) => {
      const tall = (canvas.height - 4) * (Math.log1p(count) / most);
      context.fillRect(n * wide, canvas.height - tall, Math.ceil(wide), tall);
    });
    context.fillStyle = style.getPropertyValue("--accent");
    for (const limit of picture.limits) {
      const place = Math.min(1, Math.max(0, this.encode(limit)));
      context.fillRect(Math.min(canvas.width - 4, Math.max(0, place * canvas.width - 2)), 0, 4, canvas.height);
    }
  }
}

/** The list of cosmic rays. */
export class ObjectList {
  /** @param {function} onChosen takes an object */
  constructor(onChosen) {
    this.onChosen = onChosen;
    this.objects = [];
    this.key = "doubt";
    this.falls = true;
    this.shown = ROWS;
    this.chosen = null;
    this.body = make("tbody", { onkeydown: (event) => this.move(event) });
    this.heads = COLUMNS.map(([key, text, title]) =>
      make(
        "th",
        { scope: "col" },
        button(text || "•", `Sort: ${title}`, () => this.sortBy(key)),
      ),
    );
    this.more = button("Show more", "Show more rows", () => {
      this.shown += ROWS;
      this.refresh();
    });
    this.element = make(
      "div",
      { class: "list", tabindex: "-1" },
      make("table", {}, make("thead", {}, make("tr", {}, ...this.heads)), this.body),
      this.more,
    );
  }

  /** Empty it, without a mask. */
  clear() {
    this.objects = [];
    this.chosen = null;
    this.shown = ROWS;
    this.refresh();
  }

  /** Take the answer of the call "objects". */
  set(answer, handOf) {
    const rows = (columns, state) =>
      columns.first.map((first, n) => {
        const object = { state, first };
        for (const key of ["x", "y", "size", "peak", "elongation", "doubt"]) object[key] = columns[key][n];
        return object;
      });
    const flagged = rows(answer.flagged, "");
    for (const object of flagged) if (handOf(object.first)) object.state = "by hand";
    this.objects = [...flagged, ...rows(answer.rejected, "rejected")];
    if (this.chosen) {
      const { first, x, y } = this.chosen;
      const near = (one) => Math.hypot(one.x - x, one.y - y) < 3;
      this.chosen = this.objects.find((one) => one.first === first) || this.objects.find(near) || null;
    }
    this.sort();
  }

  sortBy(key) {
    this.falls = this.key === key ? !this.falls : !["x", "y"].includes(key);
    this.key = key;
    this.shown = ROWS;
    this.sort();
  }

  sort() {
    const { key } = this;
    const sign = this.falls ? -1 : 1;
    this.objects.sort((one, other) => {
      const [a, b] = [one[key], other[key]];
      if (a === b) return one.first - other.first;
      if (a === null || b === null) return a === null ? 1 : -1;
      return a < b ? -sign : sign;
    });
    this.refresh();
  }

  refresh() {
    COLUMNS.forEach(([key], n) => {
      const order = this.falls ? "descending" : "ascending";
      this.heads[n].setAttribute("aria-sort", key === this.key ? order : "none");
    });
    const hadFocus = this.body.contains(this.body.getRootNode().activeElement);
    this.body.replaceChildren(...this.objects.slice(0, this.shown).map((one) => this.row(one)));
    if (hadFocus) this.focus();
    this.more.hidden = this.objects.length <= this.shown;
  }

  /** The list is one stop of the Tab key; arrow keys choose in it. */
  move(event) {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    this.step(by);
  }

  focus() {
    this.body.querySelector("button[tabindex='0']")?.focus({ preventScroll: true });
  }

  row(object) {
    const isStop = object === (this.chosen || this.objects[0]);
    const state = { "by hand": "✓", rejected: "✗" }[object.state] || "";
    const cells = [
      make("td", { title: object.state }, state),
      make("td", {}, button(object.x.toFixed(0), "Centre on it", () => this.choose(object), { tabindex: isStop ? 0 : -1 })),
      make("td", {}, object.y.toFixed(0)),
      make("td", {}, String(object.size)),
      ...["peak", "elongation"].map((key) => make("td", {}, digits(object[key]))),
      make("td", {}, object.doubt.toFixed(2)),
    ];
    const row = make("tr", { class: object.state.replace(" ", "-"), onclick: () => this.choose(object) }, ...cells);
    if (object === this.chosen) row.setAttribute("aria-selected", "true");
    return row;
  }

  choose(object, centres = true) {
    this.chosen = object;
    if (object) {
      const place = this.objects.indexOf(object);
      if (place >= this.shown) this.shown = (Math.floor(place / ROWS) + 1) * ROWS;
    }
    this.refresh();
    // Only the list is scrolled, not the page.
    const row = this.body.querySelector("[aria-selected]");
    const head = this.heads[0].offsetHeight;
    if (row) {
      const top = row.offsetTop - head;
      const { scrollTop, clientHeight } = this.element;
      if (top < scrollTop || row.offsetTop + row.offsetHeight > scrollTop + clientHeight) this.element.scrollTop = top;
    }
    this.onChosen(object, centres);
  }

  /** Choose the one after, or before, the chosen one. */
  step(by) {
    if (!this.objects.length) return;
    const place = this.chosen ? this.objects.indexOf(this.chosen) + by : 0;
    this.choose(this.objects[Math.min(this.objects.length - 1, Math.max(0, place))]);
  }
}
