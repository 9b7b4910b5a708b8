/** The overview: whether all is well, what is under way, and what wants somebody. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { get } from "../api/client.ts";
import { apps, functions } from "../api/queries.ts";
import { patient } from "../api/run.ts";
import type { Page, Run, RunStatus } from "../api/types.ts";
import { SPANS } from "../lib/filters.ts";
import { Empty, Id, Status, Time, Trouble } from "../ui/basics.tsx";
import { Tabs } from "../ui/controls.tsx";
import { useFailures } from "./failures.tsx";
import { Figures } from "./figures.tsx";
import { RunsTable } from "./runs.tsx";

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
          <Figures back={back}>
            <div className="cards thirds">
              <Wanted title="Held: somebody has to do something" status="paused" />
              <Wanted title="Failing, and tried again" status="backoff" />
              <TopFailures />
            </div>
          </Figures>
          <h2>Newest runs</h2>
          <RunsTable query={{}} compact />
        </>
      )}
    </div>
  );
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
