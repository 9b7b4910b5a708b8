/**
 * The handler's own log of what it executed, one JSON line a body that began. It is on the disk before the body goes on, so it
 * tells the truth about a process that was killed, and can be held against the server's journal.
 */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";

/** A line of the log: one execution of one step's body. */
export interface Execution {
  order: string;
  step: string;
  attempt: number;
  at: string;
  pid: number;
}

/** Notes that a body begins. Does nothing unless `STEP_LOG` names a file. */
export function note(order: string, step: string, attempt: number): void {
  const file = process.env.STEP_LOG;
  const line: Execution = { order, step, attempt, at: new Date().toISOString(), pid: process.pid };
  if (file !== undefined) appendLine(file, line);
}

/** Appends a line and waits until the disk has it. */
export function appendLine(file: string, value: object): void {
  const fd = openSync(file, "a");
  try {
    writeSync(fd, `${JSON.stringify(value)}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
