// Saving, and the command that makes the same mask without edits.

import { button, make, pause } from "./widgets.js";

// Times that saving waits for the mask, 50 ms each.
const PATIENCE = 200;
const KINDS = {
  flags: "copy of the file, flags set",
  filled: "copy of the file, flags set and pixels filled",
  masks: "file of masks only",
};

export class SavePanel {
  constructor(app) {
    this.app = app;
    this.kind = make("select", { "aria-label": "What to save" });
    this.where = make("p", { class: "path" });
    this.saved = make("p", { role: "status" });
    this.replaceButton = button("Replace it", "Replace the file that is there", () => this.save(true), { hidden: true });
    this.saveButton = button("Save", "Write the file (s)", () => this.save(false));
    this.part = make("div", {}, this.where, make("div", { class: "row" }, this.kind, this.saveButton, this.replaceButton), this.saved);
    this.recipe = make("textarea", { readonly: true, rows: 3, "aria-label": "What makes the same mask without edits" });
    const copy = button("Copy", "Copy it", () => navigator.clipboard.writeText(this.recipe.value));
    this.element = make(
      "section",
      { class: "panel" },
      make("h2", {}, "Save"),
      this.part,
      make("p", { class: "hint" }, "The same mask without edits:"),
      this.recipe,
      make("div", { class: "row" }, copy),
    );
  }

  /** Take the answer of the call "info". */
  open({ saves, output }) {
    this.kind.replaceChildren(...saves.map((kind) => make("option", { value: kind }, KINDS[kind])));
    this.part.hidden = !saves.length;
    this.where.textContent = output;
  }

  async save(replace) {
    const { editor } = this.app;
    if (this.part.hidden || !editor.maker) return;
    this.saved.textContent = "waiting for the mask…";
    for (let n = 0; !editor.isSettled && n < PATIENCE; n++) await pause(50);
    if (!editor.isSettled) {
      this.saved.textContent = "the mask is not ready: try again";
      return;
    }
    const { tab } = this.app;
    const { revision, maker } = editor;
    const shown = { pixels: maker.flagged.length, checksum: maker.checksum() };
    this.saved.textContent = "saving…";
    this.saveButton.disabled = true;
    this.replaceButton.hidden = true;
    try {
      const answer = await this.app.call("save", { tab, revision, kind: this.kind.value, replace, ...shown });
      this.saved.textContent = `saved: ${answer.path}`;
    } catch (error) {
      this.saved.textContent = error.message;
      this.replaceButton.hidden = !error.exists;
    } finally {
      this.saveButton.disabled = false;
    }
  }
}
