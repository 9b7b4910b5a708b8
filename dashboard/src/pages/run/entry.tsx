/** One entry: what it was asked for, what it gave or why it failed, each attempt, and what can be done from here. */
import { Link } from "@tanstack/react-router";
import { GitFork, X } from "lucide-react";
import { type ReactNode, useState } from "react";
import type { Entry, Run } from "../../api/types.ts";
import { ENDED } from "../../api/types.ts";
import { clock, ms, span } from "../../lib/time.ts";
import { skewOf } from "../../lib/waterfall.ts";
import { CopyButton, Id, Time } from "../../ui/basics.tsx";
import { JsonView } from "../../ui/json.tsx";
import { ErrorView } from "./facts.tsx";
import { ForkDialog } from "./fork.tsx";
import { SettleForm, SignalForm, waitOf } from "./signals.tsx";
import { OpIcon } from "./timeline.tsx";

/** The words for the ops, as a reader says them. */
const OPS: Record<string, string> = { step: "step", sleep: "sleep", waitSignal: "waits for a signal", waitEvent: "waits for an event", invoke: "child run", send: "sends events", state: "writes state", marker: "marker", cancel: "cancellation", fetch: "fetch by the server", input: "input", outcome: "outcome" };

export function EntryView({ run, entry, all, onClose, refresh }: { run: Run; entry: Entry; all: readonly Entry[]; onClose: () => void; refresh: () => void }): ReactNode {
  const [forking, setForking] = useState(false);
  const settled = entry.settledAt !== null;
  const original = all.find((one) => one.id === entry.id) ?? entry;
  const wait = !settled && !ENDED.includes(run.status) ? waitOf(entry) : null;
  const held = entry.id.startsWith("$undo/") && !settled && run.status === "paused";
  return (
    <article className="entry">
      <header>
        <OpIcon op={entry.op} undo={entry.id.startsWith("$undo/")} />
        <h2 className="ellipsis" title={entry.id}>{entry.id}</h2>
        <CopyButton text={entry.id} label="Copy the entry's id" />
        <span className="grow" />
        <button type="button" className="button small" onClick={() => setForking(true)}><GitFork aria-hidden="true" />Fork from here</button>
        <button type="button" className="icon-button small" aria-label="Close the entry" onClick={onClose}><X aria-hidden="true" /></button>
      </header>
      <dl className="facts small">
        <div><dt>What</dt><dd>{OPS[entry.op] ?? entry.op}</dd></div>
        <div><dt>Stands</dt><dd>{entry.err ? <span className="bad">failed</span> : entry.timeout ? <span className="warn">timed out</span> : settled ? "settled" : entry.status}{entry.copied && ", copied"}</dd></div>
        <div><dt>{entry.op === "step" ? "Began" : "Created"}</dt><dd title={entry.createdAt}>{clock(entry.createdAt)}</dd></div>
        {entry.settledAt && <div><dt>Took</dt><dd>{span(ms(entry.settledAt) - ms(entry.createdAt))}</dd></div>}
        {entry.dueAt && !settled && <div><dt>Due</dt><dd><Time at={entry.dueAt} /></dd></div>}
        {entry.seq !== null && <div><dt>Order</dt><dd title="The ordinal of its settlement in the run">{entry.seq}</dd></div>}
        {entry.child && <div><dt>Child</dt><dd><Link to="/runs/$run" params={{ run: entry.child }}><Id id={entry.child} /></Link></dd></div>}
        {entry.deployment && <div><dt>Deployment</dt><dd><Id id={entry.deployment} /></dd></div>}
      </dl>
      {wait && <SignalForm run={run} wait={wait} done={refresh} />}
      {held && <SettleForm run={run} entry={entry} done={refresh} />}
      {entry.err && <ErrorView error={entry.err} title="It failed with" />}
      {!settled && entry.lastError && <ErrorView error={entry.lastError} title="The last attempt failed with" />}
      {entry.ok !== undefined && <JsonView label="Outcome" value={entry.ok} />}
      {entry.details !== undefined && entry.details !== null && <JsonView label="Said by its last heartbeat" value={entry.details} />}
      {(entry.attempts?.length ?? 0) > 0 && (
        <div>
          <h3>Attempts that failed</h3>
          <ol className="attempts">
            {entry.attempts!.map((attempt) => (
              <li key={attempt.number}>
                <details>
                  <summary><span className="attempt-number">{attempt.number}</span> <span title={attempt.startedAt}>{clock(ms(attempt.startedAt) + skewOf(entry))}</span> · {span(ms(attempt.endedAt) - ms(attempt.startedAt))} · <span className="bad">{attempt.error?.name}: {attempt.error?.message}</span></summary>
                  <ErrorView error={attempt.error} title={`Attempt ${attempt.number}`} />
                </details>
              </li>
            ))}
          </ol>
        </div>
      )}
      {Object.keys(entry.params ?? {}).length > 0 && <JsonView label={entry.op === "input" ? "What started it" : "Parameters"} value={entry.params} />}
      <ForkDialog open={forking} onClose={() => setForking(false)} run={run} entries={all} at={original.id} />
    </article>
  );
}
