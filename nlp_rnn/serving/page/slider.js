// Threshold with the share of the texts that get a label, and how many of these labels are right.
import { element, percent } from "./elements.js";

let count = 0;

// rows: [threshold, coverage, accuracy or null], thresholds in steps of 0.01 from 0
export function makeSlider(rows, texts, source, changed) {
  const id = `threshold-${(count += 1)}`;
  const output = element("output", { for: id });
  const input = element("input", {
    id, type: "range", min: "0", max: String(rows.length - 1), value: "0", step: "1",
  });
  const show = () => {
    const [threshold, coverage, accuracy] = rows[Number(input.value)];
    const right = accuracy === null ? "" : `, of which ${percent(accuracy)} are right`;
    const label = coverage === 0 ? "No text" : `${percent(coverage)} of the texts`;
    output.textContent = `${label} would get a label${right} (${texts} ${source}).`;
    input.setAttribute("aria-valuetext", `${threshold.toFixed(2)}: ${output.textContent}`);
    name.textContent = `Threshold: ${threshold ? threshold.toFixed(2) : "none"}`;
    changed(threshold);
  };
  const name = element("label", { for: id });
  input.addEventListener("input", show);
  const node = element("div", { class: "slider" }, name, input, output);
  show();
  return node;
}

// The table of the service, for predictions whose true labels are known or not (null).
export function riskCoverage(predictions) {
  const rows = [];
  for (let step = 0; step < 100; step += 1) {
    const threshold = step / 100;
    const covered = predictions.filter(({ score }) => score >= threshold);
    const known = covered.filter(({ right }) => right !== null);
    const accuracy = known.length ? known.filter(({ right }) => right).length / known.length : null;
    rows.push([threshold, predictions.length ? covered.length / predictions.length : 0, accuracy]);
  }
  return rows;
}
