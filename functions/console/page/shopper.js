// Shopper: one cookie's views and buys as one time line.
import { ask, exact } from "./ask.js";
import { byId, copyText, dialog, el, name, note, number, plain } from "./dom.js";

// The longest path that servers and edges surely take; a longer cookie is asked for with an event.
const LONGEST_PATH = 6000;
const TYPED_AT_MOST = 100;
const GAP_MS = 30 * 60 * 1000;
const ALL = ["0000-01-01T00:00:00.000", "9999-12-31T23:59:59.999"];
const FILTERS = {
  brand: ["Brand", (tag) => tag.product_info.brand_id], category: ["Category", (tag) => tag.product_info.category_id],
  origin: ["Origin", (tag) => tag.origin], country: ["Country", (tag) => tag.country], device: ["Device", (tag) => tag.device],
};

let asking = null, found = null, wanted = "";

export function show(params) {
  if (!params.has("cookie") || params.toString() === wanted) return;
  byId("shopper-cookie").value = params.get("cookie");
  byId("shopper-from").value = params.get("from") ?? "";
  byId("shopper-to").value = params.get("to") ?? "";
  byId("shopper-limit").value = params.get("limit") ?? "200";
  wanted = params.toString();
  askProfile(params.get("cookie"));
}

byId("shopper-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const params = new URLSearchParams({ cookie: byId("shopper-cookie").value });
  for (const field of ["from", "to", "limit"]) {
    const value = byId(`shopper-${field}`).value.trim();
    if (value && !(field === "limit" && value === "200")) params.set(field, value);
  }
  wanted = "";
  if (location.hash === `#shopper?${params}`) show(params);
  else location.hash = `shopper?${params}`;
});
byId("shopper-cancel").addEventListener("click", () => asking?.abort());
byId("shopper-copy").addEventListener("click", (event) => copyText(found.text, event.currentTarget));
byId("shopper-erase").addEventListener("click", confirmErase);
for (const id of ["shopper-views", "shopper-buys"]) byId(id).addEventListener("change", showLine);

/** A time as it is typed, as the contract spells it; null if it is none. */
function timeOf(typed, otherwise) {
  const text = typed.trim();
  if (!text) return otherwise;
  const found = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d(?:\.\d{3})?)?)?Z?$/i.exec(text);
  return found && `${found[1]}T${found[2] ?? "00:00"}${found[3] ?? ":00"}`;
}

function request(cookie, timeRange, limit) {
  const path = `/user_profiles/${encodeURIComponent(cookie)}`;
  // Neither is an empty cookie, nor one of dots alone, part of a path.
  if (path.length < LONGEST_PATH && !/^\.{0,2}$/.test(cookie)) {
    return [`${path}?${new URLSearchParams({ time_range: timeRange, limit })}`, { method: "POST" }];
  }
  const event = { specversion: "1.0", id: String(Date.now()), source: "/console", type: "com.allezon.user-profile.question",
    datacontenttype: "application/json", data: { cookie, time_range: timeRange, limit } };
  return ["/user_profiles", { method: "POST", body: JSON.stringify(event), headers: { "content-type": "application/cloudevents+json" } }];
}

async function askProfile(cookie) {
  asking?.abort();
  const mine = (asking = new AbortController());
  const [from, to] = ["from", "to"].map((field, n) => timeOf(byId(`shopper-${field}`).value, ALL[n]));
  for (const [field, value] of [["from", from], ["to", to]]) byId(`shopper-${field}`).setAttribute("aria-invalid", value === null);
  if (from === null || to === null) return refuse(`${from === null ? "From" : "To"} is no time. Type it as 2026-11-22 07:30.`);
  byId("shopper-state").textContent = "asking…";
  byId("shopper-cancel").disabled = false;
  try {
    const [path, options] = request(cookie, `${from}_${to}`, byId("shopper-limit").value || "200");
    const text = await (await ask(path, { ...options, signal: mine.signal })).text();
    found = { cookie, text, tags: merged(exact(text)) };
    note(byId("shopper-error"), "");
    byId("shopper-state").textContent = "";
    showFound();
  } catch (error) {
    if (asking !== mine) return;
    wanted = "";
    if (error.name === "AbortError") byId("shopper-state").textContent = "cancelled";
    else refuse(error.message);
  } finally {
    if (asking === mine) byId("shopper-cancel").disabled = true;
  }
}

function refuse(message) {
  found = null;
  wanted = "";
  byId("shopper-state").textContent = "";
  byId("shopper-none").hidden = true;
  byId("shopper-answer").hidden = true;
  note(byId("shopper-error"), message);
}

/** Both lists as one, newest first, equal times in the order that each list has. */
function merged({ views, buys }) {
  const timed = (tag) => ({ tag, ms: Date.parse(tag.time.replace(/(\.\d{3})\d+/, "$1")) });
  return [...buys, ...views].map(timed).sort((a, b) => b.ms - a.ms);
}

function showFound() {
  byId("shopper-none").hidden = true;
  byId("shopper-answer").hidden = false;
  byId("shopper-heading").replaceChildren("Shopper ", name(found.cookie));
  const select = ([key, [label, of]]) => {
    const counts = new Map();
    for (const { tag } of found.tags) counts.set(of(tag), (counts.get(of(tag)) ?? 0) + 1);
    const values = [...counts].sort((a, b) => b[1] - a[1]);
    const options = values.map(([value, count], n) => el("option", { value: n }, `${plain(value, 40)} (${count})`));
    const chosen = el("select", { "data-filter": key, onchange: showLine }, el("option", { value: "" }, "all"), ...options);
    chosen.values = values.map(([value]) => value);
    return el("label", {}, label, " ", chosen);
  };
  byId("shopper-filters").replaceChildren(...Object.entries(FILTERS).map(select));
  byId("shopper-views").checked = byId("shopper-buys").checked = true;
  showLine();
}

function showLine() {
  const chosen = [...document.querySelectorAll("#shopper-filters select")].filter((select) => select.value !== "");
  const wants = chosen.map((select) => [FILTERS[select.dataset.filter][1], select.values[select.value]]);
  const actions = { VIEW: byId("shopper-views").checked, BUY: byId("shopper-buys").checked };
  const tags = found.tags.filter(({ tag }) => actions[tag.action] && wants.every(([of, value]) => of(tag) === value));
  const count = (action) => tags.filter(({ tag }) => tag.action === action).length;
  const empty = found.tags.length ? "No view or buy fits these filters." : "Nothing is known of this cookie in this range.";
  byId("shopper-told").textContent = tags.length
    ? `${number(count("VIEW"))} views and ${number(count("BUY"))} buys of ${number(found.tags.length)} found, newest first. Prices are in the unit of the tags.` : empty;
  byId("shopper-line").replaceChildren(...days(tags));
}

/** A list for each day. */
function days(tags) {
  const made = [];
  let day = null, list = null, before = null;
  for (const { tag, ms } of tags) {
    if (tag.time.slice(0, 10) !== day) {
      day = tag.time.slice(0, 10);
      list = el("ol", { class: "line", "aria-label": day });
      made.push(el("h3", {}, el("time", { datetime: day }, day)), list);
    } else if (before - ms >= GAP_MS) {
      list.append(el("li", { class: "gap" }, `${spell(before - ms)} before`));
    }
    list.append(item(tag));
    before = ms;
  }
  return made;
}

function spell(ms) {
  const minutes = Math.round(ms / 60000);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60 ? `${minutes % 60} min` : ""}`.trim();
}

function item(tag) {
  const { product_id: product, brand_id: brand, category_id: category, price } = tag.product_info;
  return el("li", { class: tag.action === "BUY" ? "buy" : "view" },
    el("time", { datetime: tag.time }, tag.time.slice(11).replace("Z", "")),
    el("span", { class: "mark" }, tag.action === "BUY" ? "buy" : "view"),
    el("span", { class: "what" }, el("b", {}, name(brand)), " ", name(category), el("span", { class: "quiet" }, " product "), name(product)),
    el("span", { class: "price" }, el("span", { class: "gone" }, "price "), number(price)),
    el("span", { class: "quiet from" }, name(tag.device), " · ", name(tag.country), " · ", name(tag.origin)));
}

function confirmErase() {
  const { cookie } = found;
  if (encodeURIComponent(cookie).length >= LONGEST_PATH || /^\.{0,2}$/.test(cookie)) {
    dialog({ title: "Cannot be erased here", body: [el("p", {}, "This cookie cannot stand in a path, and there is no other way to erase one.")] });
    return;
  }
  // Nobody types a thousand letters.
  const phrase = cookie.length > TYPED_AT_MOST ? "erase" : cookie;
  const typed = el("input", { spellcheck: "false", autocomplete: "off", autocapitalize: "off", "aria-label": phrase === cookie ? "Type the cookie to confirm" : "Type erase to confirm" });
  const go = el("button", { type: "button", class: "bad", disabled: true, onclick: () => erase(cookie, go, box) }, "Erase for ever");
  typed.addEventListener("input", () => { go.disabled = typed.value !== phrase; });
  const said = el("p", {}, "All views and buys of ", name(cookie), " that were accepted before now are gone for ever. Aggregates hold no cookie and do not change.");
  const box = dialog({ title: "Erase this shopper?", body: [said, el("label", { class: "typed" }, "To confirm, type ", phrase === cookie ? name(cookie) : "erase", typed)], actions: [go], close: "Cancel" });
  typed.focus();
}

async function erase(cookie, button, box) {
  button.disabled = true;
  button.textContent = "Erasing, some 4 s…";
  try {
    await ask(`/user_profiles/${encodeURIComponent(cookie)}`, { method: "DELETE" });
    box.close();
    await askProfile(cookie);
    byId("shopper-state").textContent = "Erased.";
  } catch (error) {
    button.disabled = false;
    button.textContent = "Erase for ever";
    box.error(error.message);
  }
}
