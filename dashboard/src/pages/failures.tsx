/** Failures, grouped by what went wrong, so that ten thousand of them are five things to look at. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useMemo, useState } from "react";
import { get } from "../api/client.ts";
import { patient } from "../api/run.ts";
import type { FailureGroup, Failures } from "../api/types.ts";
import { asQuery, type RunSearch, SPANS } from "../lib/filters.ts";
import { Empty, Id, serverNow, Time, Trouble, Waiting } from "../ui/basics.tsx";
import { Tabs } from "../ui/controls.tsx";
import { BulkDialog } from "./bulk.tsx";

export function FailuresPage(): ReactNode {
  const [span, setSpan] = useState("24h");
  const { data, error, refetch } = useFailures(span);
  const [retrying, setRetrying] = useState<FailureGroup | null>(null);
  // What is counted is what is done: the span is read once, when somebody asks.
  const retry = useMemo(() => {
    const search = retrying ? { ...of(retrying, span), status: "failed" } : {};
    return { search, query: asQuery(search, serverNow()) };
  }, [retrying, span]);
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
                    <Link className="button small" to="/runs" search={{ ...of(group, span), status: "failed" }}>Runs<span className="sr"> that failed so</span></Link>{" "}
                    <button type="button" className="button small" onClick={() => setRetrying(group)}>Retry …</button>
                  </td>
                </tr>
              ))}</tbody>
            </table></div>
          </>
        )}
      {retrying && (
        <BulkDialog action="retry" about={<>The runs of <strong>{retrying.app}/{retrying.function}</strong> that failed with <strong>{retrying.name}</strong>{retrying.shape && <>: “{retrying.shape}”</>} in the last {span}, each from its first failure and as a fork. Those that have a fork already are left alone.</>} onClose={() => setRetrying(null)} {...retry} />
      )}
    </div>
  );
}

/** The filter that exactly one group passes. */
const of = (group: FailureGroup, since: string): RunSearch => ({ app: group.app, function: group.function, error: group.name, ...(group.shape === "" ? {} : { message: group.shape }), since });

/** Groups of failed runs, the largest first. */
export function useFailures(span: string) {
  return useQuery({
    queryKey: ["failures", span],
    queryFn: ({ signal }) => get<Failures>("/v1/failures", { since: new Date(serverNow() - SPANS[span]!).toISOString(), limit: 200 }, signal),
    refetchInterval: 15_000,
    retry: patient,
  });
}
