/** One action on every run that the list's filter matches: counted first, then worked off by the server, with its progress shown. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useEffect, useState } from "react";
import { get, path, type Query, write } from "../api/client.ts";
import type { Job } from "../api/types.ts";
import { type RunSearch, statuses } from "../lib/filters.ts";
import { Trouble, Waiting } from "../ui/basics.tsx";
import { Act, Dialog, Field } from "../ui/controls.tsx";

export type BulkAction = "cancel" | "retry" | "fork" | "pause" | "resume";

const MEANS: Record<BulkAction, string> = {
  cancel: "Each handler is told, and may put things right; after a minute the run is ended.",
  retry: "Each run that failed or was cancelled is started again from its first failure, as a fork. Runs that have a fork already are left alone.",
  fork: "Each run is made again from the entry that you name, or as a whole. The originals stay as they are.",
  pause: "Each run is held until somebody resumes it. Timers and waits go on.",
  resume: "Each held run goes on.",
};

export function BulkDialog({ action, search, query, onClose, about }: { action: BulkAction | null; search: RunSearch; query: Query; onClose: () => void; about?: ReactNode }): ReactNode {
  return (
    <Dialog open={action !== null} onClose={onClose} title={action === null ? "" : `${action.charAt(0).toUpperCase()}${action.slice(1)} all that match`} about={about ?? (action && MEANS[action])}>
      {action && <Bulk action={action} search={search} query={query} onClose={onClose} />}
    </Dialog>
  );
}

/** The filter as a job takes it: what may come several times as lists. */
export function jobFilter(search: RunSearch, query: Query): Record<string, unknown> {
  const { status: _status, tag, attribute, ...rest } = query;
  const chosen = statuses(search);
  const lists = { status: chosen, tag: tag === undefined ? [] : [tag], attribute: attribute === undefined ? [] : [attribute] };
  return { ...rest, ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)) };
}

function Bulk({ action, search, query, onClose }: { action: BulkAction; search: RunSearch; query: Query; onClose: () => void }): ReactNode {
  const [at, setAt] = useState("");
  const [job, setJob] = useState<string | null>(null);
  const body = { action, filter: jobFilter(search, query), ...(action === "fork" && at !== "" ? { options: { at } } : {}) };
  const count = useQuery({ queryKey: ["count", JSON.stringify(body)], queryFn: () => write<{ total: number }>("POST", "/v1/jobs", { ...body, dryRun: true }), staleTime: 0, retry: false });
  if (job !== null) return <Progress job={job} onClose={onClose} />;
  const total = count.data?.total;
  return (
    <Act label={count.error ? `${action.charAt(0).toUpperCase()}${action.slice(1)}` : total === undefined ? "Counting …" : `${action.charAt(0).toUpperCase()}${action.slice(1)} ${total.toLocaleString("en")} ${total === 1 ? "run" : "runs"}`} danger={action === "cancel"} disabled={!total}
      act={async () => setJob((await write<Job>("POST", "/v1/jobs", body)).id)}>
      {action === "fork" && <Field label="From entry" hint="The first entry to be done again. Empty: the whole run is made again.">{(id) => <input id={id} value={at} onChange={(event) => setAt(event.target.value)} placeholder="charge" />}</Field>}
      <p className="count" role="status">
        {count.isPending ? <Waiting lines={1} label="Counting" /> : count.error ? <Trouble error={count.error} /> : <><strong>{total?.toLocaleString("en")}</strong> {total === 1 ? "run matches" : "runs match"} {Object.keys(search).length > 0 ? "this filter" : "without a filter"}, among those that can be {action === "cancel" ? "cancelled" : `${action.replace(/e$/, "").replace(/y$/, "i")}ed`}.</>}
      </p>
    </Act>
  );
}

/** A job's progress, until it has ended. */
export function Progress({ job, onClose, children }: { job: string; onClose: () => void; children?: ReactNode }): ReactNode {
  const [ended, setEnded] = useState(false);
  const { data, error } = useQuery({ queryKey: ["jobs", job], queryFn: ({ signal }) => get<Job>(`/v1${path("jobs", job)}`, {}, signal), refetchInterval: ended ? false : 500 });
  useEffect(() => setEnded(data !== undefined && data.status !== "running"), [data]);
  if (error) return <Trouble error={error} />;
  if (!data) return <Waiting lines={2} />;
  return (
    <div className="stack">
      <Bar job={data} />
      {data.lastError && <p className="bad">{data.lastError}</p>}
      <div className="actions">
        {data.status === "running" && <button type="button" className="button" onClick={() => void write("DELETE", `/v1${path("jobs", job)}`)}>Stop where it is</button>}
        {children}
        <Link to="/jobs" className="button">All jobs</Link>
        <button type="button" className="button primary" onClick={onClose}>{data.status === "running" ? "Let it go on" : "Close"}</button>
      </div>
    </div>
  );
}

export function Bar({ job }: { job: Job }): ReactNode {
  const max = Math.max(job.total, job.done + job.failed, 1);
  return (
    <div className="progress" data-status={job.status}>
      <div className="progress-track" role="progressbar" aria-label={`${job.action}: ${job.done} of ${job.total}`} aria-valuemin={0} aria-valuemax={max} aria-valuenow={job.done}>
        <span style={{ width: `${(100 * job.done) / max}%` }} /><span className="failed" style={{ width: `${(100 * job.failed) / max}%` }} />
      </div>
      <span className="nowrap">{job.done.toLocaleString("en")} of {job.total.toLocaleString("en")} done{job.failed > 0 && <span className="bad">, {job.failed.toLocaleString("en")} {job.action === "backfill" ? "failed" : "refused"}</span>}{job.status === "stopped" && ", stopped"}</span>
    </div>
  );
}
