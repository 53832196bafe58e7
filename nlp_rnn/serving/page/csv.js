// CSV: parsed and written with quotes, as in RFC 4180.

// Return rows of cells. The delimiter is the one of , ; and tab that the first line has most of.
export function parseCsv(text) {
  const source = text.replace(/^\uFEFF/, "");
  const first = source.slice(0, source.search(/[\r\n]|$/)).replace(/"[^"]*"/g, "");
  const counts = [",", ";", "\t"].map((mark) => [mark, first.split(mark).length]);
  const delimiter = counts.sort((a, b) => b[1] - a[1])[0][0];
  const rows = [];
  let row = [];
  let cell = "";
  let quoted = false;
  const endRow = () => {
    row.push(cell);
    if (row.length > 1 || cell !== "") rows.push(row);
    row = [];
    cell = "";
  };
  for (let index = 0; index < source.length; index += 1) {
    const mark = source[index];
    if (quoted) {
      if (mark !== '"') cell += mark;
      else if (source[index + 1] === '"') {
        cell += '"';
        index += 1;
      } else quoted = false;
    } else if (mark === '"' && cell === "") quoted = true;
    else if (mark === delimiter) {
      row.push(cell);
      cell = "";
    } else if (mark === "\n" || mark === "\r") {
      if (mark === "\r" && source[index + 1] === "\n") index += 1;
      endRow();
    } else cell += mark;
  }
  if (cell !== "" || row.length) endRow();
  if (quoted) throw new Error("A quotation mark in the CSV is not closed.");
  return rows;
}

const written = (cell) => (/[",;\t\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

export function writeCsv(rows) {
  return rows.map((row) => `${row.map((cell) => written(String(cell))).join(",")}\r\n`).join("");
}
