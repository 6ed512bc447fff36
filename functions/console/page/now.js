// Now: what the functions do this second, and the newest minutes.
import { listen } from "./ask.js";
import { Chart } from "./chart.js";
import { byId, el, name, note, number } from "./dom.js";

const KEPT_S = 300;
const LEAST_DRAWN_S = 60;
const DRAWN_EACH_MS = 5000;
const MINUTES_DRAWN_EACH_MS = 1500;
const CHART_HEIGHT = 220;
const STALE_MS = 5000;
const SAYS = { wait: "connecting", live: "live", lost: "connection lost, trying again", bad: "no answer, trying again", paused: "paused", stale: "no news for some seconds" };

const seconds = new Map();
const minutes = new Map();
const chart = new Chart(byId("now-chart"));
const minutesChart = new Chart(byId("minutes-chart"));
let ends = [], paused = false, drawn = 0, staleTimer, minutesTimer;

function tell(id, state) {
  const place = byId(id);
  place.dataset.state = state;
  if (place.textContent !== SAYS[state]) place.textContent = SAYS[state];
}

export function show() {
  if (ends.length || paused) return;
  const toldNow = (state, message) => {
    tell("now-state", state);
    if (state !== "wait") note(byId("now-error"), message);
    if (state !== "live") clearTimeout(staleTimer);
  };
  const asked = byId("minutes-count").value;
  const toldMinutes = (state) => {
    tell("minutes-state", state);
    // The newest come at once, or there are none.
    if (state === "live") minutesTimer = setTimeout(showMinutes, MINUTES_DRAWN_EACH_MS);
  };
  ends = [listen("/console/now", { now: hearNow }, toldNow), listen(`/explore/live?minutes=${asked}`, { minute: hearMinute }, toldMinutes)];
  drawn = 0;
  drawRates();
}

export function hide() {
  ends.forEach((end) => end());
  ends = [];
  clearTimeout(staleTimer);
  clearTimeout(minutesTimer);
}

byId("now-pause").addEventListener("click", () => {
  paused = !paused;
  byId("now-pause").setAttribute("aria-pressed", paused);
  if (!paused) return show();
  hide();
  tell("now-state", "paused");
  tell("minutes-state", "paused");
});
byId("minutes-count").addEventListener("change", () => {
  showMinutes();
  if (paused) return;
  hide();
  show();
});

function hearNow(now) {
  clearTimeout(staleTimer);
  tell("now-state", "live");
  staleTimer = setTimeout(() => tell("now-state", "stale"), STALE_MS);
  const second = Math.round(now.at_ms / 1000);
  seconds.set(second, now.rates ?? {});
  for (const old of seconds.keys()) if (old <= second - KEPT_S) seconds.delete(old);
  const { tags, queries, refused, failed } = now.rates ?? {};
  const visible = Object.values(now.visibility_ms ?? {}).filter((ms) => ms !== null);
  byId("now-tags").textContent = rate(tags);
  byId("now-queries").textContent = rate(queries);
  byId("now-refused").textContent = rate(refused);
  byId("now-failed").textContent = rate(failed);
  byId("now-visibility").textContent = number(visible.length ? Math.max(...visible) : null);
  byId("now-refused-tile").classList.toggle("warn", refused > 0);
  byId("now-failed-tile").classList.toggle("bad", failed > 0);
  showWorkers(now);
  const problems = (now.problems ?? []).map((problem) => el("li", { class: "bad" }, name(problem)));
  byId("now-problems").replaceChildren(...(problems.length ? problems : [el("li", { class: "quiet" }, "None.")]));
  drawRates();
}

const rate = (value) => number(value, value < 10 ? 1 : 0);

function showWorkers({ lag, visibility_ms: visibility }) {
  const behind = new Map((lag ?? []).map(({ worker, events }) => [worker, events]));
  const workers = [...new Set([...behind.keys(), ...Object.keys(visibility ?? {})])].sort();
  const row = (worker) => el("tr", {}, el("th", { scope: "row" }, name(worker)),
    el("td", { class: "n" }, number(behind.get(worker))), el("td", { class: "n" }, number(visibility?.[worker])));
  const none = el("tr", {}, el("td", { colspan: 3, class: "quiet" }, "Nothing is known yet: no tag was accepted."));
  byId("now-workers").replaceChildren(...(workers.length ? workers.map(row) : [none]));
}

function drawRates() {
  if (seconds.size < 2 || Date.now() - drawn < DRAWN_EACH_MS) return;
  drawn = Date.now();
  const last = Math.max(...seconds.keys());
  const count = Math.min(KEPT_S, Math.max(LEAST_DRAWN_S, last - Math.min(...seconds.keys()) + 1));
  const each = Array.from({ length: count }, (_, n) => last - count + 1 + n);
  const values = (rate) => each.map((second) => seconds.get(second)?.[rate] ?? null);
  const tags = values("tags"), most = Math.max(0, ...tags);
  const labels = each.map((second) => new Date(second * 1000).toISOString().slice(11, 19));
  const spec = { kind: "line", title: "", height: CHART_HEIGHT, labels,
    series: [{ name: "tags", values: tags }, { name: "queries", values: values("queries") }] };
  chart.show(spec, `Line chart of tags and queries a second over the last five minutes; at most ${number(most)} tags a second.`);
}

function hearMinute(minute) {
  minutes.set(minute["1m_bucket"], minute);
  clearTimeout(minutesTimer);
  minutesTimer = setTimeout(showMinutes, minutes.size > 1 ? MINUTES_DRAWN_EACH_MS / 5 : 0);
}

function showMinutes() {
  const newest = [...minutes.keys()].sort().slice(-Number(byId("minutes-count").value));
  for (const minute of [...minutes.keys()].sort().slice(0, -60)) minutes.delete(minute);
  byId("minutes-empty").hidden = newest.length > 0;
  byId("minutes-found").hidden = newest.length === 0;
  if (!newest.length) return;
  const row = (minute) => {
    const { views, buys } = minutes.get(minute);
    return el("tr", {}, el("th", { scope: "row", class: "keep" }, el("span", { class: "day" }, `${minute.slice(0, 10)} `), minute.slice(11, 16)), el("td", { class: "n" }, number(views.count)),
      el("td", { class: "n" }, number(buys.count)), el("td", { class: "n" }, number(buys.sum_price)));
  };
  byId("minutes-rows").replaceChildren(...newest.toReversed().map(row));
  const values = (action) => newest.map((minute) => minutes.get(minute)[action].count);
  const sum = (action) => number(values(action).reduce((a, b) => a + b, 0));
  const spec = { kind: "bar", title: "", height: CHART_HEIGHT + 40, labels: newest.map((minute) => minute.slice(11, 16)),
    series: [{ name: "views", values: values("views") }, { name: "buys", values: values("buys") }] };
  minutesChart.show(spec, `Bar chart of the newest ${newest.length} minutes, ${sum("views")} views and ${sum("buys")} buys. The table has all values.`);
}
