// Charts: drawn by the console function, shown as pictures, drawn again when the theme or the width changes.
import { ask } from "./ask.js";
import { el } from "./dom.js";

const NARROWEST = 320, WIDEST = 2000;
const SETTLED_MS = 150;

const dark = matchMedia("(prefers-color-scheme: dark)");
const charts = new Set();

/** `light` or `dark`, as it is seen. */
export const themeSeen = () => document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");

/** Draws all charts again: the theme has changed. */
export const redrawAll = () => charts.forEach((chart) => chart.draw());
dark.addEventListener("change", redrawAll);

/** The place of one chart. */
export class Chart {
  #place; #spec = null; #asking = null; #image = null; #drawnWidth = 0; #timer;

  constructor(place) {
    this.#place = place;
    place.classList.add("chart");
    charts.add(this);
    new ResizeObserver(() => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#width() !== this.#drawnWidth && this.draw(), SETTLED_MS);
    }).observe(place);
  }

  /** Shows this: what `POST /console/chart` takes without theme and width, and the alternative text. */
  show(spec, alternative) {
    this.#spec = { spec, alternative };
    return this.draw();
  }

  clear() {
    this.#asking?.abort();
    this.#spec = null;
    this.#image?.remove();
    this.#image = null;
  }

  #width() {
    return Math.max(NARROWEST, Math.min(WIDEST, Math.round(this.#place.clientWidth)));
  }

  async draw() {
    if (!this.#spec || !this.#place.clientWidth) return;
    const { spec, alternative } = this.#spec;
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    this.#drawnWidth = this.#width();
    const body = JSON.stringify({ ...spec, theme: themeSeen(), width: this.#drawnWidth });
    try {
      const headers = { "content-type": "application/json" };
      const response = await ask("/console/chart", { method: "POST", body, headers, signal: asking.signal });
      const url = URL.createObjectURL(new Blob([await response.text()], { type: "image/svg+xml" }));
      const image = el("img", { src: url, alt: alternative, width: this.#drawnWidth, height: spec.height });
      await image.decode().finally(() => URL.revokeObjectURL(url));
      if (asking.signal.aborted) return;
      this.#place.replaceChildren(image);
      this.#image = image;
    } catch (error) {
      if (error.name === "AbortError" || asking.signal.aborted) return;
      this.#image = null;
      this.#place.replaceChildren(el("p", { class: "quiet" }, `No chart: ${error.message}`));
    }
  }
}
