// Pointer and keys.

import { COLOURS } from "./picture.js";
import { digits } from "./widgets.js";

const CLICK = 4;

/** Pan, zoom, pinch, brush, choose, and limits by a drag with Shift or the right button. */
export function listenToPointer(app) {
  const { box, picture } = app;
  const pointers = new Map();
  let action = null;
  let moved = 0;
  let stroke = null;
  let last = null;

  const ratio = () => picture.base.width / Math.max(1, box.clientWidth);
  const place = (event) => {
    const edge = box.getBoundingClientRect();
    return [(event.clientX - edge.left) * ratio(), (event.clientY - edge.top) * ratio()];
  };

  const brushTo = (event) => {
    const [left, top] = place(event);
    const [x, y] = picture.toFrame(left, top);
    const [fromX, fromY] = last || [x, y];
    const steps = Math.max(1, Math.ceil(2 * Math.hypot(x - fromX, y - fromY)));
    for (let n = 0; n <= steps; n++) {
      addDisc(app, stroke, fromX + ((x - fromX) * n) / steps, fromY + ((y - fromY) * n) / steps);
    }
    last = [x, y];
    picture.preview = stroke;
    picture.previewColour = app.tool === "add" ? COLOURS.hand : COLOURS.rejected;
    picture.draw();
  };

  box.addEventListener("wheel", (event) => {
    if (!picture.view) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    picture.zoom(Math.exp(-event.deltaY * lines * 0.0015), ...place(event));
  }, { passive: false });

  box.addEventListener("contextmenu", (event) => event.preventDefault());

  box.addEventListener("pointerdown", (event) => {
    if (!picture.view) return;
    box.focus({ preventScroll: true });
    box.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    moved = 0;
    if (pointers.size === 2) {
      // A second finger: what the first one began does not count.
      action = "pinch";
      stroke = picture.preview = null;
    } else if (event.button === 2 || event.shiftKey) action = "stretch";
    else if (app.tool === "move" || event.button === 1 || !app.editor.maker) action = "pan";
    else {
      action = "brush";
      stroke = new Set();
      last = null;
      brushTo(event);
    }
  });

  box.addEventListener("pointermove", (event) => {
    if (!picture.view) return;
    read(app, picture.pixelAt(event));
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const [right, down] = [event.clientX - before[0], event.clientY - before[1]];
    moved += Math.abs(right) + Math.abs(down);
    if (action === "pinch") pinch(app, pointers, event, place);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (action === "pan") picture.pan(right * ratio(), down * ratio());
    else if (action === "brush") brushTo(event);
    else if (action === "stretch") dragLimits(app, right, down);
  });

  box.addEventListener("pointerleave", () => read(app, null));

  for (const name of ["pointerup", "pointercancel"]) {
    box.addEventListener(name, (event) => {
      if (!pointers.delete(event.pointerId)) return;
      const pixel = picture.pixelAt(event);
      if (action === "pan" && moved < CLICK && pixel && name === "pointerup") {
        app.choose(pixel.y * picture.nx + pixel.x);
      }
      if (action === "brush" && stroke && name === "pointerup") app.editor.edit(app.tool, [...stroke]);
      stroke = picture.preview = null;
      action = pointers.size ? "pinch" : null;
      picture.draw();
    });
  }
}

function addDisc(app, stroke, centreX, centreY) {
  const { picture, brush } = app;
  const { maker } = app.editor;
  const [x0, y0] = [Math.round(centreX), Math.round(centreY)];
  for (let y = y0 - brush; y <= y0 + brush; y++) {
    for (let x = x0 - brush; x <= x0 + brush; x++) {
      if (x < 0 || y < 0 || x >= picture.nx || y >= picture.ny) continue;
      if ((x - x0) ** 2 + (y - y0) ** 2 > brush ** 2) continue;
      const pixel = y * picture.nx + x;
      if (maker.codes[pixel] !== 255) stroke.add(pixel);
    }
  }
}

function pinch(app, pointers, event, place) {
  const other = [...pointers].find(([id]) => id !== event.pointerId);
  const before = pointers.get(event.pointerId);
  if (!other) return;
  const [x, y] = other[1];
  const far = Math.hypot(event.clientX - x, event.clientY - y);
  const near = Math.hypot(before[0] - x, before[1] - y);
  const middle = { clientX: (event.clientX + x) / 2, clientY: (event.clientY + y) / 2 };
  if (near > 0) app.picture.zoom(far / near, ...place(middle));
}

/** Drag right: brighter limits; drag up: less contrast. */
function dragLimits(app, right, down) {
  const [low, high] = app.picture.limits;
  const { clientWidth, clientHeight } = app.box;
  const wide = (high - low) * Math.exp((-2 * down) / clientHeight);
  const middle = (low + high) / 2 + ((high - low) * right) / clientWidth;
  app.stretch.set([middle - wide / 2, middle + wide / 2]);
}

/** Show what is under the pointer; one call at a time, the last one counts. */
async function read(app, pixel) {
  app.wanted = pixel;
  if (app.isReading) return;
  app.isReading = true;
  try {
    while (app.wanted) {
      const { x, y } = app.wanted;
      const { tab } = app;
      app.wanted = null;
      const answer = await app.call("pixel", { tab, x, y });
      if (tab !== app.tab) continue;
      const unit = app.picture.view.unit;
      const number = Number(answer.value);
      const value = Number.isFinite(number) ? String(Number(number.toPrecision(7))) : answer.value;
      const parts = [`x ${x}  y ${y}`, `${value} ${unit}`.trim()];
      if (answer.probability !== null) {
        parts.push(answer.probability === "excluded" ? "excluded" : `p ${answer.probability}`);
      }
      if (answer.world) parts.push(answer.world);
      app.readout.textContent = parts.join("   ");
    }
  } catch {
    app.readout.textContent = digits(null);
  } finally {
    app.isReading = false;
  }
}

export function listenToKeys(app) {
  const { picture } = app;
  const far = 60;
  const keys = {
    b: () => app.blink(),
    1: () => app.setMode("before"),
    2: () => app.setMode("mask"),
    3: () => app.setMode("after"),
    n: () => app.list.step(1),
    p: () => app.list.step(-1),
    a: () => app.decide("accept"),
    x: () => app.decide("reject"),
    u: () => app.editor.undo(),
    v: () => app.setTool("move"),
    d: () => app.setTool("add"),
    e: () => app.setTool("remove"),
    i: () => app.stretch.invert(),
    s: () => app.saving.save(false),
    "[": () => setBrush(app, -1),
    "]": () => setBrush(app, 1),
    "+": () => picture.zoom(1.5),
    "=": () => picture.zoom(1.5),
    "-": () => picture.zoom(1 / 1.5),
    0: () => picture.fit(),
  };
  const arrows = {
    ArrowLeft: () => picture.pan(far, 0),
    ArrowRight: () => picture.pan(-far, 0),
    ArrowUp: () => picture.pan(0, far),
    ArrowDown: () => picture.pan(0, -far),
  };
  const target = app.isPage ? document : app.root;
  target.addEventListener("keydown", (event) => {
    const { target: from } = event;
    const types = from.matches?.("textarea, select, input:not([type=range]):not([type=checkbox])");
    if (types || !picture.view || event.altKey) return;
    if (event.ctrlKey || event.metaKey) {
      if (event.key === "z") {
        event.preventDefault();
        app.editor.undo();
      }
      return;
    }
    const act = keys[event.key] || (from === app.box && arrows[event.key]);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  });
}

function setBrush(app, by) {
  app.brush = Math.min(12, Math.max(0, app.brush + by));
  app.brushSize.value = app.brush;
}
