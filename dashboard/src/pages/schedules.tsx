/** Schedules: what runs by the clock, when next, what was skipped or missed, and filling up what was missed. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { CalendarClock, CalendarPlus, Pause, Play, SkipForward } from "lucide-react";
import { type ReactNode, useState } from "react";
import { get, path, write } from "../api/client.ts";
import { schedules } from "../api/queries.ts";
import { patient } from "../api/run.ts";
import { type Job, type Page, type Run, type Schedule, STATUSES, type Tally } from "../api/types.ts";
import { days, weeks } from "../lib/calendar.ts";
import { absolute, ms } from "../lib/time.ts";
import { scheduleRoute } from "../router.tsx";
import { Empty, Id, Prose, serverNow, Status, StatusSign, Time, Trouble, useNow, Waiting as Skeleton } from "../ui/basics.tsx";
import { Act, Dialog, Field } from "../ui/controls.tsx";
import { JsonView } from "../ui/json.tsx";
import { toast } from "../ui/toast.tsx";
import { Progress } from "./bulk.tsx";
import { timing } from "./functions.tsx";

/** What becomes of a tick while the run of an earlier one goes on. */
const OVERLAP: Record<string, string> = {
  skip: "the tick is skipped",
  bufferOne: "the last tick waits",
  bufferAll: "ticks wait for their turn",
  cancelOther: "the earlier run is cancelled",
  allow: "both run",
};

export function SchedulesPage(): ReactNode {
  const { data, error, refetch } = useQuery(schedules);
  return (
    <div className="page">
      <div className="page-head"><h1>Schedules</h1><title>Schedules · Backstitch</title></div>
      {error ? <Trouble error={error} retry={() => void refetch()} /> : !data ? <Skeleton /> : data.items.length === 0
        ? <Empty title="No schedules yet" command="backstitch schedules put shop/nightly --function totals --cron '0 5 * * *'">Give a function a cron line or an interval in its code, or make a schedule by the API, and its next ticks are here.</Empty>
        : (
          <div className="scroll-x"><table className="plain-table on-phone">
            <thead><tr><th>Schedule</th><th>Next</th><th>When</th><th>Starts</th><th className="num">Started</th><th className="num">Skipped</th><th className="num">Missed</th></tr></thead>
            <tbody>{data.items.map((one) => (
              <tr key={one.id}>
                <td><Link to="/schedules/$app/$schedule" params={{ app: one.app, schedule: one.schedule }}><span className="muted">{one.app}/</span><strong>{one.schedule}</strong></Link></td>
                <td data-label="Next"><Stands one={one} /></td>
                <td><code className="nowrap">{timing(one)}</code> <span className="faint nowrap">{one.tz ?? (one.cron !== null && "UTC")}</span></td>
                <td data-label="Starts"><Link to="/functions/$app/$fn" params={{ app: one.app, fn: one.function }}>{one.function}</Link></td>
                <td className="num" data-label="Started">{one.started.count.toLocaleString("en")}</td><td className="num" data-label="Skipped">{one.skipped.count.toLocaleString("en")}</td><td className="num" data-label="Missed">{one.missed.count ? <span className="warn">{one.missed.count.toLocaleString("en")}</span> : 0}</td>
              </tr>
            ))}</tbody>
          </table>{data.next !== null && <p className="hint">These are the first {data.items.length}. <code>backstitch schedules</code> lists all of them.</p>}</div>
        )}
    </div>
  );
}

/** Where a schedule stands, in a few words. */
function Stands({ one }: { one: Schedule }): ReactNode {
  return (
    <>
      {one.paused ? <span className="warn nowrap" title={one.paused.note ?? undefined}>paused <Time at={one.paused.since} /></span> : one.next === null ? <span className="faint">never again</span> : <span className="nowrap"><Time at={one.next} /></span>}
      {one.waiting && <div className="warn nowrap">{one.waiting.count.toLocaleString("en")} {one.waiting.count === 1 ? "tick waits" : "ticks wait"}</div>}
      {one.problem && <div className="bad">{one.problem}</div>}
    </>
  );
}

export function SchedulePage(): ReactNode {
  const { app, schedule } = scheduleRoute.useParams();
  const url = `/v1${path("schedules", app, schedule)}`;
  const client = useQueryClient();
  const navigate = useNavigate();
  const [asked, setAsked] = useState<"backfill" | "pause" | null>(null);
  const [note, setNote] = useState("");
  const { data, error, refetch } = useQuery({ queryKey: ["schedules", app, schedule], queryFn: ({ signal }) => get<Schedule>(url, {}, signal), refetchInterval: 5_000, retry: patient });
  const title = <title>{`${schedule} · Backstitch`}</title>;
  if (error) return <div className="page">{title}<h1>{app}/{schedule}</h1><Trouble error={error} retry={() => void refetch()} /></div>;
  if (!data) return <div className="page">{title}<Skeleton lines={6} /></div>;
  const fresh = (): Promise<void> => client.invalidateQueries({ queryKey: ["schedules"] });
  const say = (problem: unknown): void => toast(problem instanceof Error ? problem.message : String(problem), true);
  const resume = (): void => void write("POST", `${url}/resume`).then(() => { toast("It goes on with its next tick."); return fresh(); }, say);
  const trigger = (): void => void write<{ id: string }>("POST", `${url}/trigger`).then((run) => { toast("Started. The time that it is for is now."); return navigate({ to: "/runs/$run", params: { run: run.id } }); }, say);
  const close = (): void => { setAsked(null); void fresh(); };
  return (
    <div className="page">
      {title}
      <div className="page-head">
        <h1><Link to="/schedules" className="muted">{app}/</Link>{schedule}</h1>
        <button type="button" className="button" onClick={() => setAsked("backfill")}><CalendarPlus aria-hidden="true" />Backfill …</button>
        {data.paused ? <button type="button" className="button" onClick={resume}><Play aria-hidden="true" />Resume</button> : <button type="button" className="button" onClick={() => setAsked("pause")}><Pause aria-hidden="true" />Pause …</button>}
        <button type="button" className="button primary" onClick={trigger}><SkipForward aria-hidden="true" />Start one now</button>
      </div>
      <div className={`why ${data.paused || data.problem ? "warn" : "wait"}`} role="status"><CalendarClock aria-hidden="true" /><div><p><Prose text={data.explanation.charAt(0).toUpperCase() + data.explanation.slice(1)} /></p>{data.problem && <p className="bad">{data.problem}</p>}</div></div>
      <dl className="facts">
        <div><dt>Starts</dt><dd><Link to="/functions/$app/$fn" params={{ app, fn: data.function }}>{data.function}</Link></dd></div>
        <div><dt>When</dt><dd><code>{timing(data)}</code> {data.tz ?? (data.cron !== null && "UTC")}</dd></div>
        <div><dt>While an earlier one goes on</dt><dd title={data.overlap}>{OVERLAP[data.overlap] ?? data.overlap}</dd></div>
        <div><dt>Late ticks run up to</dt><dd>{data.catchUp} after their time</dd></div>
        {data.jitter !== "0s" && data.jitter !== "0ms" && <div><dt>Put off by up to</dt><dd>{data.jitter}</dd></div>}
        <div><dt>Said by</dt><dd>{data.source === "manifest" ? "the app's code" : "the API"}</dd></div>
        <div><dt title="Backfills and runs that somebody started by hand are not counted">Ticks started</dt><dd><Count of={data.started} /></dd></div>
        <div><dt>Skipped</dt><dd><Count of={data.skipped} /></dd></div>
        <div><dt>Missed</dt><dd><Count of={data.missed} /></dd></div>
        {data.waiting && <div><dt>Wait for their turn</dt><dd>{data.waiting.count.toLocaleString("en")}</dd></div>}
        {data.running && <div><dt>Running</dt><dd><Link to="/runs/$run" params={{ run: data.running }}><Id id={data.running} /></Link></dd></div>}
      </dl>
      <div className="cards">
        <section className="card"><header><h2>Calendar</h2><span className="faint">runs by the time that they are for</span></header><Weeks schedule={data.id} ticks={data.paused ? [] : (data.nextTicks ?? [])} /></section>
        <section className="card"><header><h2>Next ticks</h2><span className="grow" />{data.paused && <span className="warn">paused: none of these starts a run</span>}</header><Calendar ticks={data.nextTicks ?? []} /></section>
        <section className="card">
          <header><h2>Last runs</h2><span className="grow" />{(data.runs?.length ?? 0) > 0 && <Link to="/runs" search={{ schedule: data.id }}>All<span className="sr"> runs of this schedule</span></Link>}</header>
          {(data.runs?.length ?? 0) === 0 ? <p className="faint">It has not started one yet.</p> : <ul className="list">{data.runs!.map((run) => <li key={run.id}><Link to="/runs/$run" params={{ run: run.id }} title={run.id}>{run.scheduledAt ? absolute(run.scheduledAt).slice(0, 16) : <Id id={run.id} />}</Link><Status status={run.status} /><span className="faint">made <Time at={run.createdAt} /></span></li>)}</ul>}
        </section>
        {data.input !== null && <JsonView label="Input of its runs" value={data.input} />}
      </div>
      <Dialog open={asked === "backfill"} onClose={close} title="Backfill" about="Makes up for times in the past: each gets its run, in their order. Nothing starts before you have seen which they are.">{asked === "backfill" && <Backfill url={url} schedule={data.id} onClose={close} />}</Dialog>
      <Dialog open={asked === "pause"} onClose={close} title={`Pause ${schedule}?`} about="Its ticks start nothing until somebody resumes it. Runs that are under way go on.">
        <Act label="Pause" act={() => write("POST", `${url}/pause`, note.trim() === "" ? {} : { note: note.trim() })} done={() => { setNote(""); close(); }}>
          <Field label="Note (optional)" hint="Shown to whoever wonders why nothing happens.">{(id) => <input id={id} value={note} onChange={(event) => setNote(event.target.value)} autoComplete="off" placeholder="the warehouse moves" />}</Field>
        </Act>
      </Dialog>
    </div>
  );
}

function Count({ of }: { of: Tally }): ReactNode {
  return <>{of.count.toLocaleString("en")}{of.last && <span className="muted">, last <Time at={of.last} /></span>}</>;
}

/** Runs of the last weeks by the days that they are for, and the next ticks. A day on which something is missing is seen at a glance. */
function Weeks({ schedule, ticks }: { schedule: string; ticks: readonly string[] }): ReactNode {
  const now = useNow();
  const { data } = useQuery({ queryKey: ["schedules", "weeks", schedule], queryFn: ({ signal }) => get<Page<Run>>("/v1/runs", { schedule, limit: 200 }, signal), refetchInterval: 10_000, retry: patient });
  const runs = (data?.items ?? []).flatMap((run) => (run.scheduledAt ? [{ at: run.scheduledAt, status: run.status }] : []));
  const rows = weeks(now, 3, 1, runs, ticks);
  return (
    <table className="weeks">
      <thead><tr>{["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].map((day) => <th key={day} scope="col">{day}</th>)}</tr></thead>
      <tbody>{rows.map((row) => (
        <tr key={row[0]!.date}>{row.map((cell) => (
          <td key={cell.date} data-today={cell.today} title={cell.date}>
            <span className="day">{cell.name}</span>
            {STATUSES.map((status) => cell.runs[status] && <span key={status} className="mark" data-status={status}><StatusSign status={status} />{cell.runs[status]}<span className="sr"> {status}</span></span>)}
            {cell.ticks > 0 && <span className="mark faint">+{cell.ticks}<span className="sr"> to come</span></span>}
          </td>
        ))}</tr>
      ))}</tbody>
    </table>
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

interface Plan {
  total: number;
  runs: number;
  ticks: string[];
}

function Backfill({ url, schedule, onClose }: { url: string; schedule: string; onClose: () => void }): ReactNode {
  const local = (at: number): string => new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  const [from, setFrom] = useState(() => local(serverNow() - 7 * 86_400_000));
  const [until, setUntil] = useState(() => local(serverNow()));
  const [reprocess, setReprocess] = useState("none");
  const [concurrency, setConcurrency] = useState("1");
  const [job, setJob] = useState<string | null>(null);
  const given = Number.isFinite(ms(from)) && Number.isFinite(ms(until));
  const valid = given && ms(from) < ms(until);
  const body = valid ? { from: new Date(from).toISOString(), until: new Date(until).toISOString(), reprocess, concurrency: Number(concurrency) || 1 } : null;
  const plan = useQuery({ queryKey: ["backfill", url, JSON.stringify(body)], queryFn: () => write<Plan>("POST", `${url}/backfill`, { ...body, dryRun: true }), enabled: valid, retry: false, staleTime: 0, placeholderData: (old) => old });
  if (job !== null) return <Progress job={job} onClose={onClose}><Link to="/runs" search={{ schedule }} className="button">Its runs</Link></Progress>;
  const known = valid && !plan.isError && !plan.isPlaceholderData ? plan.data : undefined;
  return (
    <Act label={!valid || plan.isError ? "Start" : !known ? "Counting …" : `Start ${known.runs.toLocaleString("en")} ${known.runs === 1 ? "run" : "runs"}`} disabled={!known?.runs} act={async () => setJob((await write<Job>("POST", `${url}/backfill`, body)).id)}>
      <div className="two">
        <Field label="From" hint={`In your time zone, ${zone(from)}.`}>{(id) => <input id={id} type="datetime-local" value={from} max={until} onChange={(event) => setFrom(event.target.value)} />}</Field>
        <Field label="Until" hint="Times before this one, and none to come.">{(id) => <input id={id} type="datetime-local" value={until} min={from} onChange={(event) => setUntil(event.target.value)} />}</Field>
        <Field label="Times that have a run">{(id) => <select id={id} value={reprocess} onChange={(event) => setReprocess(event.target.value)}><option value="none">leave them alone</option><option value="failed">again, if it failed</option><option value="all">again, if it has ended</option></select>}</Field>
        <Field label="Runs at a time">{(id) => <input id={id} type="number" min={1} max={100} value={concurrency} onChange={(event) => setConcurrency(event.target.value)} />}</Field>
      </div>
      {plan.error && valid ? <Trouble error={plan.error} /> : (
        <dl className="plan" aria-live="polite"><div>
          <dt>{!given ? "Say from when until when." : !valid ? "This range is empty: it begins after its end." : !plan.data ? "Counting …" : <Summary plan={plan.data} />}</dt>
          {valid && plan.data && plan.data.runs > 0 && <dd>{plan.data.ticks.map((at) => <time key={at} dateTime={at} className="tag">{absolute(at).slice(0, 16)}</time>)}{plan.data.runs > plan.data.ticks.length && <span className="muted">and {(plan.data.runs - plan.data.ticks.length).toLocaleString("en")} more</span>}</dd>}
        </div></dl>
      )}
    </Act>
  );
}

function Summary({ plan: { total, runs } }: { plan: Plan }): ReactNode {
  if (total === 0) return "The schedule has no time in this range.";
  if (runs === 0) return total === 1 ? "Its one time in this range has a run already." : `All ${total.toLocaleString("en")} times in this range have a run already.`;
  return `${runs.toLocaleString("en")} of ${total.toLocaleString("en")} ${total === 1 ? "time gets" : "times get"} a run:`;
}

/** The reader's zone at a time, as `UTC+01:00`. */
const zone = (at: string): string => absolute(Number.isFinite(ms(at)) ? at : Date.now()).split(" ").at(-1)!;
