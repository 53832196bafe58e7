// What one classifier predicts for the text: labels, contributions of tokens, gates, prefixes.
import { cell, colour, element, percent, tableHead } from "./elements.js";
import { getRiskCoverage, post } from "./service.js";
import { makeSlider } from "./slider.js";

const FEW = 8;

export class View {
  constructor(model) {
    this.model = model;
    this.threshold = 0;
    this.all = false;
    this.prediction = null;
    this.explanation = null;
    this.explained = null; // the label whose contributions are shown, or the most probable one
    this.best = element("p", { class: "best" });
    this.labels = element("div");
    this.slider = element("div");
    this.why = element("div");
    this.gates = element("div");
    this.prefixes = element("div");
    this.details = element(
      "details", { open: true, hidden: true, ontoggle: () => this.onexplain() },
      element("summary", {}, "Why: tokens and gates"), this.why, this.prefixes, this.gates,
    );
    this.onexplain = () => {};
    const id = `view-${model.name}`;
    this.node = element(
      "section", { class: "view", "aria-labelledby": id },
      element("h2", { id }, model.name), this.best, this.slider, this.labels, this.details,
    );
    if (model.task === "single_label") this.addSlider();
  }

  async addSlider() {
    try {
      const { rows, texts } = await getRiskCoverage(this.model.name);
      if (!rows) return;
      this.slider.replaceChildren(makeSlider(rows, texts, "validation texts", (threshold) => {
        this.threshold = threshold;
        this.showLabels();
      }));
    } catch {
      // without the table there is no slider
    }
  }

  async predict(text, signal) {
    const value = { texts: [text], probabilities: true };
    const { predictions } = await post("/predict", this.model.name, value, signal);
    this.prediction = predictions[0];
    this.details.hidden = false;
    this.showLabels();
    return this.summary();
  }

  async explain(text, signal) {
    if (!this.details.open) return;
    this.explanation = await post("/explain", this.model.name, { text }, signal);
    this.showExplanation();
  }

  clear() {
    this.prediction = this.explanation = null;
    this.details.hidden = true;
    for (const node of [this.best, this.labels, this.why, this.gates, this.prefixes]) node.replaceChildren();
  }

  chosen() {
    const { label, score, labels } = this.prediction;
    if (labels) return labels.length ? labels.join(", ") : "no label";
    return score >= this.threshold ? label : "no label";
  }

  summary() {
    const { score, labels } = this.prediction;
    return `${this.model.name}: ${this.chosen()}${labels ? "" : `, ${percent(score)}`}`;
  }

  showLabels() {
    if (!this.prediction) return;
    const { score, labels, probabilities } = this.prediction;
    this.best.replaceChildren(element("strong", {}, this.chosen()), " ");
    if (!labels) this.best.append(element("span", { class: "share" }, percent(score)));
    const sorted = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
    const shown = this.all ? sorted : sorted.slice(0, FEW);
    const explained = this.explanation?.labels ?? [];
    const rows = shown.map(([label, probability]) => {
      const bar = element("span", { class: "bar" });
      const track = element("span", { class: "track", "aria-hidden": "true" }, bar);
      bar.style.width = `${100 * probability}%`;
      const name = explained.includes(label)
        ? element("button", {
          type: "button", class: "label-button", title: "Show its contributions",
          "aria-pressed": String(label === this.current()), onclick: () => this.select(label),
        }, label)
        : label;
      const rejected = labels ? !labels.includes(label) : probability < this.threshold;
      return element(
        "tr", rejected ? { class: "rejected" } : {},
        element("th", { scope: "row", dir: "auto" }, name, track),
        cell(percent(probability), true),
      );
    });
    const focused = document.activeElement?.closest(".label-button")?.textContent;
    const table = element(
      "table", { class: "labels" },
      element("caption", { class: "visually-hidden" }, `Probabilities by ${this.model.name}`),
      element("tbody", {}, ...rows),
    );
    this.labels.replaceChildren(table);
    if (sorted.length > FEW) {
      this.labels.append(element("button", { type: "button", onclick: () => { this.all = !this.all; this.showLabels(); } },
        this.all ? "Show fewer labels" : `Show all ${sorted.length} labels`));
    }
    if (focused) {
      [...this.labels.querySelectorAll(".label-button")].find((node) => node.textContent === focused)?.focus();
    }
  }

  current() {
    const labels = this.explanation?.labels ?? [];
    return labels.includes(this.explained) ? this.explained : labels[0];
  }

  select(label) {
    this.explained = label;
    this.showLabels();
    this.showExplanation();
  }

  showExplanation() {
    if (!this.explanation) return;
    this.showLabels();
    this.showContributions();
    this.showPrefixes();
    this.showGates();
  }

  showContributions() {
    const { labels, parts, tokens_cut: cut } = this.explanation;
    const label = this.current();
    const index = labels.indexOf(label);
    const largest = Math.max(0.5, ...parts.map(({ values }) => (values ? Math.abs(values[index]) : 0)));
    const text = element("p", { class: "explained", dir: "auto", tabindex: "0", role: "region", "aria-label": "Text with contributions" });
    for (const { text: part, values } of parts) {
      if (!values) {
        text.append(part);
        continue;
      }
      const value = values[index];
      const span = element("span", { title: signed(value) }, part);
      colour(span, value > 0 ? "--for" : "--against", (0.75 * Math.abs(value)) / largest);
      text.append(span);
    }
    const strongest = parts.filter(({ values }) => values)
      .map(({ text: part, values }) => [part, values[index]])
      .sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 10);
    const rows = strongest.map(([part, value]) => element("tr", {}, element("th", { scope: "row", dir: "auto" }, part), cell(signed(value), true)));
    const swatches = [["--for", "for the label"], ["--against", "against it"]].map(([property, meaning]) => {
      const swatch = element("span", { class: "swatch" });
      colour(swatch, property, 0.75);
      return element("span", {}, swatch, meaning);
    });
    this.why.replaceChildren(
      element("h3", {}, "Contributions to ", element("em", { dir: "auto" }, label)), text,
      element("p", { class: "key" }, ...swatches),
      ...(cut > 0 ? [element("p", {}, `The last ${cut} tokens are beyond the length that the classifier reads.`)] : []),
      element("details", {}, element("summary", {}, "Strongest tokens as a table"),
        element("table", {}, element("caption", {}, "Change of the log-odds of the label by the token: the prediction with it compared with the one without it."),
          tableHead("Token", "Contribution"), element("tbody", {}, ...rows))),
    );
  }

  showPrefixes() {
    const { labels, prefixes, tokens } = this.explanation;
    if (!prefixes) {
      this.prefixes.replaceChildren();
      return;
    }
    const index = labels.indexOf(this.current());
    this.prefixes.replaceChildren(
      element("h3", {}, "Probability after each token"),
      heatTable(tokens, [[this.current(), prefixes.map((row) => row[index])]], "Probability of the label if the text ended at the token"),
    );
  }

  showGates() {
    const { layers, tokens } = this.explanation;
    const tables = layers.filter(({ gates }) => Object.keys(gates).length).map(({ name, gates, half_life: half }) => element(
      "div", {},
      heatTable(tokens, Object.entries(gates),
        `${name}: mean of each gate over the units, 0 is closed and 1 is open${half === null ? "" : `. Half of the content of the median unit is lost after ${half} tokens`}`),
    ));
    this.gates.replaceChildren(...(tables.length ? [element("h3", {}, "Gates"), ...tables] : []));
  }
}

const signed = (value) => `${value > 0 ? "+" : ""}${value.toFixed(2)}`;

function heatTable(tokens, rows, caption) {
  const heads = tokens.map((token) => element("th", { scope: "col", dir: "auto" }, token || "∅"));
  const body = rows.map(([name, values]) => element(
    "tr", {}, element("th", { scope: "row" }, name),
    ...values.map((value) => {
      const td = element("td", { class: "gate" }, value.toFixed(2));
      colour(td, "--gate", 0.6 * value);
      return td;
    }),
  ));
  return element("div", {}, element("p", { class: "key" }, caption),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      element("table", { class: "gates" }, element("thead", {}, element("tr", {}, element("td"), ...heads)), element("tbody", {}, ...body))));
}
