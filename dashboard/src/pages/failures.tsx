/** Failures, grouped by what went wrong, so that ten thousand of them are five things to look at. */
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { get } from "../api/client.ts";
import { useCan } from "../api/queries.ts";
import { patient } from "../api/run.ts";
import type { Page, Run } from "../api/types.ts";
import { type FailureGroup, grouped } from "../lib/failures.ts";
import { SPANS } from "../lib/filters.ts";
import { Empty, Id, serverNow, Time, Trouble, Waiting } from "../ui/basics.tsx";
import { Tabs } from "../ui/controls.tsx";
import { BulkDialog } from "./bulk.tsx";

/** Failed runs that are looked at where the server does not group them itself. */
const LOOKED_AT = 200;

export function FailuresPage(): ReactNode {
  const [span, setSpan] = useState("24h");
  const { data, error, refetch, exact } = useFailures(span);
  const [retrying, setRetrying] = useState<FailureGroup | null>(null);
  const navigate = useNavigate();
  return (
    <div className="page">
      <div className="page-head">
        <h1>Failures</h1><title>Failures · Backstitch</title>
        <Tabs label="How far back" value={span} onChange={setSpan} tabs={Object.keys(SPANS).map((one) => [one, one] as const)} />
      </div>
      {error ? <Trouble error={error} retry={() => void refetch()} /> : !data ? <Waiting lines={5} /> : data.length === 0
        ? <Empty title="Nothing has failed">No run failed in the last {span}. May it stay so.</Empty>
        : (
          <>
            {!exact && <p className="faint">Of the {LOOKED_AT} runs that failed last.</p>}
            <div className="scroll-x"><table className="plain-table">
              <thead><tr><th>Error</th><th>Function</th><th className="num">Runs</th><th className="num">First</th><th className="num">Last</th><th><span className="sr">Act</span></th></tr></thead>
              <tbody>{data.map((group) => (
                <tr key={group.id}>
                  <td><strong className="bad">{group.name}</strong><div className="muted failure-message">{group.message}</div></td>
                  <td><Link to="/functions/$app/$fn" params={{ app: group.app, fn: group.function }}><span className="muted">{group.app}/</span>{group.function}</Link></td>
                  <td className="num"><strong>{group.count.toLocaleString("en")}</strong></td>
                  <td className="num nowrap"><Time at={group.first} /></td>
                  <td className="num nowrap"><Time at={group.last} /></td>
                  <td className="num nowrap">
                    {group.run && <Link className="button small" to="/runs/$run" params={{ run: group.run }} title={group.run}>Newest <Id id={group.run} /></Link>}{" "}
                    <button type="button" className="button small" onClick={() => void navigate({ to: "/runs", search: { status: "failed", app: group.app, function: group.function, since: span } })}>Runs</button>{" "}
                    <button type="button" className="button small" onClick={() => setRetrying(group)}>Retry …</button>
                  </td>
                </tr>
              ))}</tbody>
            </table></div>
          </>
        )}
      {retrying && (
        <BulkDialog action="retry" onClose={() => setRetrying(null)} search={{ status: "failed", app: retrying.app, function: retrying.function, since: span }}
          query={{ app: retrying.app, function: retrying.function, since: new Date(serverNow() - SPANS[span]!).toISOString() }} />
      )}
    </div>
  );
}

/** A group as the server makes it. */
interface ServerGroup extends Pick<FailureGroup, "id" | "app" | "function" | "name" | "message" | "count"> {
  firstAt: string;
  lastAt: string;
  runs: string[];
}

/** Groups as the server makes them; from its newest failed runs where it makes none. */
export function useFailures(span: string): { data: FailureGroup[] | undefined; error: unknown; refetch: () => unknown; exact: boolean } {
  const exact = useCan("/v1/failures");
  const query = useQuery({
    queryKey: ["failures", span, exact],
    queryFn: async ({ signal }) => {
      const since = new Date(serverNow() - SPANS[span]!).toISOString();
      if (exact) {
        const found = await get<{ items: ServerGroup[] }>("/v1/failures", { since, limit: 200 }, signal);
        return found.items.map((group): FailureGroup => ({ ...group, first: group.firstAt, last: group.lastAt, run: group.runs[0] ?? null }));
      }
      const page = await get<Page<Run>>("/v1/runs", { status: "failed", since, limit: LOOKED_AT }, signal);
      // Lists have no outcomes: the newest runs of each function are asked for theirs.
      const runs = await Promise.all(page.items.slice(0, 60).map((run) => get<Run>(`/v1/runs/${run.id}`, {}, signal).catch(() => run)));
      return grouped(runs);
    },
    refetchInterval: 15_000,
    retry: patient,
  });
  return { data: query.data, error: query.error, refetch: query.refetch, exact };
}
