/** What a run is: when, what of, whose; and what it was given and gave. */
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Failure, Journal, Run } from "../../api/types.ts";
import { ENDED } from "../../api/types.ts";
import { absolute, ms, span } from "../../lib/time.ts";
import { CopyButton, Id, Time, useNow } from "../../ui/basics.tsx";
import { JsonView } from "../../ui/json.tsx";
import { line, print } from "../../lib/digits.ts";

export function Facts({ run }: { run: Run }): ReactNode {
  const now = useNow();
  const took = Math.max(0, (run.endedAt === null ? now : ms(run.endedAt)) - ms(run.startedAt));
  return (
    <dl className="facts">
      <Fact name="Created"><Time at={run.createdAt} /></Fact>
      {run.startedAt !== run.createdAt && <Fact name={ms(run.startedAt) > now ? "Begins" : "Began"}><Time at={run.startedAt} /></Fact>}
      <Fact name={run.endedAt === null ? "Running for" : "Took"}>{span(took)}</Fact>
      {run.wakeAt && !ENDED.includes(run.status) && <Fact name="Next"><Time at={run.wakeAt} /></Fact>}
      {run.deadline && !ENDED.includes(run.status) && <Fact name="Must end"><Time at={run.deadline} /></Fact>}
      <Fact name="Started by">{run.schedule ? <ScheduleLink id={run.schedule} /> : run.event ? <Link to="/events/$event" params={{ event: run.event }}>event <Id id={run.event} /></Link> : run.parent ? <Link to="/runs/$run" params={{ run: run.parent.run }}>run <Id id={run.parent.run} /></Link> : run.trigger}</Fact>
      {run.scheduledAt && <Fact name="For the time"><span title={run.scheduledAt}>{absolute(run.scheduledAt).slice(0, 19)}</span></Fact>}
      {run.previous && <Fact name={run.previous.origin === "fork" ? "Forked from" : "Continues"}><Link to="/runs/$run" params={{ run: run.previous.run }}><Id id={run.previous.run} /></Link></Fact>}
      {run.continuedAs && <Fact name="Went on as"><Link to="/runs/$run" params={{ run: run.continuedAs }}><Id id={run.continuedAs} /></Link></Fact>}
      {run.name && <Fact name="Name">{run.name}</Fact>}
      {run.key && <Fact name="Key">{run.key}</Fact>}
      {(run.tags?.length ?? 0) > 0 && <Fact name="Tags">{run.tags!.map((tag) => <Link key={tag} className="tag" to="/runs" search={{ tag }}>{tag}</Link>)}</Fact>}
      {Object.keys(run.attributes ?? {}).length > 0 && <Fact name="Attributes">{Object.entries(run.attributes!).map(([name, value]) => <Link key={name} className="tag" to="/runs" search={{ attribute: `${name}:eq:${line(value)}` }} title="Runs that have the same"><span className="faint">{name}</span> {typeof value === "string" ? value : line(value)}</Link>)}</Fact>}
      {run.deployment && <Fact name="Deployment"><Link to="/apps/$app" params={{ app: run.app }}><Id id={run.deployment} /></Link></Fact>}
      {run.failures > 0 && <Fact name="Failed calls">{run.failures}</Fact>}
    </dl>
  );
}

function ScheduleLink({ id }: { id: string }): ReactNode {
  const [app = "", schedule = ""] = id.split("/");
  return <Link to="/schedules/$app/$schedule" params={{ app, schedule }}>schedule {schedule}</Link>;
}

function Fact({ name, children }: { name: string; children: ReactNode }): ReactNode {
  return <div><dt>{name}</dt><dd>{children}</dd></div>;
}

export function InputOutcome({ journal }: { journal: Journal }): ReactNode {
  const { run } = journal;
  return (
    <div className="stack">
      {run.err && <ErrorView error={run.err} title="It failed with" />}
      {!run.err && run.lastError && <ErrorView error={run.lastError} title="The last call failed with" />}
      {run.ok !== undefined && <JsonView label="Result" value={run.ok} />}
      {run.value !== null && run.value !== undefined && <JsonView label="Status, as the handler shows it" value={run.value} />}
      <JsonView label="Input" value={run.input ?? null} />
      {journal.signals.length > 0 && (
        <div>
          <h3>Signals and updates that came</h3>
          <ul className="list">
            {journal.signals.map((signal, i) => (
              <li key={i}><strong>{signal.name}</strong> {signal.update && <span className="tag">update</span>} <Time at={signal.at} /> <span className="muted">{signal.consumedBy === null ? "nothing has waited for it yet" : `taken by ${journal.entries[signal.consumedBy]?.id ?? `entry ${signal.consumedBy}`}`}</span></li>
            ))}
          </ul>
        </div>
      )}
    </div>
  );
}

/** An error with its stack, its data and its causes, all the way down. */
export function ErrorView({ error, title, depth = 0 }: { error: Failure; title: string; depth?: number }): ReactNode {
  return (
    <div className="error-view" data-depth={depth}>
      <div className="error-head">
        <span className="faint">{title}</span>
        <CopyButton text={() => print(error)} label="Copy the error as JSON" />
      </div>
      <p className="error-title"><strong>{error.name ?? "Error"}</strong>{error.code && <span className="tag">{error.code}</span>}{error.retryable === false && <span className="tag">not tried again</span>}</p>
      {error.message && <p className="error-message">{error.message}</p>}
      {error.stack && <details open={depth === 0}><summary>Stack</summary><pre tabIndex={0}>{error.stack}</pre></details>}
      {error.data !== undefined && error.data !== null && <JsonView label="Data" value={error.data} />}
      {error.cause && depth < 8 && (typeof error.cause === "object" ? <ErrorView error={error.cause} title="Caused by" depth={depth + 1} /> : <p>Caused by {String(error.cause)}</p>)}
    </div>
  );
}
