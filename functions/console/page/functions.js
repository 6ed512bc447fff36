// Functions: what the cluster tells of each.
import { asker } from "./ask.js";
import { byId, el, name, number } from "./dom.js";

const ERRORS_SHOWN = 3;
export const { show, hide } = asker("functions", "/console/functions", showAnswer);

function showAnswer({ where, functions }) {
  const place = where === "cluster" ? "on the cluster" : "in one process, which tells no scale and no errors";
  byId("functions-caption").textContent = `${functions.length} functions, ${place}`;
  byId("functions-rows").replaceChildren(...functions.map(row));
  byId("functions-answer").hidden = false;
}

function row(told) {
  const ready = told.ready === true ? ["good", "ready"] : told.ready === false ? ["bad", "not ready"] : ["", "unknown"];
  const state = el("td", { class: "text" }, el("span", { class: `mark ${ready[0]}` }, ready[1]));
  if (told.reason) state.append(el("div", {}, name(told.reason)));
  const wanted = told.wanted !== null && told.wanted !== undefined && told.wanted !== told.instances ? ` of ${number(told.wanted)}` : "";
  return el("tr", {}, el("th", { scope: "row" }, name(told.name)), state,
    el("td", { class: "n" }, number(told.instances) + wanted),
    el("td", { class: "keep" }, scale(told.scale)), el("td", { class: "code keep" }, told.revision ? name(told.revision) : "–"), errors(told.errors ?? []));
}

function scale(told) {
  if (!told) return "–";
  const target = told.metric ? `, ${plainNumber(told.target)} ${told.metric} each` : "";
  return el("bdi", {}, `${plainNumber(told.min)} to ${told.max ? plainNumber(told.max) : "any number"}${target}`);
}

const plainNumber = (value) => (typeof value === "number" ? number(value, 2) : String(value ?? "–"));

function errors(all) {
  if (!all.length) return el("td", { class: "quiet" }, "none");
  const item = ({ at, what }) => el("li", {}, at ? el("time", { datetime: at }, `${at.replace("T", " ").replace("Z", "")} `) : null, name(what ?? ""));
  const more = all.length > ERRORS_SHOWN ? [el("li", { class: "quiet" }, `and ${all.length - ERRORS_SHOWN} more`)] : [];
  return el("td", { class: "text" }, el("ul", { class: "plain" }, ...all.slice(0, ERRORS_SHOWN).map(item), ...more));
}
