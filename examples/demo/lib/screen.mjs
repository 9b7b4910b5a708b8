/**
 * What the demo's terminal looks like: one line for each thing that happens, with the seconds since the start and who it happened to, and
 * tables. Colour only on a terminal, and not where NO_COLOR is set.
 */

const colour = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code) => (text) => (colour ? `\u001b[${code}m${text}\u001b[0m` : String(text));

export const dim = paint(2);
export const bold = paint(1);
export const red = paint("1;31");
export const green = paint(32);

const TAGS = { SERVER: paint(36), HANDLER: paint(33), CLIENT: paint(34), DEMO: paint(35) };
const begun = performance.now();

/** Seconds since the demo began. */
export function seconds() {
  return (performance.now() - begun) / 1000;
}

/** Prints what happened to `tag`, one of SERVER, HANDLER, CLIENT, DEMO. */
export function say(tag, text) {
  const at = dim(`${seconds().toFixed(2).padStart(6)} s`);
  for (const line of String(text).split("\n")) console.log(`${at}  ${TAGS[tag](tag.padEnd(7))}  ${line}`);
}

/** Prints what the next lines are about. */
export function chapter(title) {
  console.log(`\n${bold(title)}`);
}

/** Prints rows of texts under a heading, in columns as wide as they need. */
export function table(heading, rows) {
  const widths = heading.map((title, column) => Math.max(...[title, ...rows.map((row) => row[column])].map((text) => String(text).length)));
  const line = (cells) => `  ${cells.map((cell, column) => String(cell).padEnd(widths[column])).join("  ").trimEnd()}`;
  console.log(dim(line(heading)));
  console.log(dim(line(widths.map((width) => "─".repeat(width)))));
  for (const row of rows) console.log(line(row));
}
