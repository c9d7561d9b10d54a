// The page begins here: as a page of its own, or as a widget of a notebook.

import { App } from "./app.js";
import { callKernel, callServer, findKey } from "./transport.js";

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
  const app = new App(page, async (name, params) => callServer(await found)(name, params), true);
  app.start().catch((error) => app.fail(error));
}
