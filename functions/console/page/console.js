// The console: which part is shown, and in which theme. Each part is a module that is told when it is shown and hidden.
import { redrawAll } from "./chart.js";
import { byId } from "./dom.js";
import * as explore from "./explore.js";
import * as functions from "./functions.js";
import * as letters from "./letters.js";
import * as now from "./now.js";
import * as shopper from "./shopper.js";

const views = { now, explore, shopper, functions, letters };
const titles = { now: "Now", explore: "Explore", shopper: "Shopper", functions: "Functions", letters: "Dead letters" };
let shown = null;

/** `#explore?from=...` is a part and what it is asked. */
function route() {
  const [, view, query] = /^#?([a-z]*)\??(.*)$/s.exec(location.hash);
  return { view: Object.hasOwn(views, view) ? view : "now", params: new URLSearchParams(query) };
}

function go() {
  const { view, params } = route();
  const link = document.querySelector(`nav a[data-view=${view}]`);
  // A part that is come back to is as it was left.
  if ([...params].length) link.href = location.hash;
  if (view !== shown) {
    if (shown) {
      views[shown].hide?.();
      byId(`view-${shown}`).hidden = true;
    }
    for (const each of document.querySelectorAll("nav a")) each.removeAttribute("aria-current");
    link.setAttribute("aria-current", "page");
    byId(`view-${view}`).hidden = false;
    document.title = `${titles[view]} · Allezon console`;
    if (shown) byId(`${view}-title`).focus();
    shown = view;
  }
  views[view].show(params);
}

function chooseTheme(event) {
  const chosen = event.target.value;
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
  try {
    if (chosen) localStorage.setItem("theme", chosen);
    else localStorage.removeItem("theme");
  } catch {
    // No storage: for this page only.
  }
  redrawAll();
}

byId("theme").value = document.documentElement.dataset.theme ?? "";
byId("theme").addEventListener("change", chooseTheme);
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
addEventListener("hashchange", go);
// A stream takes one of the few connections that a browser has to a host.
document.addEventListener("visibilitychange", () => (document.hidden ? views[shown].hide?.() : views[shown].show(route().params)));
go();
