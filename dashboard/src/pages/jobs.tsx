/** Actions on many runs: what is under way, what was done, what was refused. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { path, write } from "../api/client.ts";
import { jobs } from "../api/queries.ts";
import type { Job } from "../api/types.ts";
import { readSearch } from "../lib/filters.ts";
import { absolute } from "../lib/time.ts";
import { Empty, Time, Trouble, Waiting } from "../ui/basics.tsx";
import { Bar } from "./bulk.tsx";

export function JobsPage(): ReactNode {
  const { data, error, refetch } = useQuery(jobs);
  return (
    <div className="page">
      <div className="page-head"><h1>Jobs</h1><title>Jobs · Backstitch</title><span className="muted">Actions on all runs that a filter matches. They survive a restart of the server.</span></div>
      {error ? <Trouble error={error} retry={() => void refetch()} /> : !data ? <Waiting /> : data.items.length === 0
        ? <Empty title="No jobs yet" command="backstitch jobs start retry --status failed --since 24h">Choose <Link to="/runs">runs</Link> by a filter, then do something with all that match.</Empty>
        : (
          <div className="scroll-x"><table className="plain-table on-phone">
            <thead><tr><th>Action</th><th>On</th><th>Progress</th><th>Started</th><th><span className="sr">Stop</span></th></tr></thead>
            <tbody>{data.items.map((job) => (
              <tr key={job.id}>
                <td><strong>{job.action}</strong></td>
                <td><On job={job} /></td>
                <td><Bar job={job} />{job.lastError && <span className="bad">{job.lastError}</span>}</td>
                <td className="nowrap" data-label="Started"><Time at={job.createdAt} /></td>
                <td>{job.status === "running" && <button type="button" className="button small" onClick={() => void write("DELETE", `/v1${path("jobs", job.id)}`).then(() => refetch())}>Stop</button>}</td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
    </div>
  );
}

/** What a job is about. */
function On({ job }: { job: Job }): ReactNode {
  const filling = job.options.backfill as { schedule: string; from: string; until: string } | undefined;
  if (!filling) return <Link to="/runs" search={readSearch(flat(job.filter))}>{words(job.filter)}</Link>;
  return <><Link to="/runs" search={{ schedule: filling.schedule }}>{filling.schedule}</Link> <span className="muted"><span className="nowrap">from {absolute(filling.from).slice(0, 16)}</span> <span className="nowrap">until {absolute(filling.until).slice(0, 16)}</span></span></>;
}

function flat(filter: { [name: string]: unknown }): Record<string, unknown> {
  return Object.fromEntries(Object.entries(filter).map(([name, value]) => [name === "statuses" ? "status" : name, Array.isArray(value) ? value.join(",") : value]));
}

function words(filter: { [name: string]: unknown }): string {
  const parts = Object.entries(flat(filter)).filter(([, value]) => value !== null && value !== "");
  return parts.length === 0 ? "all runs" : parts.map(([name, value]) => `${name} ${String(value)}`).join(", ");
}
