/** Schedules: what runs by the clock, when next, what was skipped or missed, and filling up what was missed. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { CalendarPlus, Pause, Play, SkipForward } from "lucide-react";
import { type ReactNode, useState } from "react";
import { get, path, write } from "../api/client.ts";
import { patient } from "../api/run.ts";
import type { Job, Json, Page, Run } from "../api/types.ts";
import { days } from "../lib/calendar.ts";
import { absolute, ms } from "../lib/time.ts";
import { scheduleRoute } from "../router.tsx";
import { Empty, Id, Prose, serverNow, Status, Time, Trouble, useNow, Waiting } from "../ui/basics.tsx";
import { Act, Dialog, Field } from "../ui/controls.tsx";
import { JsonView } from "../ui/json.tsx";
import { toast } from "../ui/toast.tsx";
import { Progress } from "./bulk.tsx";

interface Tally {
  count: number;
  last: string | null;
}

interface Schedule {
  id: string;
  app: string;
  schedule: string;
  function: string;
  source: string;
  cron: string | null;
  tz: string | null;
  every: string | number | null;
  overlap: string;
  input: Json;
  paused: { since: string; note?: string | null } | null;
  next: string | null;
  nextTicks?: string[];
  running?: string;
  started: Tally;
  skipped: Tally;
  missed: Tally;
  problem: string | null;
  explanation: string;
  runs?: Run[];
}

const when = (one: Schedule): string => one.cron ?? `every ${String(one.every)}`;

export function SchedulesPage(): ReactNode {
  const { data, error, refetch } = useQuery({ queryKey: ["schedules"], queryFn: ({ signal }) => get<Page<Schedule>>("/v1/schedules", { limit: 200 }, signal), refetchInterval: 10_000, retry: patient });
  return (
    <div className="page">
      <div className="page-head"><h1>Schedules</h1><title>Schedules · Backstitch</title></div>
      {error ? <Trouble error={error} retry={() => void refetch()} /> : !data ? <Waiting /> : data.items.length === 0
        ? <Empty title="No schedules yet">Give a function a cron trigger, or make a schedule by the API, and its next ticks are here.</Empty>
        : (
          <div className="scroll-x"><table className="plain-table">
            <thead><tr><th>Schedule</th><th>Starts</th><th>When</th><th>Next</th><th className="num">Started</th><th className="num">Skipped</th><th className="num">Missed</th></tr></thead>
            <tbody>{data.items.map((one) => (
              <tr key={one.id}>
                <td><Link to="/schedules/$app/$schedule" params={{ app: one.app, schedule: one.schedule }}><span className="muted">{one.app}/</span><strong>{one.schedule}</strong></Link></td>
                <td><Link to="/functions/$app/$fn" params={{ app: one.app, fn: one.function }}>{one.function}</Link></td>
                <td><code>{when(one)}</code> <span className="faint">{one.tz}</span></td>
                <td className="nowrap">{one.paused ? <span className="warn">paused</span> : <Time at={one.next} />}{one.problem && <div className="bad">{one.problem}</div>}</td>
                <td className="num">{one.started.count.toLocaleString("en")}</td><td className="num">{one.skipped.count || "–"}</td><td className="num">{one.missed.count ? <span className="warn">{one.missed.count}</span> : "–"}</td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
    </div>
  );
}

export function SchedulePage(): ReactNode {
  const { app, schedule } = scheduleRoute.useParams();
  const url = `/v1${path("schedules", app, schedule)}`;
  const client = useQueryClient();
  const navigate = useNavigate();
  const [filling, setFilling] = useState(false);
  const { data, error, refetch } = useQuery({ queryKey: ["schedules", app, schedule], queryFn: ({ signal }) => get<Schedule>(url, {}, signal), refetchInterval: 5_000, retry: patient });
  if (error) return <div className="page"><Trouble error={error} retry={() => void refetch()} /></div>;
  if (!data) return <div className="page"><Waiting lines={6} /></div>;
  const act = (verb: "pause" | "resume", said: string): void => void write("POST", `${url}/${verb}`).then(() => { toast(said); return client.invalidateQueries({ queryKey: ["schedules"] }); }, (problem: unknown) => toast(problem instanceof Error ? problem.message : String(problem), true));
  const trigger = (): void => void write<{ id: string }>("POST", `${url}/trigger`).then((run) => navigate({ to: "/runs/$run", params: { run: run.id } }), (problem: unknown) => toast(problem instanceof Error ? problem.message : String(problem), true));
  return (
    <div className="page">
      <div className="page-head">
        <h1><Link to="/schedules" className="muted">{app}/</Link>{schedule}</h1>
        <button type="button" className="button" onClick={() => setFilling(true)}><CalendarPlus aria-hidden="true" />Backfill …</button>
        {data.paused ? <button type="button" className="button" onClick={() => act("resume", "It goes on with its next tick.")}><Play aria-hidden="true" />Resume</button> : <button type="button" className="button" onClick={() => act("pause", "It starts nothing until it is resumed.")}><Pause aria-hidden="true" />Pause</button>}
        <button type="button" className="button primary" onClick={trigger}><SkipForward aria-hidden="true" />Start one now</button>
      </div>
      <div className={`why ${data.paused || data.problem ? "warn" : "wait"}`} role="status"><CalendarPlus aria-hidden="true" /><div><p><Prose text={data.explanation.charAt(0).toUpperCase() + data.explanation.slice(1)} /></p>{data.problem && <p className="bad">{data.problem}</p>}</div></div>
      <dl className="facts">
        <div><dt>Starts</dt><dd><Link to="/functions/$app/$fn" params={{ app, fn: data.function }}>{data.function}</Link></dd></div>
        <div><dt>When</dt><dd><code>{when(data)}</code> {data.tz}</dd></div>
        <div><dt>While one goes on</dt><dd>{data.overlap}</dd></div>
        <div><dt>From</dt><dd>{data.source === "manifest" ? "the app's code" : "the API"}</dd></div>
        <div><dt>Started</dt><dd>{data.started.count.toLocaleString("en")}</dd></div>
        <div><dt>Skipped</dt><dd>{data.skipped.count}</dd></div>
        <div><dt>Missed</dt><dd>{data.missed.count}</dd></div>
        {data.running && <div><dt>Running</dt><dd><Link to="/runs/$run" params={{ run: data.running }}><Id id={data.running} /></Link></dd></div>}
      </dl>
      <div className="cards">
        <section className="card"><header><h2>Next ticks</h2></header><Calendar ticks={data.nextTicks ?? []} /></section>
        <section className="card">
          <header><h2>Last runs</h2></header>
          {(data.runs?.length ?? 0) === 0 ? <p className="faint">It has not started one yet.</p> : <ul className="list">{data.runs!.map((run) => <li key={run.id}><Link to="/runs/$run" params={{ run: run.id }}><Id id={run.id} /></Link><Status status={run.status} /><span className="faint"><Time at={run.createdAt} /></span></li>)}</ul>}
        </section>
        {data.input !== null && <JsonView label="Input of its runs" value={data.input} />}
      </div>
      <Dialog open={filling} onClose={() => setFilling(false)} title="Backfill" about="Starts the runs of times that lie in the past, in their order. It says first which they are.">{filling && <Backfill url={url} onClose={() => setFilling(false)} />}</Dialog>
    </div>
  );
}

/** Ticks by day, in the reader's zone. */
function Calendar({ ticks }: { ticks: readonly string[] }): ReactNode {
  const now = useNow();
  if (ticks.length === 0) return <p className="faint">It has no time any more.</p>;
  return (
    <ol className="calendar-days">
      {days(ticks, now).map((day) => <li key={day.name}><strong>{day.name}</strong><span>{day.times.map((time) => <time key={time.at} dateTime={time.at} title={absolute(time.at)} className="tag">{time.text}</time>)}</span></li>)}
    </ol>
  );
}

function Backfill({ url, onClose }: { url: string; onClose: () => void }): ReactNode {
  const local = (at: number): string => new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  const [from, setFrom] = useState(() => local(serverNow() - 86_400_000));
  const [until, setUntil] = useState(() => local(serverNow()));
  const [reprocess, setReprocess] = useState("none");
  const [concurrency, setConcurrency] = useState("1");
  const [job, setJob] = useState<string | null>(null);
  const valid = Number.isFinite(ms(from)) && Number.isFinite(ms(until)) && ms(from) < ms(until);
  const body = valid ? { from: new Date(from).toISOString(), until: new Date(until).toISOString(), reprocess, concurrency: Number(concurrency) || 1 } : null;
  const plan = useQuery({ queryKey: ["backfill", url, JSON.stringify(body)], queryFn: () => write<{ total: number; runs: number; ticks: string[] }>("POST", `${url}/backfill`, { ...body, dryRun: true }), enabled: valid, retry: false, placeholderData: (old) => old });
  if (job !== null) return <Progress job={job} onClose={onClose} />;
  return (
    <Act label={plan.data ? `Start ${plan.data.runs.toLocaleString("en")} runs` : "Start"} disabled={!plan.data?.runs || plan.isError} act={async () => setJob((await write<Job>("POST", `${url}/backfill`, body)).id)}>
      <div className="two">
        <Field label="From">{(id) => <input id={id} type="datetime-local" value={from} onChange={(event) => setFrom(event.target.value)} />}</Field>
        <Field label="Until">{(id) => <input id={id} type="datetime-local" value={until} onChange={(event) => setUntil(event.target.value)} />}</Field>
        <Field label="Times that have a run">{(id) => <select id={id} value={reprocess} onChange={(event) => setReprocess(event.target.value)}><option value="none">leave them alone</option><option value="failed">again, if it failed</option><option value="all">again, if it has ended</option></select>}</Field>
        <Field label="Runs at a time">{(id) => <input id={id} type="number" min={1} max={100} value={concurrency} onChange={(event) => setConcurrency(event.target.value)} />}</Field>
      </div>
      {plan.error ? <Trouble error={plan.error} /> : (
        <dl className="plan" aria-live="polite"><div><dt>{plan.data ? `${plan.data.runs} of ${plan.data.total} times get a run` : "…"}</dt><dd>{plan.data?.ticks.map((at) => <time key={at} dateTime={at} className="tag">{absolute(at).slice(0, 16)}</time>)}{plan.data && plan.data.runs > plan.data.ticks.length && <span className="muted">and {plan.data.runs - plan.data.ticks.length} more</span>}</dd></div></dl>
      )}
    </Act>
  );
}
