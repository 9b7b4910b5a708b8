/** Groups failed runs by what went wrong: the same error of the same function is one thing to look at, whatever ids its message holds. */
import type { Run } from "../api/types.ts";

export interface FailureGroup {
  id: string;
  app: string;
  function: string;
  name: string;
  message: string;
  count: number;
  first: string;
  last: string;
  /** The newest run of the group. */
  run: string | null;
}

/** What varies in messages of the same kind: ids, numbers, quoted values. */
export function shapeOf(message: string): string {
  return message
    .replace(/\b(run|evt|dep|sch|inv)_[0-9A-Za-z]+/g, "<id>")
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, "<id>")
    .replace(/\b[0-9a-f]{16,}\b/gi, "<id>")
    .replace(/\d+/g, "<n>")
    .slice(0, 300);
}

/** The groups, the largest first. */
export function grouped(runs: readonly Run[]): FailureGroup[] {
  const groups = new Map<string, FailureGroup>();
  for (const run of runs) {
    const name = run.err?.name ?? "Error";
    const message = run.err?.message ?? "";
    const id = [run.app, run.function, name, shapeOf(message)].join("\n");
    const at = run.endedAt ?? run.createdAt;
    const group = groups.get(id);
    if (!group) groups.set(id, { id, app: run.app, function: run.function, name, message, count: 1, first: at, last: at, run: run.id });
    else {
      group.count += 1;
      if (at < group.first) group.first = at;
      if (at > group.last) Object.assign(group, { last: at, run: run.id, message });
    }
  }
  return [...groups.values()].sort((a, b) => b.count - a.count || (a.last < b.last ? 1 : -1));
}
