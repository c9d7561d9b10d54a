// Calls of Python: by HTTP to the server of the page, or by messages of a widget.

const NO_KEY = "Open the link that was printed: each works once.";

async function post(path, content, headers) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(content),
  }).catch(() => {
    throw new Error("deepcr_ccd does not answer: the session has ended, or the connection to it");
  });
  if ((response.headers.get("Content-Type") || "").startsWith("application/octet-stream")) {
    return response.arrayBuffer();
  }
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = { error: text.trim() || `status ${response.status}` };
  }
  if (!response.ok) throw Object.assign(new Error(answer.error), answer);
  return answer;
}

/** Exchange the token of the link for the key, which this tab keeps when it is reloaded. */
export async function findKey() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  // The link has been used, and does not stay in the history.
  history.replaceState(null, "", "/");
  if (token) {
    const { key } = await post("/key", { token });
    sessionStorage.setItem("key", key);
    return key;
  }
  const known = sessionStorage.getItem("key");
  if (!known) throw new Error(NO_KEY);
  return known;
}

/** Call Python by HTTP. */
export function callServer(key) {
  return (name, params) => post(`/api/${name}`, params, { Authorization: `Bearer ${key}` });
}

/** Call Python by the messages of a widget; several views may share a model. */
export function callKernel(model) {
  const view = crypto.randomUUID?.() || String(Math.random());
  const waiting = new Map();
  let number = 0;
  const onAnswer = ({ id, answer, error }, buffers) => {
    const promise = waiting.get(id);
    if (!promise) return;
    waiting.delete(id);
    if (error) promise.reject(Object.assign(new Error(error.error), error));
    else if (answer !== undefined) promise.resolve(answer);
    else {
      const { buffer, byteOffset, byteLength } = buffers[0];
      promise.resolve(buffer.slice(byteOffset, byteOffset + byteLength));
    }
  };
  model.on("msg:custom", onAnswer);
  const call = (name, params) =>
    new Promise((resolve, reject) => {
      number += 1;
      const id = `${view}/${number}`;
      waiting.set(id, { resolve, reject });
      model.send({ id, name, params });
    });
  return { call, end: () => model.off("msg:custom", onAnswer) };
}
