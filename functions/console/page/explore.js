// Explore: a question, its answer as chart and table, and the ways to ask it again.
import { exact, post } from "./ask.js";
import { Chart } from "./chart.js";
import { byId, copyText, el, minuteOf, name, note, number } from "./dom.js";
import * as filters from "./filters.js";
import { plot, kindsOf } from "./plot.js";
import { AGGREGATES, COLUMNS, NEW, curlOf, hashOf, minutesOf, paramsOf, questionOf, stateOf, wrongWith } from "./question.js";

const ROWS_AT_ONCE = 200;
const NEWEST_WITHIN_MS = 3000;
const MOST_CHARTED_STEPS = 1440;

const chart = new Chart(byId("explore-chart"));
const field = (id) => byId(`explore-${id}`);
let asking = null, asked = "", answered = null, rowsShown = 0;

const options = (names) => Object.entries(names).map(([value, text]) => el("option", { value }, text));
for (const select of document.querySelectorAll("[data-by]")) select.append(el("option", { value: "" }, "nothing"), ...options(COLUMNS));
field("top-by").append(...options(AGGREGATES));
field("aggregates").append(...Object.entries(AGGREGATES).map(([value, text]) =>
  el("label", { class: "check" }, el("input", { type: "checkbox", name: "aggregate", value }), ` ${text}`)));
fill({ ...NEW, ...lastMinutes(60), step: "1" });

export function show(params) {
  if (![...params].length || questionKey(params) === asked) return;
  const state = stateOf(params);
  fill(state);
  askQuestion(state);
}

field("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const state = read();
  asked = "";
  const hash = hashOf(state);
  if (location.hash === hash) show(paramsOf(state));
  else location.hash = hash;
});
field("cancel").addEventListener("click", () => asking?.abort());
field("add").addEventListener("click", filters.add);
field("csv").addEventListener("click", downloadCsv);
field("more").addEventListener("click", showRows);
field("copy-link").addEventListener("click", (event) => copyText(field("link").href, event.currentTarget));
field("copy-curl").addEventListener("click", (event) => copyText(field("curl").textContent, event.currentTarget));
for (const id of ["kind", "draw"]) field(id).addEventListener("change", drawOtherwise);
for (const button of document.querySelectorAll("#explore-form .presets button")) button.addEventListener("click", () => preset(button.dataset));

/** The chart is no part of what is asked. */
function questionKey(params) {
  const key = new URLSearchParams(params);
  key.delete("chart");
  key.delete("draw");
  return key.toString();
}

// The form

function fill(state) {
  for (const id of ["from", "to"]) field(id).value = state[id].replace("T", " ");
  if (state.step && ![...field("step").options].some((option) => option.value === state.step)) {
    field("step").append(el("option", { value: state.step }, `${state.step} minutes`));
  }
  field("step").value = state.step;
  field("action").value = state.action;
  filters.fill(state.filters);
  [1, 2, 3].forEach((n) => { field(`by-${n}`).value = state.by[n - 1] ?? ""; });
  for (const box of field("aggregates").querySelectorAll("input")) box.checked = state.aggregates.includes(box.value);
  field("top").value = state.top;
  field("top-by").value = state.topBy;
}

function read() {
  const by = [1, 2, 3].map((n) => field(`by-${n}`).value).filter((value, n, all) => value && all.indexOf(value) === n);
  const aggregates = [...field("aggregates").querySelectorAll("input:checked")].map((box) => box.value);
  return {
    from: field("from").value.trim(), to: field("to").value.trim(), step: field("step").value, action: field("action").value,
    filters: filters.read(), by, aggregates: aggregates.length ? aggregates : NEW.aggregates, top: field("top").value, topBy: field("top-by").value,
    kind: answered?.state.kind ?? "", draw: aggregates.includes(answered?.state.draw) ? answered.state.draw : "",
  };
}

function minute(ms) {
  return new Date(ms).toISOString().slice(0, 16);
}

function lastMinutes(minutes) {
  const to = Math.floor(Date.now() / 60000 + 1) * 60000;
  return { from: minute(to - minutes * 60000), to: minute(to) };
}

async function preset({ range, newest, shift }) {
  if (range) return setRange(lastMinutes(Number(range)));
  if (shift) {
    const state = { from: field("from").value, to: field("to").value };
    if (!minuteOf(state.from) || !minuteOf(state.to)) return field("from").focus();
    const by = Number(shift) * minutesOf(state) * 60000;
    return setRange(Object.fromEntries(Object.entries(state).map(([end, typed]) => [end, minute(Date.parse(`${minuteOf(typed)}:00Z`) + by)])));
  }
  field("state").textContent = "looking for the newest minute…";
  const found = await newestMinute();
  field("state").textContent = found ? "" : "No minute holds a tag yet.";
  if (!found) return;
  const to = Date.parse(`${found}Z`) + 60000;
  setRange({ from: minute(to - Number(newest) * 60000), to: minute(to) });
}

function setRange({ from, to }) {
  field("from").value = from.replace("T", " ");
  field("to").value = to.replace("T", " ");
}

/** The newest minute that holds data: the time in the tags need not be today's. */
function newestMinute() {
  return new Promise((resolve) => {
    const source = new EventSource("/explore/live?minutes=1");
    const done = (found) => {
      source.close();
      clearTimeout(timer);
      resolve(found);
    };
    const timer = setTimeout(() => done(null), NEWEST_WITHIN_MS);
    source.addEventListener("minute", (event) => done(JSON.parse(event.data)["1m_bucket"]));
    source.addEventListener("error", () => done(null));
  });
}

// The question

function mark(wrong) {
  for (const id of ["from", "to", "step", "action", "top"]) field(id).removeAttribute("aria-invalid");
  const marked = { time_range: "from", step_minutes: "step", "top.n": "top" }[wrong] ?? wrong;
  if (["from", "to", "step", "action", "top"].includes(marked)) field(marked).setAttribute("aria-invalid", "true");
}

async function askQuestion(state) {
  asking?.abort();
  const mine = (asking = new AbortController());
  asked = questionKey(paramsOf(state));
  const wrong = wrongWith(state);
  mark(wrong?.[0]);
  if (wrong) return refuse(wrong[1]);
  const clean = { ...state, from: minuteOf(state.from), to: minuteOf(state.to) };
  const question = questionOf(clean);
  const begin = performance.now();
  const tick = () => { field("state").textContent = `asking… ${number((performance.now() - begin) / 1000)} s`; };
  field("state").textContent = "asking…";
  const ticking = setInterval(tick, 1000);
  field("cancel").disabled = false;
  try {
    const response = await post("/explore", question, { signal: mine.signal, headers: { accept: "application/json" } });
    const answer = exact(await response.text());
    if (asking !== mine) return;
    answered = { state: clean, question, answer };
    field("state").textContent = "answered";
    note(field("error"), "");
    showAnswer();
  } catch (error) {
    if (asking !== mine) return;
    asked = "";
    if (error.name === "AbortError") {
      field("state").textContent = "cancelled";
      return;
    }
    mark(error.field);
    refuse(error.status === 413 ? `The answer is too large. ${error.message}` : error.message);
  } finally {
    clearInterval(ticking);
    if (asking === mine) field("cancel").disabled = true;
  }
}

function refuse(message) {
  asked = "";
  answered = null;
  field("state").textContent = "";
  field("none").hidden = true;
  field("answer").hidden = true;
  field("cancel").disabled = true;
  note(field("error"), message);
}

// The answer

function showAnswer() {
  const { state, question, answer } = answered;
  field("none").hidden = true;
  field("answer").hidden = false;
  const [from, to] = [state.from, state.to].map((end) => end.replace("T", " "));
  field("heading").textContent = `${from} to ${to} UTC`;
  field("told").textContent = `${number(answer.scanned_rows)} rows scanned in ${number(answer.took_ms, 1)} ms`;
  field("draw").replaceChildren(...state.aggregates.map((value) => el("option", { value }, AGGREGATES[value])));
  const kinds = kindsOf(answer);
  for (const option of field("kind").options) option.disabled = !kinds.includes(option.value);
  field("kind").value = kinds.includes(state.kind) ? state.kind : kinds[0];
  field("draw").value = state.aggregates.includes(state.draw) ? state.draw : state.aggregates[0];
  showTable();
  showLink();
  field("curl").textContent = curlOf(question, location.origin);
  state.by.forEach((column, n) => filters.suggest(column, new Set(answer.rows.map((row) => row[1 + n]))));
  draw();
}

function showLink() {
  const href = hashOf(answered.state);
  field("link").href = href;
  field("link").textContent = new URL(href, location.href).href;
}

/** Another chart of the same answer: the link tells it too, and nothing is asked again. */
function drawOtherwise() {
  answered.state.kind = field("kind").value;
  answered.state.draw = field("draw").value;
  showLink();
  history.replaceState(null, "", field("link").href);
  document.querySelector("nav a[data-view=explore]").href = field("link").href;
  draw();
}

function draw() {
  const { state, answer } = answered;
  if (!answer.rows.length) {
    chart.clear();
    field("drawn").textContent = "Nothing to draw: no tag fits this question.";
    return;
  }
  const { spec, alternative, told } = plot(answer, state, field("kind").value, field("draw").value);
  if (spec.labels.length > MOST_CHARTED_STEPS) {
    chart.clear();
    field("drawn").textContent = "Too many steps for a chart.";
    return;
  }
  field("drawn").textContent = told;
  chart.show(spec, alternative);
}

function showTable() {
  const { state, answer } = answered;
  const table = field("table");
  const heading = (column, n) => el("th", { scope: "col", class: n > state.by.length ? "n" : null, "data-column": column },
    n === 0 ? "step (UTC)" : COLUMNS[column] ?? AGGREGATES[column] ?? column);
  table.tHead.replaceChildren(el("tr", {}, ...answer.columns.map(heading)));
  table.tBodies[0].replaceChildren();
  rowsShown = 0;
  showRows();
}

function showRows() {
  const { state, answer } = answered;
  const { rows } = answer;
  const cell = (value, n) => {
    if (n === 0) return el("th", { scope: "row", class: "keep" }, value.replace("T", " ").slice(0, 16));
    if (n <= state.by.length) return el("td", { class: "text" }, name(value));
    return el("td", { class: "n" }, number(value, 2, answer.columns[n] === "avg_price" ? 2 : 0));
  };
  field("table").tBodies[0].append(...rows.slice(rowsShown, rowsShown + ROWS_AT_ONCE).map((row) => el("tr", {}, ...row.map(cell))));
  rowsShown = Math.min(rows.length, rowsShown + ROWS_AT_ONCE);
  const rest = rows.length - rowsShown;
  field("table").caption.textContent = rest > 0 ? `The first ${number(rowsShown)} of ${number(rows.length)} rows`
    : rows.length ? `${number(rows.length)} ${rows.length === 1 ? "row" : "rows"}` : "No rows: no tag fits this question.";
  field("more").hidden = rest <= 0;
  field("more").textContent = `Show ${number(Math.min(rest, ROWS_AT_ONCE))} more of ${number(rest)}`;
}

async function downloadCsv() {
  const { state, question } = answered;
  field("csv").disabled = true;
  try {
    const response = await post("/explore", question, { headers: { accept: "text/csv" } });
    const url = URL.createObjectURL(await response.blob());
    el("a", { href: url, download: `allezon-${state.from.replaceAll(":", "")}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    note(field("error"), "");
  } catch (error) {
    note(field("error"), `No CSV: ${error.message}`);
  } finally {
    field("csv").disabled = false;
  }
}
