/** Functions: what starts them, how they are tried again, how they do, and the way to start or pause one. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Pause, Play, Send } from "lucide-react";
import { type ReactNode, useState } from "react";
import { path, write } from "../api/client.ts";
import { functions, schedules } from "../api/queries.ts";
import type { Fn, Schedule, Trigger } from "../api/types.ts";
import { line } from "../lib/digits.ts";
import { SPANS } from "../lib/filters.ts";
import { span } from "../lib/time.ts";
import { functionRoute } from "../router.tsx";
import { Empty, Trouble, Waiting } from "../ui/basics.tsx";
import { Tabs } from "../ui/controls.tsx";
import { JsonView } from "../ui/json.tsx";
import { toast } from "../ui/toast.tsx";
import { Figures } from "./figures.tsx";
import { RunsTable } from "./runs.tsx";

export function FunctionsPage(): ReactNode {
  const { data, error, refetch } = useQuery(functions);
  return (
    <div className="page">
      <div className="page-head"><h1>Functions</h1><title>Functions · Backstitch</title></div>
      {error ? <Trouble error={error} retry={() => void refetch()} /> : !data ? <Waiting /> : data.items.length === 0
        ? <Empty title="No functions yet" command="backstitch apps add http://localhost:3000/api/backstitch">Functions come with an app. In development the server finds apps on the usual ports; anywhere else register one.</Empty>
        : (
          <div className="scroll-x"><table className="plain-table on-phone">
            <thead><tr><th>Function</th><th>Started by</th><th>Tried again</th><th>Stands</th><th><span className="sr">Start</span></th></tr></thead>
            <tbody>{data.items.map((fn) => (
              <tr key={`${fn.app}/${fn.function}`}>
                <td><Link to="/functions/$app/$fn" params={{ app: fn.app, fn: fn.function }}><span className="muted">{fn.app}/</span><strong>{fn.function}</strong></Link>{fn.name && <div className="faint">{fn.name}</div>}</td>
                <td data-label="Started by"><StartedBy fn={fn} /></td>
                <td className="muted nowrap" data-label="Tried again">{retryWords(fn)}</td>
                <td>{fn.paused ? <span className="warn">paused</span> : <span className="good">takes runs</span>}</td>
                <td className="num acts"><Link className="button small" to="/send" search={{ fn: `${fn.app}/${fn.function}` }}><Send aria-hidden="true" />Start</Link></td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
    </div>
  );
}

/** When a schedule's times are: its cron line or its interval. */
export const timing = (one: Schedule): string => one.cron ?? `every ${one.every}`;

/** What starts a function by itself: failures, events, and schedules, which the server lists apart from functions. */
function StartedBy({ fn }: { fn: Fn }): ReactNode {
  const { data } = useQuery(schedules);
  const own = data?.items.filter((one) => one.app === fn.app && one.function === fn.function) ?? [];
  if (fn.failureOf) return <span className="muted">failures of {fn.failureOf}</span>;
  if (fn.triggers.length === 0 && own.length === 0) return <span className="faint">calls only</span>;
  return (
    <>
      {fn.triggers.map((trigger, i) => <TriggerWord key={i} trigger={trigger} />)}
      {own.map((one) => <div key={one.id}><Link to="/schedules/$app/$schedule" params={{ app: one.app, schedule: one.schedule }}><code>{timing(one)}</code></Link>{one.tz && <span className="faint"> {one.tz}</span>}{one.paused && <span className="warn"> paused</span>}</div>)}
    </>
  );
}

export function TriggerWord({ trigger }: { trigger: Trigger }): ReactNode {
  return <div>{trigger.event && <Link to="/events" search={{ name: trigger.event }}><code>{trigger.event}</code></Link>}{trigger.if && <span className="faint"> if <code>{trigger.if}</code></span>}</div>;
}

function retryWords(fn: Fn): string {
  const attempts = fn.retry.attempts;
  return attempts === 1 ? "never" : typeof attempts === "number" ? `up to ${attempts} attempts` : "as usual";
}

export function FunctionPage(): ReactNode {
  const { app, fn: id } = functionRoute.useParams();
  const client = useQueryClient();
  const [back, setBack] = useState("24h");
  const { data, error } = useQuery(functions);
  const fn = data?.items.find((one) => one.app === app && one.function === id);
  const turn = (verb: "pause" | "resume"): void => {
    write("POST", `/v1${path("functions", app, id, verb)}`).then(() => { toast(verb === "pause" ? "Its runs wait until it is resumed." : "Its runs go on."); return client.invalidateQueries({ queryKey: ["functions"] }); }, (problem: unknown) => toast(problem instanceof Error ? problem.message : String(problem), true));
  };
  return (
    <div className="page">
      <div className="page-head">
        <h1><Link to="/apps/$app" params={{ app }} className="muted">{app}/</Link>{id}</h1><title>{`${id} · Backstitch`}</title>
        <Tabs label="How far back" value={back} onChange={setBack} tabs={Object.keys(SPANS).map((one) => [one, one] as const)} />
        {fn && <button type="button" className="button" onClick={() => turn(fn.paused ? "resume" : "pause")}>{fn.paused ? <Play aria-hidden="true" /> : <Pause aria-hidden="true" />}{fn.paused ? "Resume" : "Pause"}</button>}
        <Link className="button primary" to="/send" search={{ fn: `${app}/${id}` }}><Send aria-hidden="true" />Start a run</Link>
      </div>
      {error !== null && <Trouble error={error} />}
      {data && !fn && <div className="notice">No app serves this function now. Its runs are kept, and wait until somebody serves it again.</div>}
      {fn?.paused && <div className="notice">This function is paused: new runs are accepted and wait; those under way stop at their next call.</div>}
      <Figures back={back} of={{ app, function: id }} />
      {fn && (
        <div className="cards">
          <section className="card">
            <header><h2>Declared</h2></header>
            <dl className="facts">
              <div><dt>Started by</dt><dd><StartedBy fn={fn} /></dd></div>
              {fn.cancelOn.length > 0 && <div><dt>Cancelled by</dt><dd>{fn.cancelOn.map((trigger, i) => <TriggerWord key={i} trigger={trigger} />)}</dd></div>}
              {fn.runTimeout && <div><dt>A run may take</dt><dd>{span(fn.runTimeout)}</dd></div>}
              {fn.startTimeout && <div><dt>And wait for its start</dt><dd>{span(fn.startTimeout)}</dd></div>}
              {Object.entries(fn.retry).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{typeof value === "number" && name.toLowerCase().includes("interval") ? span(value) : typeof value === "string" ? value : line(value)}</dd></div>)}
            </dl>
          </section>
          <section className="card"><header><h2>Input</h2></header>{fn.input ? <JsonView label="JSON Schema" value={fn.input} open={3} /> : <p className="faint">Its app does not say what the input looks like.</p>}</section>
        </div>
      )}
      <h2>Runs</h2>
      <RunsTable query={{ app, function: id }} compact />
    </div>
  );
}
