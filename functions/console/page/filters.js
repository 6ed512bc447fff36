// The filters of a question: rows of a column, a mode and values, each value a chip of its own, so that any text can be one.
import { byId, el, name, plain } from "./dom.js";
import { COLUMNS, MODES } from "./question.js";

const SUGGESTED = 200;
const LONGEST_SUGGESTED = 100;
const place = byId("explore-filters");
let rowsMade = 0;

const option = ([value, text]) => el("option", { value }, text);

/** Shows these filters. */
export function fill(filters) {
  place.replaceChildren(...filters.map(row));
}

/** An empty row, ready to be typed in. */
export function add() {
  const taken = new Set([...place.querySelectorAll("[data-column]")].map((select) => select.value));
  const column = Object.keys(COLUMNS).find((name) => !taken.has(name)) ?? "origin";
  const made = row({ column, mode: "in", values: [] });
  place.append(made);
  made.querySelector("select").focus();
}

/** The filters as they stand; what is typed and not added yet is added. */
export function read() {
  return [...place.children].map((each) => {
    each.addTyped();
    return { column: each.querySelector("[data-column]").value, mode: each.querySelector("[data-mode]").value, values: [...each.values] };
  });
}

/** Names that answers had are suggested. */
export function suggest(column, names) {
  const list = byId(`values-${column}`);
  const known = new Set([...list.children].map((option) => option.value));
  for (const each of names) {
    if (list.children.length >= SUGGESTED) return;
    if (each && each.length <= LONGEST_SUGGESTED && !known.has(each)) list.append(el("option", { value: each }));
    known.add(each);
  }
}

function row({ column, mode, values }) {
  const id = ++rowsMade;
  const made = el("div", { class: "filter", role: "group", "aria-label": `Filter ${id}` });
  made.values = [];
  const chips = el("span", { class: "chips" });
  const typed = el("input", { "data-value": true, "aria-label": "Value", list: `values-${column}`, spellcheck: "false", autocapitalize: "off", placeholder: "value and Enter" });
  const columns = el("select", { "data-column": true, "aria-label": "Column", onchange: () => typed.setAttribute("list", `values-${columns.value}`) }, ...Object.entries(COLUMNS).map(option));
  const modes = el("select", { "data-mode": true, "aria-label": "How" }, ...Object.entries(MODES).map(option));
  columns.value = column;
  modes.value = mode;
  const addValue = (value) => {
    if (made.values.includes(value)) return;
    made.values.push(value);
    const chip = el("span", { class: "chip" }, name(value));
    const gone = () => {
      made.values.splice(made.values.indexOf(value), 1);
      chip.remove();
      typed.focus();
    };
    chip.append(el("button", { type: "button", class: "x", "aria-label": `Remove ${plain(value)}`, onclick: gone }, "×"));
    chips.append(chip);
  };
  made.addTyped = () => {
    if (typed.value !== "") addValue(typed.value);
    typed.value = "";
  };
  typed.addEventListener("keydown", (event) => {
    // Enter in an empty field asks the question, as anywhere in the form.
    if (event.key !== "Enter" || typed.value === "" || event.isComposing) return;
    event.preventDefault();
    made.addTyped();
  });
  const remove = () => {
    made.remove();
    byId("explore-add").focus();
  };
  values.forEach(addValue);
  made.append(columns, modes, chips, typed,
    el("button", { type: "button", class: "small", onclick: () => { made.addTyped(); typed.focus(); } }, "Add"),
    el("button", { type: "button", class: "small", onclick: () => addValue("") }, "Add (empty)"),
    el("button", { type: "button", class: "small", onclick: remove, "aria-label": "Remove this filter" }, "Remove"));
  return made;
}
