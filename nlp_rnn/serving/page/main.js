// The page: a text, one or two classifiers that predict it while it is typed, and a CSV file.
import { element } from "./elements.js";
import { failed, problem, startPage } from "./problems.js";
import { getModel } from "./service.js";
import { Table } from "./table.js";
import { View } from "./view.js";

const PREDICT_AFTER = 60; // milliseconds after the last key
const EXPLAIN_AFTER = 350;
const ANNOUNCE_AFTER = 900;
const get = (id) => document.getElementById(id);

let views = [];
let controller = null;
let timers = [];

function text() {
  const first = get("text").value;
  return get("pair").hidden ? first : [first, get("text2").value];
}

function isEmpty() {
  return get("text").value === "" && (get("pair").hidden || get("text2").value === "");
}

// Predict soon, explain when the typing pauses, and drop the responses to former texts.
function update() {
  controller?.abort();
  controller = new AbortController();
  const { signal } = controller;
  timers.forEach(clearTimeout);
  if (isEmpty()) {
    views.forEach((view) => view.clear());
    get("announcement").textContent = "";
    timers = [];
    return;
  }
  const value = text();
  const run = (action) => Promise.all(views.map(action)).then(
    (results) => { problem(null); return results; },
    (error) => { if (error.name !== "AbortError") failed(error); return []; },
  );
  let summaries = [];
  timers = [
    setTimeout(async () => { summaries = await run((view) => view.predict(value, signal)); }, PREDICT_AFTER),
    setTimeout(() => run((view) => view.explain(value, signal)), EXPLAIN_AFTER),
    setTimeout(() => { get("announcement").textContent = summaries.join(". "); }, ANNOUNCE_AFTER),
  ];
}

function about(model) {
  const { architecture: sizes } = model;
  const network = sizes === null ? "none; linear models on n-grams" : sizes.cell === "average"
    ? "average of embeddings"
    : `${sizes.bidirectional ? "bidirectional " : ""}${sizes.cell.toUpperCase()}, ${sizes.num_layers} × ${sizes.hidden_size} units`;
  const facts = {
    Name: model.name,
    Network: network,
    Parameters: model.num_parameters.toLocaleString("en"),
    Labels: `${model.labels.length}${model.task === "multi_label" ? ", any number per text" : ", one per text"}`,
    "Tokens read": model.max_length ?? "all",
    ...(model.version ? { Version: model.version } : {}),
    Checksum: model.checksum.slice(0, 12),
  };
  get("about").replaceChildren(...Object.entries(facts).flatMap(([name, fact]) => [element("dt", {}, name), element("dd", {}, String(fact))]));
  get("card").textContent = model.model_card || "This classifier has no model card.";
}

async function choose() {
  const names = [get("first").value, get("second").value].filter(Boolean);
  const models = await Promise.all(names.map(getModel));
  views = models.map((model) => new View(model));
  for (const view of views) view.onexplain = () => { if (view.details.open) update(); };
  get("views").replaceChildren(...views.map((view) => view.node));
  get("pair").hidden = !models.some((model) => model.separator);
  about(models[0]);
  update();
}

async function start() {
  const { classifiers: names } = await getModel(null);
  const option = (name) => element("option", { value: name }, name);
  for (const id of ["first", "table-classifier"]) get(id).replaceChildren(...names.map(option));
  get("second").replaceChildren(element("option", { value: "" }, "none"), ...names.map(option));
  get("second-field").hidden = get("table-classifier-field").hidden = names.length < 2;
  if (names.length > 1) get("second").value = names[1];
  await choose();
}

get("text").addEventListener("input", update);
get("text2").addEventListener("input", update);
for (const id of ["first", "second"]) {
  get(id).addEventListener("change", () => choose().then(() => problem(null), failed));
}
new Table(() => getModel(get("table-classifier").value));
startPage(start);
