/** Failures, grouped by what went wrong, so that ten thousand of them are five things to look at. */
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { get } from "../api/client.ts";
import { patient } from "../api/run.ts";
import type { FailureGroup, Failures } from "../api/types.ts";
import { SPANS } from "../lib/filters.ts";
import { Empty, Id, serverNow, Time, Trouble, Waiting } from "../ui/basics.tsx";
import { Tabs } from "../ui/controls.tsx";
import { BulkDialog } from "./bulk.tsx";

export function FailuresPage(): ReactNode {
  const [span, setSpan] = useState("24h");
  const { data, error, refetch } = useFailures(span);
  const [retrying, setRetrying] = useState<FailureGroup | null>(null);
  const navigate = useNavigate();
  return (
    <div className="page">
      <div className="page-head">
        <h1>Failures</h1><title>Failures · Backstitch</title>
        <Tabs label="How far back" value={span} onChange={setSpan} tabs={Object.keys(SPANS).map((one) => [one, one] as const)} />
      </div>
      {error ? <Trouble error={error} retry={() => void refetch()} /> : !data ? <Waiting lines={5} /> : data.items.length === 0
        ? <Empty title="Nothing has failed">No run failed in the last {span}. May it stay so.</Empty>
        : (
          <>
            {!data.complete && <p className="faint">Of the {data.lookedAt.toLocaleString("en")} runs that failed last.</p>}
            <div className="scroll-x"><table className="plain-table on-phone">
              <thead><tr><th>Error</th><th>Function</th><th className="num">Runs</th><th className="num">First</th><th className="num">Last</th><th><span className="sr">Act</span></th></tr></thead>
              <tbody>{data.items.map((group) => (
                <tr key={`${group.app}/${group.function} ${group.name} ${group.shape}`}>
                  <td><strong className="bad">{group.name}</strong><div className="muted failure-message">{group.message}</div></td>
                  <td><Link to="/functions/$app/$fn" params={{ app: group.app, fn: group.function }}><span className="muted">{group.app}/</span>{group.function}</Link></td>
                  <td className="num" data-label="Runs"><strong>{group.count.toLocaleString("en")}</strong></td>
                  <td className="num nowrap" data-label="First"><Time at={group.firstAt} /></td>
                  <td className="num nowrap" data-label="Last"><Time at={group.lastAt} /></td>
                  <td className="num nowrap acts">
                    {group.runs[0] && <Link className="button small" to="/runs/$run" params={{ run: group.runs[0] }} title={group.runs[0]}>Newest <Id id={group.runs[0]} /></Link>}{" "}
                    <button type="button" className="button small" onClick={() => void navigate({ to: "/runs", search: { status: "failed", app: group.app, function: group.function, since: span } })}>Runs</button>{" "}
                    <button type="button" className="button small" onClick={() => setRetrying(group)}>Retry …</button>
                  </td>
                </tr>
              ))}</tbody>
            </table></div>
          </>
        )}
      {retrying && (
        <BulkDialog action="retry" about={<>All runs of <strong>{retrying.app}/{retrying.function}</strong> that failed in the last {span}, whatever their error, each from its first failure and as a fork. Those that have a fork already are left alone.</>} onClose={() => setRetrying(null)} search={{ status: "failed", app: retrying.app, function: retrying.function, since: span }}
          query={{ app: retrying.app, function: retrying.function, since: new Date(serverNow() - SPANS[span]!).toISOString() }} />
      )}
    </div>
  );
}

/** Groups of failed runs, the largest first. */
export function useFailures(span: string) {
  return useQuery({
    queryKey: ["failures", span],
    queryFn: ({ signal }) => get<Failures>("/v1/failures", { since: new Date(serverNow() - SPANS[span]!).toISOString(), limit: 200 }, signal),
    refetchInterval: 15_000,
    retry: patient,
  });
}
