// A question of Explore in its three spellings: as the form's state, as the function takes it, as a link.
import { minuteOf } from "./dom.js";

export const COLUMNS = { origin: "origin", brand_id: "brand", category_id: "category", country: "country", device: "device" };
export const AGGREGATES = { count: "count", sum_price: "sum of prices", avg_price: "average price", min_price: "lowest price", max_price: "highest price" };
export const MODES = { in: "is one of", not_in: "is none of" };
const DAY_MINUTES = 24 * 60;

/**
 * A state is `{from, to, step, action, filters: [{column, mode, values}], by, aggregates, top, topBy, kind, draw}`: minutes as
 * `2026-11-22T07:30`, `step` and `top` as text, empty for none.
 */
export const NEW = { from: "", to: "", step: "", action: "", filters: [], by: [], aggregates: ["count"], top: "", topBy: "count", kind: "", draw: "" };

/** What is wrong with a state before it is asked: `[field, message]`, or null. What else may be wrong the function tells. */
export function wrongWith(state) {
  for (const field of ["from", "to"]) {
    if (!minuteOf(state[field])) return [field, `${field === "from" ? "From" : "To"} is no minute. Type it as 2026-11-22 07:30.`];
  }
  const minutes = minutesOf(state);
  if (minutes <= 0) return ["to", "To must be after From."];
  if (minutes > DAY_MINUTES) return ["to", "The range is longer than a day."];
  if (state.top && !state.by.length) return ["top", "A top needs something to group by."];
  return null;
}

export const minutesOf = ({ from, to }) => (Date.parse(`${minuteOf(to)}:00Z`) - Date.parse(`${minuteOf(from)}:00Z`)) / 60000;

/** As `POST /explore` takes it. */
export function questionOf(state) {
  const question = { time_range: `${minuteOf(state.from)}:00_${minuteOf(state.to)}:00` };
  if (state.step) question.step_minutes = Number(state.step);
  if (state.action) question.action = state.action;
  const filters = {};
  for (const { column, mode, values } of state.filters) {
    if (values.length) ((filters[column] ??= {})[mode] ??= []).push(...values);
  }
  if (Object.keys(filters).length) question.filters = filters;
  if (state.by.length) question.group_by = state.by;
  question.aggregates = state.aggregates;
  if (state.top) question.top = { n: Number(state.top), by: state.topBy };
  return question;
}

/** As the part of a link behind `#explore?`. */
export function paramsOf(state) {
  const params = new URLSearchParams({ from: minuteOf(state.from) ?? state.from, to: minuteOf(state.to) ?? state.to });
  if (state.step) params.set("step", state.step);
  if (state.action) params.set("action", state.action);
  for (const { column, mode, values } of state.filters) for (const value of values) params.append(`${mode}.${column}`, value);
  for (const column of state.by) params.append("by", column);
  for (const aggregate of state.aggregates) params.append("tell", aggregate);
  if (state.top) {
    params.set("top", state.top);
    params.set("top_by", state.topBy);
  }
  if (state.kind) params.set("chart", state.kind);
  if (state.draw) params.set("draw", state.draw);
  return params;
}

/** As a link, legible where links allow it. */
export const hashOf = (state) => `#explore?${paramsOf(state).toString().replaceAll("%3A", ":")}`;

/** Out of a link. What it names and we do not know is left out. */
export function stateOf(params) {
  const known = (key, names) => params.getAll(key).filter((value, n, all) => Object.hasOwn(names, value) && all.indexOf(value) === n);
  const one = (key, test) => (test.test(params.get(key) ?? "") ? params.get(key) : "");
  const filters = [];
  for (const mode of Object.keys(MODES)) {
    for (const column of Object.keys(COLUMNS)) {
      const values = params.getAll(`${mode}.${column}`);
      if (values.length) filters.push({ column, mode, values });
    }
  }
  const aggregates = known("tell", AGGREGATES);
  return {
    from: params.get("from") ?? "", to: params.get("to") ?? "", step: one("step", /^[1-9][0-9]{0,3}$/), action: one("action", /^(VIEW|BUY)$/),
    filters, by: known("by", COLUMNS).slice(0, 3), aggregates: aggregates.length ? aggregates : NEW.aggregates,
    top: one("top", /^[0-9]{1,9}$/), topBy: known("top_by", AGGREGATES)[0] ?? "count",
    kind: one("chart", /^(line|bar)$/), draw: known("draw", AGGREGATES)[0] ?? "",
  };
}

/** A text as one word of a shell. */
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** The command that asks this. */
export const curlOf = (question, origin) => `curl -s ${origin}/explore -H 'Content-Type: application/json' --data-raw ${quoted(JSON.stringify(question))}`;
