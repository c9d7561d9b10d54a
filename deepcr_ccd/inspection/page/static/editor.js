// The mask of a tab: its thresholds and edits, which Python is told of.

import { MaskMaker, toRuns } from "./mask.js";

const CERTAIN = 0.85;
// Time in ms after which the page says that the mask is being updated.
const LONG = 400;

export class MaskEditor {
  constructor(app) {
    this.app = app;
    this.edits = [];
    this.dropped = [];
    this.version = 0;
    this.maker = null;
    this.isUnsaved = false;
    this.settle(false);
  }

  /** Take thresholds, growth and edits from Python. */
  take(state) {
    this.settings = { seed: state.seed, extend: state.extend, grow: state.grow };
    this.revision = state.revision;
    this.edits = state.edits;
    this.isUnsaved = state.unsaved;
    this.app.showSettings();
  }

  /** Begin with the probability of a tab. */
  begin(codes, view) {
    this.certain = this.app.info.grid.indexOf(CERTAIN);
    this.maker = this.app.picture.maker = new MaskMaker(codes, view.shape, view.step);
    this.update();
  }

  /** Forget the mask of a tab. */
  end() {
    clearTimeout(this.waiting);
    this.settle(false);
    this.maker = null;
    this.dropped = [];
  }

  /** Take what a person has changed. */
  change() {
    this.isUnsaved = true;
    this.app.status.goOn();
    this.app.showSettings();
    this.update();
  }

  set(change) {
    if (!this.settings) return;
    Object.assign(this.settings, change);
    this.change();
  }

  edit(kind, pixels) {
    if (!this.maker || !pixels.length) return;
    this.edits = [...this.edits, [kind, toRuns(pixels)]];
    this.change();
  }

  undo() {
    if (!this.maker || !this.edits.length) return;
    this.edits = this.edits.slice(0, -1);
    this.change();
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
    let text = `Provisional: ${this.maker.countGroups()} cosmic rays, ${this.maker.flagged.length} px`;
    if (this.edits.length) text += `, ${this.edits.length} edits`;
    this.app.showCounts(text, true);
    this.app.picture.draw();
  }

  /** Send the state, one call at a time; the answer has what leaks at the thresholds. */
  async sync() {
    if (this.isSyncing) return;
    this.isSyncing = true;
    try {
      let version = -1;
      while (version !== this.version && this.maker) {
        version = this.version;
        const { revision, settings, edits } = this;
        const { tab } = this.app;
        const answer = await this.app.call("change", { tab, revision, ...settings, edits });
        this.revision = answer.revision;
        if (version === this.version) this.takeAnswer(answer);
      }
    } catch (error) {
      this.failedSync(error);
    } finally {
      this.isSyncing = false;
    }
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.finish(), 120);
  }

  takeAnswer(answer) {
    this.isUnsaved = answer.unsaved;
    this.app.saving.refresh(answer.command || answer.call);
    const changed = answer.dropped.length !== this.dropped.length || answer.dropped.some((pixel, n) => pixel !== this.dropped[n]);
    this.dropped = answer.dropped;
    if (changed) this.makeMask();
  }

  failedSync(error) {
    if (!error.state) {
      this.app.fail(error);
      return;
    }
    this.take(error.state);
    this.app.status.notice("Another page has changed the mask: this is its state, and the last edit here is lost.");
    this.update();
    // The call that failed has ended.
    queueMicrotask(() => this.sync());
  }

  /** With the state at rest: the list, the counts, and the fill. */
  async finish() {
    const { app, version, maker } = this;
    const { tab } = app;
    if (!maker || this.isSyncing) return;
    try {
      const answer = await app.call("objects", { tab });
      if (version !== this.version || tab !== app.tab || maker !== this.maker) return;
      if (answer.revision !== this.revision) {
        // Another page has changed the mask, as the next call says.
        this.sync();
        return;
      }
      app.showObjects(answer);
      if (answer.pixels !== maker.flagged.length || answer.checksum !== maker.checksum()) {
        throw new Error("this page shows another mask than Python's: reload it");
      }
      if (app.mode === "after") await app.showFilled();
      if (version === this.version && tab === app.tab) this.settle(true);
    } catch (error) {
      app.fail(error);
    }
  }

  /** Whether the mask and its counts are those of Python; until then they are provisional. */
  settle(isSettled) {
    const { app } = this;
    this.isSettled = isSettled;
    app.root.dataset.settled = isSettled;
    clearTimeout(this.sayingLater);
    if (isSettled) app.status.work("");
    else if (this.maker) {
      this.sayingLater = setTimeout(() => app.status.work("updating: the mask is provisional…"), LONG);
    }
  }
}
