// The frame on a canvas: tiles, stretch, pan and zoom, and the mask above it.

const KEPT_TILES = 120;
// Of the numbers in tiles.
export const LARGEST = 65535;
const MOST_ZOOM = 64;
// Red, green, blue and opacity.
export const COLOURS = {
  flagged: [255, 92, 40, 120],
  hand: [24, 190, 150, 150],
  rejected: [70, 140, 255, 130],
  excluded: [150, 120, 220, 70],
};
const STRETCHES = {
  asinh: (t) => Math.asinh(20 * t) / Math.asinh(20),
  linear: (t) => t,
  sqrt: (t) => Math.sqrt(t),
  log: (t) => Math.log1p(1000 * t) / Math.log1p(1000),
};

function word([red, green, blue, opacity]) {
  return ((opacity << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

export class Picture {
  /**
   * @param {HTMLElement} box what the canvases fill
   * @param {function} loadTile (level, row, column, filled) to a Uint16Array
   */
  constructor(box, loadTile) {
    this.box = box;
    this.loadTile = loadTile;
    this.base = document.createElement("canvas");
    this.above = document.createElement("canvas");
    box.append(this.base, this.above);
    this.tiles = new Map();
    this.loading = new Set();
    this.limits = [0, 1];
    this.stretch = "asinh";
    this.inverted = false;
    this.lutVersion = 0;
    this.filled = null;
    this.showsMask = true;
    this.showsExcluded = false;
    this.selected = null;
    this.maker = null;
    this.view = null;
    this.generation = 0;
    this.pending = 0;
    this.preview = null;
    this.isWhole = false;
    new ResizeObserver(() => this.resize()).observe(box);
  }

  /** Show another plane. */
  open(view, tile) {
    this.generation += 1;
    this.isWhole = false;
    this.tiles.clear();
    this.loading.clear();
    this.view = view;
    this.tile = tile;
    this.maker = null;
    this.filled = null;
    this.selected = null;
    [this.ny, this.nx] = view.shape;
    this.limits = view.limits.zscale.slice();
    this.makeLut();
    this.resize();
    this.fit();
  }

  /** Wait until no tile is missing, or for some ms. */
  async whole(patience) {
    const end = performance.now() + patience;
    while (!this.isWhole && performance.now() < end) {
      await new Promise((done) => setTimeout(done, 15));
    }
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(this.box.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.box.clientHeight * ratio));
    if (this.base.width !== width || this.base.height !== height) {
      for (const canvas of [this.base, this.above]) {
        canvas.width = width;
        canvas.height = height;
      }
      if (this.view && this.isFitted) this.fit();
    }
    this.draw();
  }

  fit() {
    this.scale = Math.min(this.base.width / this.nx, this.base.height / this.ny);
    this.x = (this.nx - 1) / 2;
    this.y = (this.ny - 1) / 2;
    this.isFitted = true;
    this.draw();
  }

  /** Zoom by a factor about a place of the canvas, in its pixels. */
  zoom(factor, left = this.base.width / 2, top = this.base.height / 2) {
    const least = Math.min(this.base.width / this.nx, this.base.height / this.ny) / 2;
    const scale = Math.min(MOST_ZOOM, Math.max(Math.min(least, 1), this.scale * factor));
    const [x, y] = this.toFrame(left, top);
    this.x = x + (this.x - x) * (this.scale / scale);
    this.y = y + (this.y - y) * (this.scale / scale);
    this.scale = scale;
    this.isFitted = false;
    this.draw();
  }

  pan(right, down) {
    this.x = Math.min(this.nx, Math.max(-1, this.x - right / this.scale));
    this.y = Math.min(this.ny, Math.max(-1, this.y + down / this.scale));
    this.isFitted = false;
    this.draw();
  }

  centre(x, y, least = 0) {
    this.x = x;
    this.y = y;
    this.scale = Math.max(this.scale, least);
    this.isFitted = false;
    this.draw();
  }

  /** Return the place in the frame of a place of the canvas. */
  toFrame(left, top) {
    return [
      this.x + (left - this.base.width / 2) / this.scale,
      this.y - (top - this.base.height / 2) / this.scale,
    ];
  }

  /** Return the pixel under an event, or null outside of the frame. */
  pixelAt(event) {
    const box = this.box.getBoundingClientRect();
    const ratio = this.base.width / Math.max(1, box.width);
    const place = this.toFrame((event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio);
    const [x, y] = place.map(Math.round);
    return x >= 0 && y >= 0 && x < this.nx && y < this.ny ? { x, y } : null;
  }

  /** Return the value of an encoded one, in the unit of the frame. */
  decode(number) {
    const { centre, scale, low, high } = this.view.encoding;
    return centre + scale * Math.sinh(low + ((number - 1) / (LARGEST - 1)) * (high - low));
  }

  makeLut() {
    const lut = (this.lut = new Uint32Array(LARGEST + 1));
    const [low, high] = this.limits;
    const curve = STRETCHES[this.stretch];
    for (let number = 1; number <= LARGEST; number++) {
      const part = Math.min(1, Math.max(0, (this.decode(number) - low) / (high - low || 1)));
      let grey = Math.round(255 * curve(part));
      if (this.inverted) grey = 255 - grey;
      lut[number] = word([grey, grey, grey, 255]);
    }
    lut[0] = word([110, 90, 150, 255]);
    this.lutVersion += 1;
  }

  setStretch(change) {
    Object.assign(this, change);
    this.makeLut();
    this.draw();
  }

  draw() {
    if (!this.view || this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => {
      this.isAsked = false;
      this.drawBase();
      this.drawMask();
      // No tile is missing.
      this.isWhole = this.pending === 0;
    });
  }

  drawBase() {
    const context = this.base.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.base.width, this.base.height);
    const last = this.view.levels - 1;
    const level = Math.min(last, Math.max(0, Math.floor(Math.log2(1 / this.scale) + 0.01)));
    this.pending = 0;
    if (level < last) this.drawLevel(context, last);
    this.drawLevel(context, level);
  }

  drawLevel(context, level) {
    const size = this.tile * 2 ** level;
    const [left, top] = this.toFrame(0, 0);
    const [right, bottom] = this.toFrame(this.base.width, this.base.height);
    const first = (value) => Math.max(0, Math.floor((value + 0.5) / size));
    const end = (value, all) => Math.min(Math.ceil(all / size) - 1, Math.floor((value + 0.5) / size));
    for (let row = first(bottom); row <= end(top, this.ny); row++) {
      for (let column = first(left); column <= end(right, this.nx); column++) {
        const tile = this.findTile(level, row, column);
        if (!tile) continue;
        const scale = this.scale * 2 ** level;
        const x = (column * size - 0.5 - this.x) * this.scale + this.base.width / 2;
        const y = this.base.height / 2 - (row * size - 0.5 - this.y) * this.scale;
        context.imageSmoothingEnabled = scale < 1;
        context.setTransform(scale, 0, 0, -scale, x, y);
        context.drawImage(tile, 0, 0);
      }
    }
  }

  findTile(level, row, column) {
    const key = [this.filled, level, row, column].join("/");
    const found = this.tiles.get(key);
    if (!found) {
      this.pending += 1;
      this.fetchTile(key, level, row, column);
      return null;
    }
    this.tiles.delete(key);
    this.tiles.set(key, found);
    if (found.version !== this.lutVersion) this.paintTile(found);
    return found.canvas;
  }

  async fetchTile(key, level, row, column) {
    if (this.loading.has(key)) return;
    this.loading.add(key);
    const { generation } = this;
    try {
      const numbers = await this.loadTile(level, row, column, this.filled);
      if (generation !== this.generation) return;
      const width = Math.min(this.tile, Math.ceil(this.nx / 2 ** level) - column * this.tile);
      const canvas = document.createElement("canvas");
      canvas.width = width;
      canvas.height = numbers.length / width;
      this.tiles.set(key, { numbers, canvas, version: -1 });
      while (this.tiles.size > KEPT_TILES) this.tiles.delete(this.tiles.keys().next().value);
      this.draw();
    } catch {
      // It is asked for again when it is drawn again.
    } finally {
      if (generation === this.generation) this.loading.delete(key);
    }
  }

  paintTile(tile) {
    const { canvas, numbers } = tile;
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    const words = new Uint32Array(image.data.buffer);
    for (let i = 0; i < numbers.length; i++) words[i] = this.lut[numbers[i]];
    context.putImageData(image, 0, 0);
    tile.version = this.lutVersion;
  }

  drawMask() {
    const context = this.above.getContext("2d");
    const { width, height } = this.above;
    context.clearRect(0, 0, width, height);
    if (this.maker && this.showsMask) {
      const image = context.createImageData(width, height);
      const words = new Uint32Array(image.data.buffer);
      const { maker } = this;
      if (this.showsExcluded) this.paint(words, maker.excluded.view(), COLOURS.excluded);
      this.paint(words, maker.rejected.view(), COLOURS.rejected);
      this.paint(words, maker.flagged.view(), COLOURS.flagged);
      this.paint(words, maker.hand.filter((pixel) => maker.isByHand(pixel)), COLOURS.hand);
      if (this.preview) this.paint(words, this.preview, this.previewColour);
      context.putImageData(image, 0, 0);
    }
    if (this.selected) this.drawRing(context);
  }

  /** Paint pixels; each is at least two pixels of the screen wide, so that none is lost. */
  paint(words, pixels, colour) {
    const { width, height } = this.above;
    const { nx, scale } = this;
    const value = word(scale < 3 ? [...colour.slice(0, 3), Math.min(255, 2 * colour[3])] : colour);
    const originX = width / 2 - (this.x + 0.5) * scale;
    const originY = height / 2 + (this.y - 0.5) * scale;
    for (const pixel of pixels) {
      const x = pixel % nx;
      const y = (pixel - x) / nx;
      let left = Math.round(originX + x * scale);
      let top = Math.round(originY - y * scale);
      if (left >= width || top >= height) continue;
      const right = Math.min(width, Math.max(left + 2, Math.round(originX + (x + 1) * scale)));
      const bottom = Math.min(height, Math.max(top + 2, Math.round(originY - (y - 1) * scale)));
      if (right <= 0 || bottom <= 0) continue;
      left = Math.max(0, left);
      top = Math.max(0, top);
      for (let line = top; line < bottom; line++) words.fill(value, line * width + left, line * width + right);
    }
  }

  drawRing(context) {
    const { x, y, size } = this.selected;
    const left = (x - this.x) * this.scale + this.above.width / 2;
    const top = this.above.height / 2 - (y - this.y) * this.scale;
    const radius = Math.max(14, (size + 1.5) * this.scale);
    for (const [colour, line] of [["#000", 4], ["#ffe14d", 2]]) {
      context.beginPath();
      context.arc(left, top, radius, 0, 2 * Math.PI);
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.stroke();
    }
  }
}
