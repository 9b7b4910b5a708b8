/** What went over the wire: the last calls of handlers with request and response, which a server for development keeps for a while. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { get } from "../api/client.ts";
import { patient } from "../api/run.ts";
import type { Json, Page } from "../api/types.ts";
import { parse } from "../lib/digits.ts";
import { clock, span } from "../lib/time.ts";
import { CopyButton, Empty, Id, Trouble, Waiting } from "../ui/basics.tsx";
import { JsonView } from "../ui/json.tsx";

export interface Exchange {
  n: number;
  run: string;
  app: string;
  function: string;
  url: string;
  at: string;
  tookMs: number | null;
  request: { headers: [string, string][]; body: string; bytes: number };
  response: { status: number; headers: [string, string][]; body: string; bytes: number } | null;
  trouble: string | null;
}

export function WirePage(): ReactNode {
  return (
    <div className="page">
      <div className="page-head"><h1>Wire</h1><title>Wire · Backstitch</title><span className="muted">The last calls of handlers, as they were sent and answered. This server keeps them because it is for development.</span></div>
      <WireList />
    </div>
  );
}

export function WireList({ run }: { run?: string }): ReactNode {
  const { data, error } = useQuery({ queryKey: ["wire", run ?? ""], queryFn: ({ signal }) => get<Page<Exchange>>("/dev/invocations", { run }, signal), refetchInterval: 2_000, retry: patient });
  const [open, setOpen] = useState<number | null>(null);
  if (error) return <Trouble error={error} />;
  if (!data) return <Waiting lines={4} />;
  if (data.items.length === 0) return <Empty title="No calls yet">As soon as the server calls a handler{run ? " for this run" : ""}, the request and the response are here.</Empty>;
  return (
    <ul className="wire">
      {data.items.map((one) => (
        <li key={one.n}>
          <button type="button" className="wire-line" aria-expanded={open === one.n} onClick={() => setOpen(open === one.n ? null : one.n)}>
            <span className={`code-status ${one.trouble ? "bad" : one.response && one.response.status < 300 ? "good" : one.response ? "bad" : ""}`}>{one.response?.status ?? (one.trouble ? "none" : "…")}</span>
            <span className="faint nowrap">{clock(one.at)}</span>
            <span className="ellipsis"><strong>{one.app}/{one.function}</strong> {!run && <Id id={one.run} />}</span>
            <span className="num faint">{one.tookMs === null ? "open" : span(one.tookMs)}</span>
          </button>
          {open === one.n && (
            <div className="wire-open">
              {one.trouble && <p className="bad">{one.trouble}</p>}
              {!run && <p><Link to="/runs/$run" params={{ run: one.run }}>Open the run</Link></p>}
              <Half title={`POST ${one.url}`} headers={one.request.headers} body={one.request.body} bytes={one.request.bytes} />
              {one.response && <Half title={`${one.response.status}`} headers={one.response.headers} body={one.response.body} bytes={one.response.bytes} />}
            </div>
          )}
        </li>
      ))}
    </ul>
  );
}

function Half({ title, headers, body, bytes }: { title: string; headers: [string, string][]; body: string; bytes: number }): ReactNode {
  const json = read(body);
  return (
    <div className="wire-half">
      <div className="wire-title"><code className="ellipsis">{title}</code><span className="faint nowrap">{bytes.toLocaleString("en")} bytes</span><CopyButton text={body} label="Copy the body" /></div>
      <details><summary>{headers.length} headers</summary><dl className="headers">{headers.map(([name, value], i) => <div key={i}><dt>{name}</dt><dd>{value}</dd></div>)}</dl></details>
      {json === undefined ? <pre tabIndex={0}>{body === "" ? "(empty)" : body}</pre> : <JsonView value={json} open={3} />}
    </div>
  );
}

function read(body: string): Json | undefined {
  try {
    return parse(body) as Json;
  } catch {
    return undefined;
  }
}
