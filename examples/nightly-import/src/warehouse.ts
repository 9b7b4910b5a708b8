/** A stand-in for files and a warehouse. What happened is kept as lines of JSON in the file that `LEDGER` names. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/** A file that cannot be read as it is. */
export class BadFile extends Error {}

const ledger = (): string => process.env.LEDGER ?? "ledger.jsonl";

/** Everything that happened. */
export function history(): Record<string, unknown>[] {
  const lines = existsSync(ledger()) ? readFileSync(ledger(), "utf8").split("\n") : [];
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Record<string, unknown>);
}

function note(what: Record<string, unknown>): void {
  appendFileSync(ledger(), `${JSON.stringify(what)}\n`);
}

/** Reads the rows of a file, from a row on, and says how far it is. Files with `bad` in their name are mended first. */
export async function readRows(name: string, from: number, heartbeat: (row: number) => void, signal: AbortSignal): Promise<number> {
  if (name.includes("bad") && !history().some((line) => line.mended === name)) throw new BadFile(`${name} has a torn line`);
  for (let row = from; row < 100; row += 25) {
    await pause(Number(process.env.BATCH_MS ?? 200), undefined, { signal });
    heartbeat(row + 25);
  }
  note({ read: name, from });
  return 100;
}

/** Mends a file. */
export function mend(name: string): void {
  note({ mended: name });
}

/** Renames a table. */
export function rename(from: string, to: string): string {
  note({ renamed: from, to });
  return to;
}

/** Tells whoever is on duty. */
export function tell(text: string): string {
  console.log(text);
  note({ told: text });
  return text;
}

/** What was sold on a day. That of 2026-02-14 cannot be counted until somebody has mended it. */
export function countSales(day: string): number {
  if (day === "2026-02-14" && !history().some((line) => line.mended === day)) throw new BadFile(`the sales of ${day} have a torn line`);
  return 100 + Number(day.slice(-2));
}

/** Keeps the totals of a day, in the place of those that it had. */
export function keepTotals(day: string, sold: number): number {
  note({ totals: day, sold });
  return sold;
}
