/**
 * Undoing: the step that undoes another one. It is a step like any other, with an id that only the SDK may make, so it runs once, is
 * retried, and stands in the journal.
 */
import type { Call, Entry } from "./entry.js";
import type { JournalEntry } from "../wire/invocation.js";
import { writeJson } from "../wire/json.js";

/** What the ids of compensations begin with. */
export const UNDO = "$undo/";

/** The call that undoes a step which has succeeded. What it comes to only counts as done: a handler never gets it. */
export function undoCall(entry: Entry): Call<unknown> {
  const { id, name, undo } = entry.call;
  if (undo === undefined) throw new Error(`\`${id}\` has nothing that undoes it`);
  const outcome = entry.known as JournalEntry;
  return {
    op: "step",
    id: `${UNDO}${id}`,
    name: `undo ${name}`,
    params: writeJson(`the parameters of the compensation of \`${name}\``, { compensates: id, retry: undo.retry }),
    read: () => null,
    body: (facts) => undo.body(outcome, facts),
  };
}
