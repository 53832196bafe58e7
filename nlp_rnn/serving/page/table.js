// Predictions for the rows of a CSV file, with progress and download.
import { parseCsv, writeCsv } from "./csv.js";
import { cell, element, tableHead } from "./elements.js";
import { post } from "./service.js";
import { makeSlider, riskCoverage } from "./slider.js";

const CHUNK = 200; // texts of one request, if the service accepts that many
const SHOWN = 200; // rows in the page; the download has all
const TEXT_NAMES = ["text", "texts", "sentence", "review"];
const LABEL_NAMES = ["label", "labels", "class", "intent"];
const get = (id) => document.getElementById(id);

const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const predictedBy = (count, name) => `${counted(count, "text")} ${count === 1 ? "is" : "are"} predicted by ${name}.`;

// Return the end of the texts from `start` that one request can hold; it holds at least one.
function partEnd(texts, start, model) {
  const encoder = new TextEncoder();
  const last = Math.min(texts.length, start + Math.min(CHUNK, model.max_texts));
  let size = JSON.stringify({ texts: [] }).length;
  let end = start;
  for (; end < last; end += 1) {
    size += encoder.encode(JSON.stringify(texts[end])).length + 1;
    if (size > model.max_body && end > start) break;
  }
  return end;
}

export class Table {
  constructor(model) {
    this.model = model; // a function that returns a promise
    this.source = "";
    this.rows = [];
    this.predictions = [];
    this.threshold = 0;
    this.controller = null;
    const drop = get("drop");
    for (const name of ["dragover", "dragleave", "drop"]) {
      drop.addEventListener(name, (event) => {
        event.preventDefault();
        drop.classList.toggle("over", name === "dragover");
        if (name === "drop") this.readFile(event.dataTransfer.files[0]);
      });
    }
    get("file").addEventListener("change", (event) => this.readFile(event.target.files[0]));
    get("rows").addEventListener("input", (event) => this.read(event.target.value));
    get("format").addEventListener("change", () => this.read(this.source));
    get("start").addEventListener("click", () => this.predict());
    get("stop").addEventListener("click", () => this.controller?.abort());
    get("download").addEventListener("click", () => this.download());
  }

  async readFile(file) {
    if (!file) return;
    const text = new TextDecoder("utf-8", { fatal: true });
    try {
      this.read(text.decode(await file.arrayBuffer()));
    } catch (error) {
      this.say(error instanceof TypeError ? "The file is not UTF-8 text." : error.message);
    }
  }

  read(text) {
    this.controller?.abort();
    this.controller = null; // what it still does no longer concerns this page
    this.source = text;
    this.predictions = [];
    this.busy(false);
    this.show();
    try {
      this.split(text);
    } catch (error) {
      [this.columns, this.rows] = [undefined, []];
      this.say(error.message);
      get("table-options").hidden = true;
      return;
    }
    get("table-options").hidden = !this.rows.length;
    if (!this.rows.length) {
      this.say(text ? "The first row names the columns, and there is no other row yet. If it is a text, select another format." : "");
      return;
    }
    const options = (chosen) => this.columns.map((name, index) => element("option", { value: index, selected: index === chosen }, name || `column ${index + 1}`));
    const lower = this.columns.map((name) => name.toLowerCase());
    const length = (index) => this.rows.slice(0, 100).reduce((sum, row) => sum + (row[index]?.length ?? 0), 0);
    const named = TEXT_NAMES.map((name) => lower.indexOf(name)).find((index) => index >= 0);
    const longest = lower.reduce((best, _, index) => (length(index) > length(best) ? index : best), 0);
    const text_column = named ?? longest;
    get("column").replaceChildren(...options(text_column));
    const truth = lower.findIndex((name, index) => LABEL_NAMES.includes(name) && index !== text_column);
    get("truth").replaceChildren(element("option", { value: -1 }, "none"), ...options(truth));
    const names = this.columns.map((name) => `“${name}”`).join(", ");
    const isKnown = [...TEXT_NAMES, ...LABEL_NAMES].some((name) => lower.includes(name));
    const note = get("format").value === "named" && !isKnown ? ` The first row is not predicted: it names the columns ${names}. If it is a text, select another format.` : "";
    this.say(this.unequalRow() ?? `${counted(this.rows.length, "row")}. Press Predict.${note}`);
  }

  // Set the columns and the rows of a text in the selected format.
  split(text) {
    const format = get("format").value;
    if (format === "lines") {
      this.columns = ["text"];
      this.rows = text.replace(/^\uFEFF/, "").split(/\r\n|\r|\n/).filter((line) => line !== "").map((line) => [line]);
      return;
    }
    const rows = parseCsv(text);
    [this.columns, ...this.rows] = format === "named" || !rows.length ? rows
      : [rows[0].map((_, index) => `column ${index + 1}`), ...rows];
  }

  unequalRow() {
    const index = this.rows.findIndex((row) => row.length !== this.columns.length);
    if (index < 0) return null;
    const first = get("format").value === "named" ? 2 : 1;
    return `Row ${index + first} has ${counted(this.rows[index].length, "cell")}, and the first row has ${this.columns.length}. Put texts with commas in quotation marks, or select the format with one text per line.`;
  }

  async predict() {
    const { rows } = this;
    if (!rows.length) return;
    const column = Number(get("column").value);
    const truth = Number(get("truth").value);
    const unequal = this.unequalRow();
    if (unequal) {
      this.say(unequal);
      return;
    }
    this.predictions = [];
    this.threshold = 0;
    const controller = (this.controller = new AbortController());
    this.busy(true);
    this.progress(0);
    try {
      const model = await this.model();
      controller.signal.throwIfAborted();
      this.name = model.name;
      this.multi = model.task !== "single_label";
      const texts = rows.map((row) => row[column]);
      for (let start = 0, end = 0; start < rows.length; start = end) {
        end = partEnd(texts, start, model);
        const part = rows.slice(start, end);
        const { predictions } = await this.request(model, texts.slice(start, end), controller.signal);
        controller.signal.throwIfAborted();
        predictions.forEach((prediction, index) => {
          const known = truth >= 0 && !this.multi ? part[index][truth] === prediction.label : null;
          this.predictions.push({ ...prediction, right: known });
        });
        this.progress(this.predictions.length);
      }
      this.say(predictedBy(rows.length, this.name));
    } catch (error) {
      if (this.controller !== controller) return; // there are new rows, which it must not describe
      const count = this.predictions.length.toLocaleString("en");
      this.say(error.name === "AbortError" ? `Stopped after ${counted(this.predictions.length, "text")}.` : `${error.message} ${count} of ${rows.length.toLocaleString("en")} texts are predicted.`);
    }
    this.busy(false);
    this.addSlider(truth >= 0);
    this.show();
  }

  // A busy service says when to try again.
  async request(model, texts, signal) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await post("/predict", model.name, { texts }, signal);
      } catch (error) {
        if (error.status !== 503 || attempt === 5) throw error;
        await new Promise((resolve) => { setTimeout(resolve, 1000 * (error.retryAfter || 1)); });
        signal.throwIfAborted();
      }
    }
  }

  busy(is) {
    get("start").disabled = is;
    get("stop").disabled = !is;
    get("download").disabled = is || !this.predictions.length;
    get("progress-field").hidden = !is && !this.predictions.length;
  }

  progress(done) {
    const bar = get("progress");
    bar.max = this.rows.length;
    bar.value = done;
    get("progress-text").textContent = `${done.toLocaleString("en")} of ${this.rows.length.toLocaleString("en")}`;
  }

  say(message) {
    get("table-status").textContent = message;
  }

  addSlider(known) {
    get("table-slider").replaceChildren();
    if (this.multi || !this.predictions.length) return;
    const count = this.predictions.length.toLocaleString("en");
    get("table-slider").append(makeSlider(
      riskCoverage(this.predictions), count, `${this.predictions.length === 1 ? "text" : "texts"} of the file${known ? " with their labels" : ""}`,
      (threshold) => { this.threshold = threshold; this.show(); },
    ));
  }

  cells(prediction) {
    if (this.multi) return [prediction.labels.join(", "), prediction.scores.map((score) => score.toFixed(3)).join(", ")];
    return [prediction.score >= this.threshold ? prediction.label : "", prediction.score.toFixed(4)];
  }

  show() {
    const region = get("table");
    region.hidden = !this.predictions.length;
    if (!this.predictions.length) {
      region.replaceChildren();
      get("table-slider").replaceChildren();
      return;
    }
    const column = Number(get("column").value);
    const shown = this.predictions.slice(0, SHOWN);
    const body = shown.map((prediction, index) => {
      const [label, score] = this.cells(prediction);
      return element("tr", {}, element("td", { dir: "auto" }, this.rows[index][column]), cell(label), cell(score, true));
    });
    const note = this.predictions.length > SHOWN ? `The first ${SHOWN} of ${this.predictions.length.toLocaleString("en")} rows; the download has all.` : "";
    region.replaceChildren(element(
      "table", { class: "predictions" }, element("caption", {}, `Predictions of ${this.name}. `, note),
      tableHead(this.columns[column] || "text", this.multi ? "labels" : "label", this.multi ? "scores" : "score"), element("tbody", {}, ...body),
    ));
  }

  download() {
    const names = this.multi ? ["labels", "scores"] : ["label", "score"];
    const added = names.map((name) => (this.columns.includes(name) ? `predicted_${name}` : name));
    const rows = this.predictions.map((prediction, index) => {
      const cells = this.multi ? [JSON.stringify(prediction.labels), JSON.stringify(prediction.scores)] : this.cells(prediction);
      return [...this.rows[index], ...cells];
    });
    const blob = new Blob([writeCsv([[...this.columns, ...added], ...rows])], { type: "text/csv" });
    const link = element("a", { href: URL.createObjectURL(blob), download: "predictions.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
}

