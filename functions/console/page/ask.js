// Requests to the functions, all on the page's own origin, and what is said when they fail.
import { byId, note } from "./dom.js";

/** Why there is no answer, as a sentence; `status` is 0 where nobody answered. */
export class Refusal extends Error {
  constructor(message, status, field) {
    super(message);
    this.status = status;
    this.field = field;
  }
}

/** Asks, and gives the response; throws a `Refusal`, or an `AbortError` where the asker gave up. */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", redirect: "error", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The server does not answer. Is it running?", 0);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

/** What a response that is no answer says. */
export async function refusal(response) {
  const text = await response.text().catch(() => "");
  let problem = {};
  try {
    problem = JSON.parse(text);
  } catch {
    // Not one of ours: an edge, or a proxy.
  }
  const { detail, field } = problem ?? {};
  const said = [field, detail].filter((part) => typeof part === "string").join(" ");
  const title = `${response.status} ${typeof problem?.title === "string" ? problem.title : response.statusText}`.trim();
  return new Refusal(said ? `${title}: ${said}` : title, response.status, field);
}

export const post = (path, body, options = {}) =>
  ask(path, { ...options, method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json", ...options.headers } });

const LONG_NUMBER = /[0-9]{16}/;

/** JSON with whole numbers beyond 53 bits as BigInt, where the browser tells how they were spelled. */
export function exact(text) {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?[0-9]+$/.test(context?.source ?? "") ? BigInt(context.source) : value);
}

const GRACE_MS = 2500;
const AGAIN_MS = [1000, 2000, 4000, 8000];

/**
 * A stream of server-sent events that comes back by itself. `told(state, message)` hears `wait`, `live`, `lost` and `bad`;
 * `heard` has a listener for each kind of event. Gives what ends it.
 */
export function listen(path, heard, told) {
  let source, timer, failures = 0, ended = false;
  const open = () => {
    source = new EventSource(path);
    source.onopen = () => {
      clearTimeout(timer);
      failures = 0;
      told("live");
    };
    source.onerror = () => {
      if (ended) return;
      clearTimeout(timer);
      // A stream ends every ten minutes and comes back at once: that is not worth a word.
      if (source.readyState === EventSource.CONNECTING) timer = setTimeout(() => told("lost"), failures++ ? 0 : GRACE_MS);
      else refused();
    };
    for (const [kind, listener] of Object.entries(heard)) source.addEventListener(kind, (event) => listener(JSON.parse(event.data)));
  };
  // A browser does not ask again after an answer that is no stream, and does not say what it was.
  const refused = async () => {
    source.close();
    const aborting = new AbortController();
    let message = "";
    try {
      await ask(path, { signal: aborting.signal, headers: { accept: "text/event-stream" } });
    } catch (error) {
      message = error.status ? error.message : "";
    }
    aborting.abort();
    if (ended) return;
    told(message ? "bad" : "lost", message);
    timer = setTimeout(open, AGAIN_MS[Math.min(failures++, AGAIN_MS.length - 1)]);
  };
  told("wait");
  open();
  return () => {
    ended = true;
    clearTimeout(timer);
    source.close();
  };
}

/** A part of the page that shows one answer: asked for each time that it is shown, and only the last answer counts. */
export function asker(part, path, showAnswer) {
  let asking = null;
  const hide = () => asking?.abort();
  async function show() {
    hide();
    asking = new AbortController();
    const state = byId(`${part}-state`), error = byId(`${part}-error`);
    state.textContent = "asking…";
    try {
      const answer = await (await ask(path, { signal: asking.signal })).json();
      note(error, "");
      state.textContent = `asked at ${new Date().toISOString().slice(11, 19)} UTC`;
      showAnswer(answer);
    } catch (failure) {
      if (failure.name === "AbortError") return;
      state.textContent = "";
      note(error, failure.message);
    }
  }
  byId(`${part}-again`).addEventListener("click", show);
  return { show, hide };
}
