// Dead letters: how many and why, a look at one, and sending them back.
import { ask, asker } from "./ask.js";
import { byId, dialog, el, moment, name, note, number } from "./dom.js";

const LISTED = 100;
const list = asker("letters", `/dead_letters?limit=${LISTED}`, showAnswer);

export const { show } = list;

export function hide() {
  list.hide();
  note(byId("letters-done"), "");
}

byId("letters-all").addEventListener("click", confirmAll);

function showAnswer(answer) {
  byId("letters-none").hidden = answer.letters > 0;
  byId("letters-answer").hidden = answer.letters === 0;
  byId("letters-all").disabled = !answer.not_sent_back;
  byId("letters-count").textContent = number(answer.letters);
  byId("letters-older").textContent = answer.older_not_counted ? "kept; older ones are not counted" : "kept";
  byId("letters-waiting").textContent = number(answer.not_sent_back);
  byId("letters-waiting-tile").classList.toggle("warn", answer.not_sent_back > 0);
  showReasons(answer);
  byId("letters-rows-caption").textContent = `The newest ${number(answer.newest.length)} of ${number(answer.letters)}`;
  byId("letters-rows").replaceChildren(...answer.newest.map(row));
}

/** Each refuser with all its letters, and the reasons among the newest. */
function showReasons({ refused_by: counts, newest, letters }) {
  const rows = [];
  for (const [who, count] of Object.entries(counts).sort((a, b) => b[1] - a[1])) {
    rows.push(el("tr", {}, el("th", { scope: "row" }, name(who)), el("td", { class: "quiet" }, "any reason"), el("td", { class: "n" }, number(count))));
    const reasons = new Map();
    for (const letter of newest) if (letter.refused_by === who) reasons.set(letter.reason, (reasons.get(letter.reason) ?? 0) + 1);
    for (const [reason, found] of [...reasons].sort((a, b) => b[1] - a[1])) {
      rows.push(el("tr", { class: "part" }, el("td"), el("td", { class: "text" }, why(reason)), el("td", { class: "n" }, number(found))));
    }
  }
  byId("letters-why").replaceChildren(...rows);
  byId("letters-why-caption").textContent = letters > newest.length ? `Reasons are those of the newest ${number(newest.length)}` : "All letters";
}

const why = (reason) => (reason === null || reason === undefined ? el("span", { class: "quiet" }, "not told") : name(reason));
const place = ({ partition, position }) => `partition ${partition}, position ${position}`;

function row(letter) {
  const button = (does, listener) => el("button", { type: "button", class: "small", onclick: listener, "aria-label": `${does} letter at ${place(letter)}` }, does);
  return el("tr", {}, el("td", { class: "keep" }, moment(letter.put_aside_ms)), el("td", { class: "text" }, name(letter.refused_by)),
    el("td", { class: "text" }, letter.code ? el("span", { class: "mark" }, name(letter.code)) : null, letter.code ? " " : null, why(letter.reason)),
    el("td", {}, name(letter.id)), el("td", { class: "do" }, button("Look", () => look(letter)), " ", button("Replay", () => confirmOne(letter))));
}

const NAMES = { partition: "Partition", position: "Position", put_aside_ms: "Put aside (UTC)", id: "Id", source: "Source", type: "Type", refused_by: "Refused by", code: "Status", reason: "Reason", data: "What it says" };

function look(letter) {
  const list = el("dl", { class: "facts" });
  for (const [key, value] of Object.entries(letter)) {
    const text = key === "put_aside_ms" ? moment(value) : typeof value === "object" && value ? JSON.stringify(value, null, 1) : value;
    list.append(el("dt", {}, NAMES[key] ?? key), el("dd", {}, text === null ? el("span", { class: "quiet" }, "not told") : name(text)));
  }
  const back = el("button", { type: "button", class: "go", onclick: () => confirmOne(letter) }, "Replay it");
  dialog({ title: "A dead letter", body: [list], actions: [back] });
}

function confirmOne(letter) {
  const said = el("p", {}, "The event at ", place(letter), ", refused by ", name(letter.refused_by), ", goes back to its topic now. If its cause is still there, it comes back here as a new letter.");
  const go = el("button", { type: "button", class: "go", onclick: () => replay(go, box, `partition=${letter.partition}&position=${letter.position}`) }, "Replay this letter");
  const box = dialog({ title: "Replay one letter?", body: [said], actions: [go], close: "Cancel" });
}

/** A dry run says first how many would go. */
async function confirmAll() {
  const said = el("p", {}, "Counting…");
  const go = el("button", { type: "button", class: "go", disabled: true, onclick: () => replay(go, box, "") }, "Replay all");
  const box = dialog({ title: "Replay all letters?", body: [said], actions: [go], close: "Cancel" });
  try {
    const dry = await (await ask("/replay?dry_run=true", { method: "POST" })).json();
    const left = dry.left ? ` ${number(dry.left)} more are left for the next time.` : "";
    said.textContent = `${letters(dry.sent)} will go back to their topic.${left} Those whose cause is still there come back here as new letters.`;
    go.textContent = `Replay ${letters(dry.sent)}`;
    go.disabled = dry.sent === 0;
  } catch (error) {
    said.textContent = "";
    box.error(error.message);
  }
}

const letters = (count) => `${number(count)} ${count === 1 ? "letter" : "letters"}`;

async function replay(button, box, query) {
  button.disabled = true;
  try {
    const { sent, passed_over: over, left } = await (await ask(`/replay${query ? `?${query}` : ""}`, { method: "POST" })).json();
    box.close();
    const parts = [`${letters(sent)} went back.`, over ? `${number(over)} too large for the topic stayed.` : "", left ? `${number(left)} are left.` : ""];
    await show();
    note(byId("letters-done"), parts.filter(Boolean).join(" "));
  } catch (error) {
    button.disabled = false;
    box.error(error.message);
  }
}
