// One graph: lines over time, limits, marks. Drawn as SVG; no library.

import { el, fill, svg } from "./dom.js";
import { minute, second } from "./words.js";

const HEIGHT = 104,
  TOP = 10,
  BOTTOM = 16,
  LEFT = 4,
  RIGHT = 4;
const SHAPES = { thin: "line thin", thick: "line thick", line: "line" };

// The least round number that is not below.
function round(value) {
  const size = 10 ** Math.floor(Math.log10(value));
  return size * [1, 2, 2.5, 5, 10].find((one) => one * size >= value * 0.9999);
}

function scale(spec, values) {
  if (spec.range) return spec.range(values);
  let top = Math.max(0, ...values);
  for (const limit of spec.limits || []) if (top > limit.at * 0.4) top = Math.max(top, limit.at * 1.1);
  return [0, top ? round(top) : spec.least || 1];
}

// `spec`: title, series [{name, of, shape}] or a function of the samples, limits, say, range.
export class Graph {
  constructor(spec) {
    this.spec = spec;
    this.at = null;
    this.value = el("div", { class: "value" });
    this.under = el("div", { class: "under" });
    this.drawing = svg("svg", { class: "graph", role: "img", tabindex: "0" });
    this.keys = el("ul", { class: "keys" });
    this.root = el(
      "section",
      { class: "card", "aria-label": spec.title },
      el("h3", {}, spec.title),
      this.value,
      this.under,
      this.drawing,
      this.keys,
    );
    this.drawing.addEventListener("pointermove", (event) => this.look(this.timeAt(event)));
    this.drawing.addEventListener("pointerleave", () => this.look(null));
    this.drawing.addEventListener("blur", () => this.look(null));
    this.drawing.addEventListener("keydown", (event) => this.step(event));
  }

  timeAt(event) {
    const box = this.drawing.getBoundingClientRect();
    return (
      this.begin + ((event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT)) * (this.end - this.begin)
    );
  }

  step(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") this.look(null);
    if (!way || !this.samples?.length) return;
    event.preventDefault();
    const now = this.at === null ? this.samples.length : this.samples.indexOf(this.nearest());
    this.look(this.samples[Math.min(Math.max(now + way, 0), this.samples.length - 1)].at);
  }

  look(at) {
    this.at = at;
    this.draw();
  }

  nearest() {
    let best = null;
    for (const one of this.samples)
      if (best === null || Math.abs(one.at - this.at) < Math.abs(best.at - this.at)) best = one;
    return best;
  }

  show(samples, begin, end, marks) {
    [this.samples, this.begin, this.end, this.marks] = [samples, begin, end, marks];
    this.draw();
  }

  draw() {
    const { spec, samples, begin, end } = this;
    if (!samples) return;
    const width = this.drawing.clientWidth || 320;
    const series = typeof spec.series === "function" ? spec.series(samples) : spec.series;
    const found = series.map((one) => samples.map((sample) => one.of(sample) ?? null));
    const values = found.flat().filter((one) => one !== null);
    const [low, top] = scale(spec, values);
    const x = (at) => LEFT + ((at - begin) / (end - begin)) * (width - LEFT - RIGHT);
    const y = (value) =>
      HEIGHT -
      BOTTOM -
      ((Math.min(Math.max(value, low), top) - low) / (top - low || 1)) * (HEIGHT - TOP - BOTTOM);
    const parts = [low, top].map((value) =>
      svg("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
    );
    for (const limit of spec.limits || []) {
      if (limit.at <= top && limit.at >= low)
        parts.push(
          svg(
            "line",
            {
              class: `limit ${limit.alert ? "alert" : ""}`,
              x1: LEFT,
              x2: width - RIGHT,
              y1: y(limit.at),
              y2: y(limit.at),
            },
            svg("title", {}, limit.text),
          ),
        );
    }
    found.forEach((line, number) => {
      const d = path(samples, line, x, y, Math.max(35000, (3 * (end - begin)) / 400));
      if (d)
        parts.push(svg("path", { class: `${SHAPES[series[number].shape || "line"]} s${number % 8}`, d }));
    });
    for (const mark of this.marks) {
      if (mark.at < begin || mark.at > end) continue;
      const where = x(mark.at);
      parts.push(
        svg(
          "g",
          {},
          svg("title", {}, `${second(mark.at)} ${mark.text}`),
          svg("line", { class: `mark ${mark.kind}`, x1: where, x2: where, y1: TOP - 4, y2: HEIGHT - BOTTOM }),
          svg("path", { class: `flag ${mark.kind}`, d: `M${where - 4} ${TOP - 8}h8l-4 6z` }),
        ),
      );
    }
    const text = (words, props) => svg("text", { class: "axis", ...props }, words);
    parts.push(
      text(spec.say(top), { x: LEFT, y: TOP - 1 }),
      text(minute(begin), { x: LEFT, y: HEIGHT - 4 }),
      text(minute(end), { x: width - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }),
    );
    if (!values.length)
      parts.push(text(spec.empty || "nothing yet", { x: width / 2, y: HEIGHT / 2, "text-anchor": "middle" }));
    const seen = this.at === null ? null : this.nearest();
    if (seen)
      parts.push(
        svg("line", { class: "cross", x1: x(seen.at), x2: x(seen.at), y1: TOP, y2: HEIGHT - BOTTOM }),
      );
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.drawing.setAttribute("preserveAspectRatio", "none");
    this.drawing.replaceChildren(...parts);
    this.tell(series, seen || samples[samples.length - 1], seen, values);
  }

  // What the lines are, and their figures now or where somebody points.
  tell(series, sample, pointed, values) {
    // Not pointed at: the newest figure there is, for in the last ten seconds nothing may have come.
    const newest = (of) =>
      this.samples.findLast((one) => (of(one) ?? null) !== null && one.at > this.end - 120000);
    const figure = (of) => {
      const from = pointed ? sample : newest(of);
      return from ? this.spec.say(of(from)) : "–";
    };
    const rows = series.map((one, number) => [one.name, figure(one.of), number, one.shape]);
    const when = pointed ? `at ${second(pointed.at)} Chicago` : "";
    fill(this.keys, [rows, when], () => [
      ...rows.map(([name, said, number, shape]) =>
        el(
          "li",
          {},
          svg(
            "svg",
            { viewBox: "0 0 22 8", "aria-hidden": "true" },
            svg("path", {
              class: `s${number % 8}`,
              d: "M0 4H22",
              "stroke-dasharray": shape === "thin" ? "3 3" : undefined,
            }),
          ),
          `${name} `,
          el("b", {}, said),
        ),
      ),
      when && el("li", {}, when),
    ]);
    const most = values.length ? `highest ${this.spec.say(Math.max(...values))}` : "no value yet";
    this.drawing.setAttribute(
      "aria-label",
      `${this.spec.title}, ${minute(this.begin)} to ${minute(this.end)} Chicago: ${most}; ${rows.map(([name, said]) => `${name} ${said}`).join(", ")}`,
    );
  }

  head(value, tone, under) {
    fill(this.value, [value, tone], () => el("span", { class: tone }, value));
    fill(this.under, under, () => under);
  }
}

// A line that is broken where nothing was told for long.
function path(samples, values, x, y, gap) {
  let d = "",
    before = null;
  values.forEach((value, number) => {
    if (value === null) return;
    const at = samples[number].at;
    d += `${before === null || at - before > gap ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    if (before === null) d += "h1.5"; // one alone is to be seen too
    before = at;
  });
  return d;
}
