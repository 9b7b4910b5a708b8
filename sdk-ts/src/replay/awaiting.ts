/**
 * Awaiting: which settlements can move the handler on, so that waiting for a thousand children is not a thousand invocations.
 *
 * Only what is known for certain makes a group: branches of `step.all` and `step.map` that gave back the very promise of an
 * entry end with it, so nothing can happen before all of them are settled (or one fails).
 */
import type { Entry } from "./entry.js";

/** Groups of open entries, or undefined where any settlement may matter; unless `always` asks to name even what stands alone. */
export function awaitingGroups(open: readonly Entry[], always = false): string[][] | undefined {
  const groups = new Map<unknown, string[]>();
  for (const entry of open) {
    const key = entry.group !== undefined && entry.group.waiting === 0 ? entry.group : entry;
    const ids = groups.get(key);
    if (ids === undefined) groups.set(key, [entry.call.id]);
    else ids.push(entry.call.id);
  }
  const all = [...groups.values()];
  return all.some((ids) => ids.length > 1) || (always && all.length > 0) ? all : undefined;
}
