// What of an answer is drawn: at most so many lines or bars, the largest ones.
import { number, plain } from "./dom.js";
import { AGGREGATES, COLUMNS, minutesOf } from "./question.js";

const MOST_SERIES = 10;
const MOST_BARS = 30;
const LONGEST_NAME = 28;
const HEIGHT = 320;

const toNumber = (value) => (value === null ? null : Number(value));
const isAdded = (aggregate) => aggregate === "count" || aggregate === "sum_price";

/** The chart of an answer, its alternative text, and what is said below it. */
export function plot(answer, state, kind, draw) {
  const groups = grouped(answer, state, draw);
  return groups.steps.length > 1 ? overTime(groups, state, kind, draw) : ofOneStep(groups, state, draw);
}

/** The kinds that an answer can be drawn as. */
export const kindsOf = (answer) => (new Set(answer.rows.map((row) => row[0])).size > 1 ? ["line", "bar"] : ["bar"]);

function grouped({ columns, rows }, state, draw) {
  const at = columns.indexOf(draw);
  const steps = stepsOf(rows, state);
  const place = new Map(steps.map((step, n) => [step, n]));
  const groups = new Map();
  for (const row of rows) {
    const names = row.slice(1, 1 + state.by.length);
    const key = JSON.stringify(names);
    if (!groups.has(key)) groups.set(key, { names, values: new Array(steps.length).fill(isAdded(draw) ? 0 : null), weight: 0 });
    const group = groups.get(key);
    const value = toNumber(row[at]);
    group.values[place.get(row[0])] = value;
    group.weight += Math.abs(value ?? 0);
  }
  const largest = [...groups.values()].sort((a, b) => b.weight - a.weight);
  return { steps, largest };
}

/** Every step of the question, also those that no group has. */
function stepsOf(rows, state) {
  if (!state.step) return [...new Set(rows.map((row) => row[0]))];
  const from = Date.parse(`${state.from}:00Z`), step = Number(state.step);
  const count = Math.ceil(minutesOf(state) / step);
  return Array.from({ length: count }, (_, n) => new Date(from + n * step * 60000).toISOString().slice(0, 19));
}

const titleOf = (state, draw) => {
  const of = state.action === "VIEW" ? " of views" : state.action === "BUY" ? " of buys" : "";
  return `${AGGREGATES[draw]}${of}${state.by.length ? ` by ${state.by.map((column) => COLUMNS[column]).join(", ")}` : ""}`;
};
const labelOf = ({ names }, otherwise) => names.map((name) => plain(name, LONGEST_NAME)).join(" · ") || otherwise;

function overTime({ steps, largest }, state, kind, draw) {
  const oneDay = new Set(steps.map((step) => step.slice(0, 10))).size === 1;
  const labels = steps.map((step) => (oneDay ? step.slice(11, 16) : step.slice(5, 16).replace("T", " ")));
  const shown = largest.slice(0, MOST_SERIES);
  const series = shown.map((group) => ({ name: labelOf(group, AGGREGATES[draw]), values: group.values }));
  const spec = { kind, title: titleOf(state, draw), labels, series, height: HEIGHT };
  const what = `${kind === "line" ? "Line" : "Bar"} chart of ${spec.title}, ${steps.length} steps from ${labels[0]} to ${labels.at(-1)} UTC`;
  return { spec, alternative: `${what}, ${highest(labels, series)}. The table below has all values.`, told: left(largest.length, shown.length) };
}

function ofOneStep({ largest }, state, draw) {
  const shown = largest.slice(0, MOST_BARS);
  const labels = shown.map((group) => labelOf(group, "all"));
  const series = [{ name: AGGREGATES[draw], values: shown.map((group) => group.values[0]) }];
  const spec = { kind: "bar", title: titleOf(state, draw), labels, series, height: HEIGHT };
  const alternative = `Bar chart of ${spec.title}, ${shown.length} bars, ${highest(labels, series)}. The table below has all values.`;
  return { spec, alternative, told: left(largest.length, shown.length) };
}

function highest(labels, series) {
  let most = null;
  for (const { name, values } of series) {
    values.forEach((value, n) => { if (value !== null && (most === null || value > most.value)) most = { value, name, label: labels[n] }; });
  }
  return most ? `the highest ${number(most.value, 2)} (${series.length > 1 ? `${most.name} at ` : ""}${most.label})` : "no values";
}

const left = (all, shown) => (all > shown ? `The ${shown} largest of ${number(all)} groups are drawn; the table has all.` : "");
