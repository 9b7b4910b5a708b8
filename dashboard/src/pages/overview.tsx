/** The overview: whether all is well, what is under way, and what wants somebody. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { CircleAlert, Gauge, Hourglass, Timer, TrendingUp } from "lucide-react";
import { type ReactNode, useState } from "react";
import { get } from "../api/client.ts";
import { apps, functions } from "../api/queries.ts";
import { patient } from "../api/run.ts";
import type { Page, Run, RunStatus } from "../api/types.ts";
import { SPANS } from "../lib/filters.ts";
import { type Bucket, buckets, durations, failureRate, quantile, totalOf } from "../lib/series.ts";
import { span as words } from "../lib/time.ts";
import { Empty, Id, serverNow, Status, Time, Trouble } from "../ui/basics.tsx";
import { Columns } from "../ui/chart.tsx";
import { Tabs } from "../ui/controls.tsx";
import { useFailures } from "./failures.tsx";
import { RunsTable } from "./runs.tsx";

interface Counts {
  total: number;
  statuses: Partial<Record<RunStatus, number>>;
}

const OPEN = "queued,ready,suspended,backoff,paused";
const BUCKETS = 30;

export function OverviewPage(): ReactNode {
  const [back, setBack] = useState("1h");
  const all = useQuery({ queryKey: ["overview", "any"], queryFn: ({ signal }) => get<Page<Run>>("/v1/runs", { limit: 1 }, signal), refetchInterval: 5_000, retry: patient });
  const appPage = useQuery(apps);
  const functionPage = useQuery(functions);
  if (all.error) return <div className="page"><Trouble error={all.error} retry={() => void all.refetch()} /></div>;
  const nothing = all.data?.items.length === 0;
  return (
    <div className="page">
      <div className="page-head">
        <h1>Overview</h1><title>Overview · Backstitch</title>
        {!nothing && <Tabs label="How far back" value={back} onChange={setBack} tabs={Object.keys(SPANS).map((one) => [one, one] as const)} />}
      </div>
      {nothing && <Start apps={appPage.data?.items.length ?? 0} functions={functionPage.data?.items.length ?? 0} />}
      {!nothing && (
        <>
          <Numbers back={back} />
          <div className="cards">
            <Wanted title="Held: somebody has to do something" status="paused" />
            <Wanted title="Failing, and tried again" status="backoff" />
            <TopFailures />
          </div>
          <h2>Newest runs</h2>
          <RunsTable query={{}} compact />
        </>
      )}
    </div>
  );
}

/** What the server counts: throughput, failures, latency, what is open. */
function Numbers({ back }: { back: string }): ReactNode {
  const series = useQuery({
    queryKey: ["overview", "series", back],
    queryFn: async ({ signal }) => {
      const found: Bucket[] = [];
      // A few at a time: counting is cheap, and thirty at once would push aside what others ask.
      const pieces = buckets(serverNow(), SPANS[back]!, BUCKETS);
      for (let i = 0; i < pieces.length; i += 6) {
        found.push(...(await Promise.all(pieces.slice(i, i + 6).map(async (piece) => {
          const { statuses } = await get<Counts>("/v1/runs/counts", { since: new Date(piece.from).toISOString(), until: new Date(piece.to).toISOString() }, signal);
          return { ...piece, counts: statuses };
        }))));
      }
      return found;
    },
    refetchInterval: 15_000,
    retry: patient,
    placeholderData: (old) => old,
  });
  const open = useQuery({ queryKey: ["overview", "open"], queryFn: ({ signal }) => get<Counts>("/v1/runs/counts", { status: OPEN }, signal), refetchInterval: 5_000, retry: patient });
  const newest = useQuery({ queryKey: ["overview", "newest"], queryFn: ({ signal }) => get<Page<Run>>("/v1/runs", { status: "completed,failed", limit: 200 }, signal), refetchInterval: 10_000, retry: patient });
  const list = series.data ?? [];
  const total = list.reduce((sum, bucket) => sum + totalOf(bucket), 0);
  const rate = failureRate(list);
  const took = durations(newest.data?.items ?? []);
  const of = (status: RunStatus): number => open.data?.statuses[status] ?? 0;
  const backlog = of("ready") + of("queued");
  return (
    <>
      <div className="tiles">
        <Tile name="Runs created" icon={<TrendingUp />} value={series.data ? total.toLocaleString("en") : "…"} note={series.data ? `${perMinute(total, SPANS[back]!)} in the last ${back}` : " "} />
        <Tile name="Failed" icon={<CircleAlert />} value={series.data ? (rate === null ? "–" : `${(rate * 100).toFixed(rate > 0 && rate < 0.1 ? 1 : 0)}%`) : "…"} note="of those that ended" to={{ status: "failed", since: back }} bad={rate !== null && rate > 0.05} />
        <Tile name="Latency" icon={<Timer />} value={took.length ? words(quantile(took, 0.5)!) : "–"} note={took.length ? `median; p95 ${words(quantile(took, 0.95)!)}, of the last ${took.length}` : "of runs that ended"} />
        <Tile name="Backlog" icon={<Gauge />} value={open.data ? backlog.toLocaleString("en") : "…"} note="ready, or waiting for their start" to={{ status: "queued,ready" }} />
        <Tile name="Waiting" icon={<Hourglass />} value={open.data ? of("suspended").toLocaleString("en") : "…"} note="for a time, a signal, an event" to={{ status: "suspended" }} />
      </div>
      <section className="card">
        <header><h2>Runs by the time of their creation</h2><span className="grow" /><span className="legend"><span data-series="completed">completed</span><span data-series="failed">failed</span><span data-series="cancelled">cancelled</span><span data-series="open">open</span></span></header>
        <Columns buckets={list} pieces={BUCKETS} />
      </section>
    </>
  );
}

function perMinute(total: number, span: number): string {
  const rate = total / (span / 60_000);
  const short = (value: number): string => value.toFixed(1).replace(/\.0$/, "");
  return rate >= 120 ? `${short(rate / 60)} a second` : rate >= 1 ? `${short(rate)} a minute` : `${short(rate * 60)} an hour`;
}

function Tile({ name, icon, value, note, to, bad = false }: { name: string; icon: ReactNode; value: string; note: string; to?: { status: string; since?: string }; bad?: boolean }): ReactNode {
  const inner = <><span className="tile-name"><span aria-hidden="true">{icon}</span>{name}</span><strong className={bad ? "bad" : ""}>{value}</strong><span className="faint">{note}</span></>;
  return to ? <Link className="tile" to="/runs" search={to}>{inner}</Link> : <div className="tile">{inner}</div>;
}

function Start({ apps, functions }: { apps: number; functions: number }): ReactNode {
  if (apps === 0) return <Empty title="Nothing here yet: begin with an app" command="backstitch dev -- npm run dev">Start your app, and the server finds it. Or register one by its address on the <Link to="/apps">page of apps</Link>.</Empty>;
  return <Empty title="No runs yet" command={`backstitch send order/created '{"id": "17"}'`}>{functions} {functions === 1 ? "function is" : "functions are"} ready. <Link to="/send">Send an event or start one</Link>, and watch it here.</Empty>;
}

function Wanted({ title, status }: { title: string; status: RunStatus }): ReactNode {
  const { data } = useQuery({ queryKey: ["overview", status], queryFn: ({ signal }) => get<Page<Run>>("/v1/runs", { status, limit: 5 }, signal), refetchInterval: 5_000, retry: patient });
  return (
    <section className="card">
      <header><h2>{title}</h2><span className="grow" /><Link to="/runs" search={{ status }}>All<span className="sr"> runs that are {status}</span></Link></header>
      {!data ? <p className="faint">…</p> : data.items.length === 0 && <p className="faint">None. Good.</p>}
      {data?.items.map((run) => (
        <Link key={run.id} to="/runs/$run" params={{ run: run.id }} className="row-link">
          <Status status={run.status} /><span className="ellipsis grow"><strong>{run.function}</strong> <Id id={run.id} /> <span className="muted">{run.hold?.detail ?? run.lastError?.message}</span></span><span className="faint nowrap"><Time at={run.createdAt} /></span>
        </Link>
      ))}
    </section>
  );
}

function TopFailures(): ReactNode {
  const { data } = useFailures("24h");
  const groups = data?.items.slice(0, 5) ?? [];
  return (
    <section className="card">
      <header><h2>Failed in the last day</h2><span className="grow" /><Link to="/failures">All<span className="sr"> failures</span></Link></header>
      {!data ? <p className="faint">…</p> : groups.length === 0 && <p className="faint">None. Good.</p>}
      {groups.map((group) => (
        <Link key={`${group.app}/${group.function} ${group.name} ${group.shape}`} to="/failures" className="row-link"><strong className="bad">{group.count}×</strong><span className="ellipsis grow"><strong>{group.name}</strong> <span className="muted">{group.function}: {group.message}</span></span><span className="faint nowrap"><Time at={group.lastAt} /></span></Link>
      ))}
    </section>
  );
}
