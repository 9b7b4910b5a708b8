/** Events: the feed, and one event with its payload, what it started, what it did not start and why, and the way to send it again. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Send } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { get } from "../api/client.ts";
import { event } from "../api/queries.ts";
import { patient } from "../api/run.ts";
import type { Event, Page } from "../api/types.ts";
import { line, print } from "../lib/digits.ts";
import { absolute } from "../lib/time.ts";
import { eventRoute, eventsRoute } from "../router.tsx";
import { CopyButton, Empty, Id, Status, Time, Trouble, Waiting } from "../ui/basics.tsx";
import { JsonView } from "../ui/json.tsx";
import { RunLine } from "./run/children.tsx";

/** Pages of the feed that are asked for anew; further ones would be asked for as a whole every few seconds. */
const LIVE_PAGES = 2;

export function EventsPage(): ReactNode {
  const { name } = eventsRoute.useSearch();
  const navigate = useNavigate({ from: "/events" });
  const [text, setText] = useState(name ?? "");
  useEffect(() => setText(name ?? ""), [name]);
  const { data, error, fetchNextPage, hasNextPage, isFetchingNextPage, refetch } = useInfiniteQuery({
    queryKey: ["events", name ?? ""],
    queryFn: ({ pageParam, signal }) => get<Page<Event>>("/v1/events", { name, limit: 100, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) <= LIVE_PAGES ? 3_000 : false),
    retry: patient,
  });
  const items = data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <div className="page">
      <div className="page-head">
        <h1>Events</h1><title>Events · Backstitch</title>
        <form className="inline-form" role="search" onSubmit={(event) => { event.preventDefault(); void navigate({ search: { name: text.trim() || undefined } }); }}>
          <input data-search="" type="search" aria-label="Name of the event" placeholder="Name, such as order/created" value={text} onChange={(event) => { setText(event.target.value); if (event.target.value === "") void navigate({ search: {} }); }} />
          <button type="submit" className="button">Filter</button>
        </form>
        <Link to="/send" className="button primary"><Send aria-hidden="true" />Send an event</Link>
      </div>
      {error ? <Trouble error={error} retry={() => void refetch()} /> : !data ? <Waiting lines={6} /> : items.length === 0
        ? <Empty title={name ? `No event named ${name}` : "No events yet"} command={`backstitch send ${name ?? "order/created"} '{"id": "17"}'`}>An event is a fact with a name. It starts a run of every function that it triggers.</Empty>
        : (
          <>
            <div className="scroll-x"><table className="plain-table on-phone">
              <thead><tr><th>Name</th><th>Event</th><th>Data</th><th>From</th><th className="num">When</th></tr></thead>
              <tbody>{items.map((one) => (
                <tr key={one.id}>
                  <td><Link to="/events/$event" params={{ event: one.id }}><strong>{one.name}</strong></Link></td>
                  <td><Id id={one.id} /></td>
                  <td><code className="muted event-data">{line(one.data ?? null).slice(0, 120)}</code></td>
                  <td className="muted" data-label="From">{one.source ? <Source source={one.source} /> : "a client"}</td>
                  <td className="num nowrap"><Time at={one.at} /></td>
                </tr>
              ))}</tbody>
            </table></div>
            {hasNextPage && <button type="button" className="button" disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>{isFetchingNextPage ? "Reading …" : "Older events"}</button>}
          </>
        )}
    </div>
  );
}

function Source({ source }: { source: string }): ReactNode {
  return source.startsWith("run_") ? <Link to="/runs/$run" params={{ run: source }}><Id id={source} /></Link> : <>{source}</>;
}

export function EventPage(): ReactNode {
  const { event: id } = eventRoute.useParams();
  const { data, error, refetch } = useQuery({ ...event(id), refetchInterval: 5_000 });
  if (error) return <div className="page"><Trouble error={error} retry={() => void refetch()} /></div>;
  if (!data) return <div className="page"><Waiting lines={6} /></div>;
  return (
    <div className="page">
      <div className="page-head">
        <h1>{data.name}</h1><title>{`${data.name} · Backstitch`}</title>
        <span className="run-id"><Id id={data.id} /><CopyButton text={data.id} label="Copy the event's id" /></span>
        <Link className="button primary" to="/send" search={{ event: data.name, data: print(data.data ?? null) }}><Send aria-hidden="true" />Send it again …</Link>
      </div>
      <dl className="facts">
        <div><dt>Accepted</dt><dd title={data.at}>{absolute(data.at)}</dd></div>
        {data.clientId && <div><dt>Id of its sender</dt><dd><code>{data.clientId}</code></dd></div>}
        <div><dt>From</dt><dd>{data.source ? <Source source={data.source} /> : "a client"}</dd></div>
      </dl>
      <div className="cards">
        <section className="card">
          <header><h2>What it did</h2></header>
          {data.runs?.length ? <ul className="list">{data.runs.map((run) => <RunLine key={run.id} id={run.id} />)}</ul> : <p className="faint">It started no run{data.verdicts?.length ? ": below is why." : data.woken?.length ? "." : ". No function is triggered by an event of this name."}</p>}
          {(data.woken?.length ?? 0) > 0 && (
            <>
              <h3>It woke</h3>
              <ul className="list">{data.woken!.map((one) => <li key={`${one.id} ${one.entry}`}><Status status={one.status} /><Link to="/runs/$run" params={{ run: one.id }} search={{ entry: one.entry }}>{one.app}/{one.function} <Id id={one.id} /></Link><span className="muted">that waited in <code>{one.entry}</code></span></li>)}</ul>
            </>
          )}
          {(data.verdicts?.length ?? 0) > 0 && (
            <>
              <h3>And did not start</h3>
              <ul className="list">{data.verdicts!.map((one) => <li key={`${one.app}/${one.function}`}><Link to="/functions/$app/$fn" params={{ app: one.app, fn: one.function }}>{one.app}/{one.function}</Link><span className="tag">{VERDICTS[one.verdict] ?? one.verdict}</span>{one.detail && <span className="muted">{one.detail}</span>}</li>)}</ul>
            </>
          )}
        </section>
        <JsonView label="Data" value={data.data} open={4} />
      </div>
    </div>
  );
}

const VERDICTS: Record<string, string> = { filtered: "its filter said no", filterFailed: "its filter failed" };
