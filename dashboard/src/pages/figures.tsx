/** What the server says of a span of time, in numbers and charts: throughput, failures, how long runs take, what is open. Of all runs or of one function. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { CircleAlert, Gauge, Hourglass, Timer, TrendingUp } from "lucide-react";
import type { ReactNode } from "react";
import { get } from "../api/client.ts";
import { patient } from "../api/run.ts";
import type { RunStatus, Stats } from "../api/types.ts";
import { type RunSearch, SPANS } from "../lib/filters.ts";
import { failureRate, totalOf } from "../lib/series.ts";
import { ms, span as words } from "../lib/time.ts";
import { Columns, Lines } from "../ui/chart.tsx";

interface Counts {
  total: number;
  statuses: Partial<Record<RunStatus, number>>;
}

const OPEN = "queued,ready,suspended,backoff,paused";

/** `children` stand between the numbers and the charts. */
export function Figures({ back, of, children }: { back: string; of?: { app: string; function: string }; children?: ReactNode }): ReactNode {
  const stats = useQuery({ queryKey: ["stats", back, of], queryFn: ({ signal }) => get<Stats>("/v1/stats", { span: back, ...of }, signal), refetchInterval: 10_000, retry: patient, placeholderData: (old) => old });
  const open = useQuery({ queryKey: ["open", of], queryFn: ({ signal }) => get<Counts>("/v1/runs/counts", { status: OPEN, ...of }, signal), refetchInterval: 5_000, retry: patient });
  const pieces = stats.data?.pieces ?? [];
  const total = pieces.reduce((sum, piece) => sum + totalOf(piece), 0);
  const rate = failureRate(pieces);
  const took = stats.data?.took;
  const openNow = (status: RunStatus): number => open.data?.statuses[status] ?? 0;
  const times = pieces.map((piece) => ({ from: ms(piece.from), until: ms(piece.until) }));
  const share = (value: number): string => `${(value * 100).toFixed(value > 0 && value < 0.1 ? 1 : 0)}%`;
  const throughput = (
    <section className="card">
      <header><h2>Throughput</h2>{!of && <span className="faint">runs by the time of their creation</span>}<span className="grow" /><span className="legend"><span data-series="completed">completed</span><span data-series="failed">failed</span><span data-series="cancelled">cancelled</span><span data-series="open">open</span></span></header>
      <Columns pieces={pieces} />
    </section>
  );
  return (
    <>
      <div className="tiles">
        <Tile name="Runs created" icon={<TrendingUp />} value={stats.data ? total.toLocaleString("en") : "…"} note={stats.data ? `${perMinute(total, SPANS[back]!)} in the last ${back}` : " "} />
        <Tile name="Failed" icon={<CircleAlert />} value={stats.data ? (rate === null ? "–" : share(rate)) : "…"} note="of those that ended" to={{ ...of, status: "failed", since: back }} bad={rate !== null && rate > 0.05} />
        <Tile name="Latency" icon={<Timer />} value={took ? words(took.p50) : "–"} note={took ? `median; p95 ${words(took.p95)}` : "of runs that ended"} />
        <Tile name="Backlog" icon={<Gauge />} value={open.data ? (openNow("ready") + openNow("queued")).toLocaleString("en") : "…"} note="ready, or waiting for their start" to={{ ...of, status: "queued,ready" }} />
        <Tile name="Waiting" icon={<Hourglass />} value={open.data ? openNow("suspended").toLocaleString("en") : "…"} note="for a time, a signal, an event" to={{ ...of, status: "suspended" }} />
      </div>
      {children}
      {!of && throughput}
      <div className="cards thirds charts">
        {of && throughput}
        <section className="card">
          <header><h2>Latency</h2><span className="grow" /><span className="legend"><span data-series="median">median</span><span data-series="p95">p95</span></span></header>
          <Lines caption="How long runs took that were created then" times={times} say={words}
            series={[{ name: "p95", kind: "p95", values: pieces.map((piece) => piece.took?.p95 ?? null) }, { name: "median", kind: "median", values: pieces.map((piece) => piece.took?.p50 ?? null) }]} />
        </section>
        <section className="card">
          <header><h2>Failure rate</h2><span className="faint">of runs that ended</span></header>
          <Lines caption="Share of the runs that ended which failed, by the time of their creation" times={times} say={share} top={1}
            series={[{ name: "failed", kind: "failed", values: pieces.map((piece) => failureRate([piece])) }]} />
        </section>
        {!of && (
          <section className="card">
            <header><h2>Open runs</h2><span className="grow" /><span className="legend"><span data-series="backlog">backlog</span><span data-series="open">waiting</span><span data-series="failed">failing</span></span></header>
            <Lines caption="The most runs that were open at once" times={times} say={(value) => Math.round(value).toLocaleString("en")} absent="The server counts the open runs every 15 seconds; it has not done so in this time."
              series={[{ name: "waiting", kind: "open", values: pieces.map((piece) => piece.open?.waiting ?? null) }, { name: "failing", kind: "failed", values: pieces.map((piece) => piece.open?.failing ?? null) }, { name: "backlog", kind: "backlog", values: pieces.map((piece) => piece.open?.backlog ?? null) }]} />
          </section>
        )}
      </div>
    </>
  );
}

function perMinute(total: number, span: number): string {
  const rate = total / (span / 60_000);
  const short = (value: number): string => value.toFixed(1).replace(/\.0$/, "");
  return rate >= 120 ? `${short(rate / 60)} a second` : rate >= 1 ? `${short(rate)} a minute` : `${short(rate * 60)} an hour`;
}

function Tile({ name, icon, value, note, to, bad = false }: { name: string; icon: ReactNode; value: string; note: string; to?: RunSearch; bad?: boolean }): ReactNode {
  const inner = <><span className="tile-name"><span aria-hidden="true">{icon}</span>{name}</span><strong className={bad ? "bad" : ""}>{value}</strong><span className="faint">{note}</span></>;
  return to ? <Link className="tile" to="/runs" search={to}>{inner}</Link> : <div className="tile">{inner}</div>;
}
