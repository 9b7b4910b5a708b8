/**
 * The reckoning: the handler's own log of what it executed, held against the journal of what was recorded, and the ledger of what was paid.
 */
import { existsSync, readFileSync } from "node:fs";
import { isLost } from "./journal.mjs";

/** The objects of a file with one JSON a line. */
export function jsonLines(file) {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** The table's heading. */
export const HEADING = ["entry", "kind", "body executed", "results recorded", "outcome", "failed attempts"];

/** One row for each entry of a journal. `executions` are the lines of the handler's log for this order. */
export function rows(journal, executions) {
  const ids = [...new Set([...journal.entries.filter(isWork).map((entry) => entry.id), ...executions.map((line) => line.step)])];
  return ids.map((id) => {
    const entries = journal.entries.filter((entry) => entry.id === id);
    const ran = executions.filter((line) => line.step === id);
    const pids = new Set(ran.map((line) => line.pid));
    const executed = entries[0]?.op !== "step" ? "-" : `${ran.length} x${pids.size > 1 ? `, in ${pids.size} processes` : ""}`;
    return [id, entries[0]?.op ?? "?", executed, String(recorded(journal, id)), outcome(entries[0]), failures(entries[0])];
  });
}

/** Why invocations of a run got no answer. */
export function lost(journal) {
  return journal.attempts.filter(isLost).map((attempt) => attempt.error);
}

/** How many results the journal has for an id. */
export function recorded(journal, id) {
  return journal.entries.filter((entry) => entry.id === id && entry.status === "settled").length;
}

/** Whether an entry is something that the handler asked for, and not the run's own input or outcome. */
export function isWork(entry) {
  return entry.op !== "input" && entry.op !== "outcome";
}

function outcome(entry) {
  if (entry?.status !== "settled") return "open";
  const text = entry.timeout ? "timed out" : entry.err !== undefined ? `${entry.err.name}: ${entry.err.message}` : JSON.stringify(entry.ok?.id ?? entry.ok);
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

function failures(entry) {
  const errors = (entry?.attempts ?? []).map((attempt) => attempt.error.name);
  return [...new Set(errors)].map((name) => `${errors.filter((one) => one === name).length} x ${name}`).join(", ") || "-";
}
