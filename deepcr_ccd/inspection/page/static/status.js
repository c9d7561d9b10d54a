// What the page says, at its top and always in view: what is being done, and what of it
// went wrong.

import { make } from "./widgets.js";

export class StatusLine {
  constructor() {
    this.parts = { work: "", notice: "", warnings: "" };
    this.text = make("p", { role: "status", class: "status" });
    this.error = make("p", { role: "alert", class: "status error" });
    this.element = make("div", { class: "status-line" }, this.text, this.error);
  }

  set(part, text) {
    this.parts[part] = text;
    const { work, notice, warnings } = this.parts;
    const shown = [work, notice, warnings].filter(Boolean).join(" · ");
    // What has not changed is not read out again.
    if (shown !== this.text.textContent) this.text.textContent = shown;
  }

  /** Say what is being done; "" when it is done. */
  work(text) {
    this.set("work", text);
  }

  /** Say what has happened; it stays until a person goes on. */
  notice(text) {
    this.set("notice", text);
  }

  /** Say what the user should know of the image of a tab. */
  warn(messages) {
    this.set("warnings", messages.join("; "));
  }

  fail(error) {
    this.set("work", "");
    this.error.textContent = error.message;
  }

  /** A person goes on: what has happened is not said any more. */
  goOn() {
    this.set("notice", "");
    this.error.textContent = "";
  }
}
