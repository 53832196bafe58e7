// The requests of the service, from its OpenAPI description.
import { cell, element, tableHead } from "./elements.js";
import { startPage } from "./problems.js";
import { getDescription } from "./service.js";

const example = ({ components }) => {
  const token = components.securitySchemes ? ` -H "Authorization: Bearer $(cat token)"` : "";
  return `curl ${location.origin}/predict${token} -H 'Content-Type: application/json' -d '{"texts": ["a text"]}'`;
};
const STREAM = "A WebSocket for classifiers of one direction. Send {\"text\": \"…\"} as often as text arrives, and {\"finish\": true} at the end. Each message gets the predictions after its new tokens. Query parameters: classifier, threshold (stop at the first label with this probability), probabilities=true.";

function type(schema) {
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.map(type).join(" or ");
  if (schema.type === "array") return `list of ${type(schema.items ?? {})}`;
  return Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type ?? "any";
}

function fieldTable(caption, rows) {
  return element("table", {}, element("caption", {}, caption), tableHead("Name", "Type", "Meaning"),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((text) => cell(text))))));
}

function fields(schema) {
  const required = schema.required ?? [];
  return Object.entries(schema.properties ?? {}).map(([name, field]) => [
    `${name}${required.includes(name) ? "" : " (optional)"}`, type(field), field.description ?? "",
  ]);
}

function request(path, method, operation) {
  const schema = operation.requestBody?.content["application/json"]?.schema;
  const parameters = (operation.parameters ?? []).map((parameter) => [`${parameter.name} (optional)`, type(parameter.schema), parameter.description]);
  const all = schema ? (schema.oneOf ?? [schema]).flatMap(fields) : [];
  const body = [...new Map(all.map((row) => [row[0], row])).values()];
  const responses = Object.entries(operation.responses).map(([status, { description }]) => element("tr", {}, cell(status), cell(description)));
  return element("section", {},
    element("h2", {}, element("code", {}, `${method.toUpperCase()} ${path}`)),
    element("p", {}, operation.summary, ". ", operation.description ?? ""),
    ...(parameters.length ? [fieldTable("Query parameters", parameters)] : []),
    ...(body.length ? [fieldTable("Fields of the JSON body", body)] : []),
    element("details", {}, element("summary", {}, "Responses"), element("table", {}, tableHead("Status", "Meaning"), element("tbody", {}, ...responses))));
}

async function start() {
  const description = await getDescription();
  const sections = Object.entries(description.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => request(path, method, operation)));
  if (description.components.securitySchemes) { // a link would send no token
    const file = new Blob([JSON.stringify(description, null, 2)], { type: "application/json" });
    const link = document.querySelector("nav a[href='/openapi.json']");
    link?.setAttribute("download", "openapi.json");
    link?.setAttribute("href", URL.createObjectURL(file));
  }
  document.getElementById("main").replaceChildren(
    element("p", {}, "For example:"), element("pre", { class: "card" }, example(description)), ...sections,
    element("section", {}, element("h2", {}, element("code", {}, "WebSocket /stream")), element("p", {}, STREAM)),
  );
}

startPage(start);
