// The mask of a plane, from the 8-bit codes of its probability.
//
// The code of a pixel is the number of thresholds of the grid that its probability
// exceeds, so "above threshold k" is "code > k", exactly. What follows is what
// deepcr_ccd.segmentation does: hysteresis, growth by a disc, and layers of edits.

const EXCLUDED = 255;
const MAX_STEPS = 32;
const AUTOMATIC = 1;
const REJECTED = 2;
const FLAGGED = 4;
const BY_HAND = 8;
const VISITED = 16;

/** A list of pixels that grows. */
class PixelList {
  constructor() {
    this.items = new Uint32Array(1024);
    this.length = 0;
  }

  push(pixel) {
    if (this.length === this.items.length) {
      const larger = new Uint32Array(2 * this.length);
      larger.set(this.items);
      this.items = larger;
    }
    this.items[this.length++] = pixel;
  }

  view() {
    return this.items.subarray(0, this.length);
  }
}

/** Return runs of sorted pixels: first index and length of each. */
export function toRuns(pixels) {
  const sorted = Uint32Array.from(new Set(pixels)).sort();
  const runs = [];
  for (const pixel of sorted) {
    const end = runs.length - 1;
    if (end > 0 && runs[end - 1] + runs[end] === pixel) runs[end] += 1;
    else runs.push(pixel, 1);
  }
  return runs;
}

/** Return the pixels of runs. */
export function fromRuns(runs) {
  const pixels = [];
  for (let i = 0; i < runs.length; i += 2) {
    for (let k = 0; k < runs[i + 1]; k++) pixels.push(runs[i] + k);
  }
  return pixels;
}

/** Return markers of rejected groups, and which pixels are added or removed by hand. */
function layersOf(edits) {
  let rejected = [];
  const byHand = new Map();
  for (const [kind, runs] of edits) {
    const pixels = fromRuns(runs);
    if (kind === "reject") {
      rejected.push(pixels);
      for (const pixel of pixels) if (byHand.get(pixel)) byHand.delete(pixel);
      continue;
    }
    if (kind === "accept") {
      const accepted = new Set(pixels);
      rejected = rejected.filter((one) => !one.some((pixel) => accepted.has(pixel)));
    }
    for (const pixel of pixels) byHand.set(pixel, kind !== "remove");
  }
  return { markers: rejected.flat(), byHand };
}

export class MaskMaker {
  /**
   * @param {Uint8Array} codes one a pixel, EXCLUDED where excluded
   * @param {number[]} shape rows and columns
   * @param {number} step distance between neighbours, 2 in raw colour frames
   */
  constructor(codes, shape, step) {
    this.codes = codes;
    [this.ny, this.nx] = shape;
    this.step = step;
    this.levels = new Uint8Array(codes.length);
    this.state = new Uint8Array(codes.length);
    this.automatic = new PixelList();
    this.flagged = new PixelList();
    this.rejected = new PixelList();
    this.hand = [];
    this.excluded = new PixelList();
    this.sortPixels();
  }

  /** Sort pixels by falling code, so that those above a threshold come first. */
  sortPixels() {
    const counts = new Uint32Array(257);
    for (const code of this.codes) counts[code] += 1;
    this.above = new Uint32Array(256);
    for (let k = EXCLUDED - 2; k >= 0; k--) this.above[k] = this.above[k + 1] + counts[k + 1];
    const next = this.above.slice();
    this.order = new Uint32Array(this.above[0]);
    for (let pixel = 0; pixel < this.codes.length; pixel++) {
      const code = this.codes[pixel];
      if (code === EXCLUDED) this.excluded.push(pixel);
      else if (code) this.order[next[code]++] = pixel;
    }
  }

  /** Call a function with the neighbours of a pixel, at corners too. */
  eachNeighbour(pixel, step, use) {
    const { nx, ny } = this;
    const x = pixel % nx;
    const y = (pixel - x) / nx;
    for (let dy = -step; dy <= step; dy += step) {
      if (y + dy < 0 || y + dy >= ny) continue;
      for (let dx = -step; dx <= step; dx += step) {
        if ((dx || dy) && x + dx >= 0 && x + dx < nx) use(pixel + dy * nx + dx);
      }
    }
  }

  /**
   * Make the mask.
   * @param {object} settings seed, extend and certain as places in the grid, and grow
   * @param {ArrayLike<number>} dropped pixels where charge leaks from excluded ones
   * @param {Array} edits pairs of a kind and runs of pixels
   */
  make(settings, dropped, edits) {
    for (const list of [this.automatic, this.flagged, this.rejected]) {
      for (const pixel of list.view()) this.state[pixel] = 0;
      list.length = 0;
    }
    for (const pixel of this.hand) this.state[pixel] = 0;
    this.threshold(settings, dropped);
    this.grow(settings.grow);
    this.edit(edits);
  }

  threshold({ seed, extend, certain }, dropped) {
    const { codes, levels, order, state } = this;
    const follows = extend < seed;
    const number = this.above[extend];
    for (let i = 0; i < number; i++) {
      const pixel = order[i];
      const code = codes[pixel];
      levels[pixel] = follows ? 1 + (code > seed) + (code > certain) : 3;
    }
    for (const pixel of dropped) levels[pixel] = 0;
    if (follows) this.follow(this.above[certain]);
    for (let i = 0; i < number; i++) {
      const pixel = order[i];
      if (levels[pixel] >= 2) {
        state[pixel] = AUTOMATIC;
        this.automatic.push(pixel);
      }
      levels[pixel] = 0;
    }
  }

  /** Follow cosmic rays from the most certain pixels to their faint ends. */
  follow(certain) {
    const { levels } = this;
    let front = [];
    for (let i = 0; i < certain; i++) if (levels[this.order[i]] === 3) front.push(this.order[i]);
    for (let n = 0; n < MAX_STEPS && front.length; n++) {
      const reached = [];
      for (const pixel of front) {
        this.eachNeighbour(pixel, this.step, (other) => {
          if (levels[other] === 1 || levels[other] === 2) {
            levels[other] = 3;
            reached.push(other);
          }
        });
      }
      front = reached;
    }
  }

  grow(radius) {
    if (!(radius >= 1)) return;
    const reach = Math.floor(radius);
    const offsets = [];
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) {
        if ((dx || dy) && dx * dx + dy * dy <= radius * radius) offsets.push([dx, dy]);
      }
    }
    const number = this.automatic.length;
    for (let i = 0; i < number; i++) {
      const pixel = this.automatic.items[i];
      const x = pixel % this.nx;
      const y = (pixel - x) / this.nx;
      for (const [dx, dy] of offsets) {
        if (x + dx < 0 || x + dx >= this.nx || y + dy < 0 || y + dy >= this.ny) continue;
        const other = pixel + dy * this.nx + dx;
        if (this.state[other] === 0 && this.codes[other] !== EXCLUDED) {
          this.state[other] = AUTOMATIC;
          this.automatic.push(other);
        }
      }
    }
  }

  edit(edits) {
    const { state } = this;
    const { markers, byHand } = layersOf(edits);
    const front = markers.filter((pixel) => state[pixel] & AUTOMATIC);
    while (front.length) {
      const pixel = front.pop();
      if (state[pixel] & REJECTED) continue;
      state[pixel] |= REJECTED;
      this.eachNeighbour(pixel, 1, (other) => {
        if (state[other] === AUTOMATIC) front.push(other);
      });
    }
    for (const pixel of this.automatic.view()) {
      if (!(state[pixel] & REJECTED)) state[pixel] |= FLAGGED;
    }
    this.hand = [];
    for (const [pixel, isAdded] of byHand) {
      if (this.codes[pixel] === EXCLUDED) continue;
      state[pixel] = isAdded ? (state[pixel] & AUTOMATIC) | FLAGGED | BY_HAND : state[pixel] & AUTOMATIC;
      this.hand.push(pixel);
    }
    for (const pixel of this.automatic.view()) {
      if (state[pixel] & FLAGGED) this.flagged.push(pixel);
      else if (state[pixel] & REJECTED) this.rejected.push(pixel);
    }
    for (const pixel of this.hand) {
      if (state[pixel] & FLAGGED && !(state[pixel] & AUTOMATIC)) this.flagged.push(pixel);
    }
  }

  isFlagged(pixel) {
    return Boolean(this.state[pixel] & FLAGGED);
  }

  isRejected(pixel) {
    return Boolean(this.state[pixel] & REJECTED);
  }

  isByHand(pixel) {
    return Boolean(this.state[pixel] & BY_HAND);
  }

  /** Return the group of flagged, or of rejected, pixels that a pixel is in. */
  groupAt(pixel) {
    const kind = this.state[pixel] & FLAGGED ? FLAGGED : this.state[pixel] & REJECTED;
    if (!kind) return [];
    const group = [];
    this.flood(pixel, kind, group);
    for (const one of group) this.state[one] &= ~VISITED;
    return group;
  }

  flood(pixel, kind, group) {
    const { state } = this;
    const front = [pixel];
    state[pixel] |= VISITED;
    while (front.length) {
      const one = front.pop();
      group.push(one);
      this.eachNeighbour(one, 1, (other) => {
        if ((state[other] & (kind | VISITED)) === kind) {
          state[other] |= VISITED;
          front.push(other);
        }
      });
    }
  }

  countGroups() {
    const { state } = this;
    let number = 0;
    for (const pixel of this.flagged.view()) {
      if (state[pixel] & VISITED) continue;
      number += 1;
      this.flood(pixel, FLAGGED, []);
    }
    for (const pixel of this.flagged.view()) state[pixel] &= ~VISITED;
    return number;
  }

  /** Return the sum of the indices of flagged pixels, which Python checks. */
  checksum() {
    let sum = 0;
    for (const pixel of this.flagged.view()) sum += pixel;
    return sum;
  }
}
