// Elements, and texts that others wrote: these enter the page as text only.

/** The element of this id. */
export const byId = (id) => document.getElementById(id);

/** An element with attributes (`onclick` and the like are listeners) and children. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Shows a message in a note, or hides it where there is none. */
export function note(element, message) {
  element.hidden = !message;
  element.textContent = message || "";
}

const MOST_SHOWN = 120;
// What is not seen, or turns what comes after it around. The joiners of emoji and of Persian stay.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/u;
const EACH_UNSEEN = new RegExp(`(${UNSEEN.source})`, "u");

const codeOf = (unseen) => `U+${unseen.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

function cut(text, most) {
  return text.length <= most ? text : `${[...text.slice(0, most * 2)].slice(0, most - 1).join("")}…`;
}

/** A foreign text in one line without anything unseen: for options, titles, alternatives and labels of charts. */
export function plain(text, most = 48) {
  const shown = cut(String(text), most).split(EACH_UNSEEN).map((part) => (UNSEEN.test(part) ? `[${codeOf(part)}]` : part));
  return shown.join("") || "(empty)";
}

/** A foreign text as an element: in a direction of its own, what is unseen spelled out, a long one cut, with a way to see it whole. */
export function name(text) {
  const whole = String(text);
  if (whole === "") return el("span", { class: "empty-name" }, "(empty)");
  const shown = el("bdi", { class: "name" });
  for (const part of cut(whole, MOST_SHOWN).split(EACH_UNSEEN)) {
    if (part !== "") shown.append(UNSEEN.test(part) ? el("span", { class: "unseen" }, codeOf(part)) : part);
  }
  if (whole.length <= MOST_SHOWN) return shown;
  const characters = whole.length.toLocaleString("en");
  const button = el("button", { type: "button", class: "small whole", onclick: () => showWhole(whole) }, `all ${characters} characters`);
  return el("span", { class: "cut" }, shown, " ", button);
}

function showWhole(text) {
  const area = el("textarea", { readonly: true, rows: 12, "aria-label": "The whole text", dir: "auto", spellcheck: "false" });
  area.value = text;
  const copy = el("button", { type: "button", onclick: () => copyText(text, copy) }, "Copy");
  dialog({ title: `${text.length.toLocaleString("en")} characters`, body: [area], actions: [copy] });
}

/**
 * Opens the dialog; Escape and "Close" end it. Gives what may be called to say an error in it, and to close it.
 * Focus goes back to where it was.
 */
export function dialog({ title, body, actions = [], close = "Close" }) {
  const box = byId("dialog");
  if (box.open) box.close();
  byId("dialog-title").textContent = title;
  byId("dialog-body").replaceChildren(...body);
  note(byId("dialog-error"), "");
  byId("dialog-actions").replaceChildren(...actions, el("button", { type: "submit", value: "close" }, close));
  box.showModal();
  return { error: (message) => note(byId("dialog-error"), message), close: () => box.close() };
}

/** Copies a text and says so on the button. The clipboard is not there for pages by plain HTTP from another machine. */
export async function copyText(text, button) {
  let copied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copied = copyOldWay(text, button);
  }
  const before = (button.dataset.before ??= button.textContent);
  button.textContent = copied ? "Copied" : "Not copied: the browser does not let us";
  clearTimeout(button.timer);
  button.timer = setTimeout(() => { button.textContent = before; }, 2000);
}

function copyOldWay(text, button) {
  const area = el("textarea", { class: "gone", "aria-hidden": "true", tabindex: "-1" });
  area.value = text;
  (button.closest("dialog") ?? document.body).append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  button.focus();
  return copied;
}

const PLACES = new Map();

/** A number for people: `1,234.5`, with so many places at most and at least; `–` for none. */
export function number(value, most = 0, least = 0) {
  if (value === null || value === undefined) return "–";
  const key = `${most} ${least}`;
  if (!PLACES.has(key)) PLACES.set(key, new Intl.NumberFormat("en", { maximumFractionDigits: most, minimumFractionDigits: least }));
  return PLACES.get(key).format(value);
}

/** A time in ms as `2026-11-22 07:30:00`, UTC. */
export const moment = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");

/** A minute as people type it, or as answers spell it, as `2026-11-22T07:30`; null if it is none. */
export function minuteOf(typed) {
  const found = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::00(?:\.0+)?)?Z?$/i.exec(typed.trim());
  if (!found) return null;
  const ms = Date.parse(`${found[1]}T${found[2]}:00Z`);
  return Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== found[1] ? null : `${found[1]}T${found[2]}`;
}
