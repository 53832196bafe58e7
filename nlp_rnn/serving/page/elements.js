// Elements without markup: every text becomes a text node, never HTML.

export function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

export const percent = (share) => `${(100 * share).toFixed(1)} %`;

export const cell = (text, number = false) => element("td", number ? { class: "number" } : {}, text);

export function tableHead(...names) {
  const heads = names.map((name) => element("th", { scope: "col" }, name));
  return element("thead", {}, element("tr", {}, ...heads));
}

// A colour from a custom property of the style sheet, with a strength from 0 to 1.
export function colour(node, property, strength) {
  node.style.backgroundColor = `rgba(var(${property}), ${Math.max(0, Math.min(1, strength)).toFixed(3)})`;
}
