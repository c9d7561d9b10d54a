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
    this.savedText = "";
    this.kind = make("select", { "aria-label": "What to save" });
    this.where = make("p", { class: "path" });
    // The status at the top is what is read out.
    this.saved = make("p", { class: "saved" });
    this.replaceButton = button("Replace it", "Replace the file that is there", () => this.save(true), { hidden: true });
    this.saveButton = button("Save", "Write the file (s)", () => this.save(false));
    this.part = make("div", {}, this.where, make("div", { class: "row" }, this.kind, this.saveButton, this.replaceButton), this.saved);
    this.recipe = make("textarea", { readonly: true, rows: 3, "aria-label": "What makes the same mask without edits" });
    const copy = button("Copy", "Copy it", () => navigator.clipboard.writeText(this.recipe.value));
    this.element = make("section", { class: "panel" }, make("h2", {}, "Save"), this.part);
    this.recipePanel = make("section", { class: "panel" }, make("h2", {}, "The same mask without edits"), this.recipe, make("div", { class: "row" }, copy));
  }

  /** Take the answer of the call "info". */
  open({ saves, output }) {
    this.kind.replaceChildren(...saves.map((kind) => make("option", { value: kind }, KINDS[kind])));
    this.element.hidden = !saves.length;
    this.where.textContent = output;
    // The page can be left without a question where Python has the mask.
    if (!saves.length || !this.app.isPage) return;
    addEventListener("beforeunload", (event) => {
      if (!this.app.editor.isUnsaved) return;
      event.preventDefault();
      event.returnValue = "unsaved";
    });
  }

  /** Show whether changes are saved, and what makes the same mask. */
  refresh(recipe = this.recipe.value) {
    this.recipe.value = recipe;
    if (this.isBusy) return;
    this.offersReplacing(false);
    this.saved.textContent = this.app.editor.isUnsaved ? "Changes are not saved." : this.savedText;
  }

  /** Say what became of saving, beside the button and at the top. */
  say(text) {
    this.saved.textContent = text;
    this.app.status.notice(text);
  }

  async save(replace) {
    const { app } = this;
    const { editor } = app;
    if (!app.info || this.element.hidden || this.isBusy) return;
    this.setBusy(true);
    try {
      await this.write(replace);
    } catch (error) {
      this.say(`not saved: ${error.message}`);
      this.offersReplacing(error.exists);
      // Another page has changed the mask, as the next call says.
      if (error.state) editor.sync();
    } finally {
      this.setBusy(false);
    }
  }

  /** The button stays enabled, so that it keeps the focus. */
  setBusy(isBusy) {
    this.isBusy = isBusy;
    this.saveButton.setAttribute("aria-disabled", isBusy);
  }

  /** A button that goes hands the focus on. */
  offersReplacing(isOffered) {
    const { activeElement } = this.element.getRootNode();
    this.replaceButton.hidden = !isOffered;
    if (!isOffered && activeElement === this.replaceButton) this.saveButton.focus();
  }

  async write(replace) {
    const { app } = this;
    const { editor } = app;
    if (!editor.maker) throw new Error("there is no mask yet");
    this.say("waiting for the mask…");
    for (let n = 0; !editor.isSettled && n < PATIENCE; n++) await pause(50);
    if (!editor.isSettled) throw new Error("the mask is not ready, try again");
    const { revision, maker, version } = editor;
    const shown = { pixels: maker.flagged.length, checksum: maker.checksum() };
    this.offersReplacing(false);
    this.say("saving…");
    const answer = await app.call("save", { tab: app.tab, revision, kind: this.kind.value, replace, ...shown });
    // What was changed meanwhile is not saved.
    if (version === editor.version) editor.isUnsaved = answer.unsaved;
    this.savedText = `saved: ${answer.path}`;
    this.say(this.savedText);
  }
}
