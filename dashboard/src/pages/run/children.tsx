/** The runs around a run: whose child it is, its children, its forks. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { get } from "../../api/client.ts";
import type { Entry, Page, Run } from "../../api/types.ts";
import { Id, Status, Time } from "../../ui/basics.tsx";

export function Children({ run, entries }: { run: Run; entries: readonly Entry[] }): ReactNode {
  const forks = useQuery({ queryKey: ["forks", run.id], queryFn: ({ signal }) => get<Page<Run>>("/v1/runs", { previous: run.id, limit: 50 }, signal) });
  const children = entries.filter((entry) => entry.child !== null);
  const detached = entries.filter((entry) => entry.op === "invoke" && entry.child === null && typeof entry.ok === "object" && entry.ok !== null && "ids" in entry.ok).flatMap((entry) => ((entry.ok as { ids: string[] }).ids ?? []).map((id) => ({ id, entry: entry.id })));
  const sent = entries.filter((entry) => entry.op === "send" && typeof entry.ok === "object" && entry.ok !== null && "ids" in entry.ok).flatMap((entry) => ((entry.ok as { ids: string[] }).ids ?? []).map((id) => ({ id, entry: entry.id })));
  const nothing = !run.parent && children.length === 0 && detached.length === 0 && sent.length === 0 && (forks.data?.items.length ?? 0) === 0 && !run.previous && !run.continuedAs && !run.event;
  return (
    <div className="stack">
      {run.event && <Group title="Started by the event"><li><Link to="/events/$event" params={{ event: run.event }}><Id id={run.event} short={false} /></Link></li></Group>}
      {run.parent && <Group title="Parent"><RunLine id={run.parent.run} note={`entry ${run.parent.idx} waits for it`} /></Group>}
      {run.root !== run.id && run.root !== run.parent?.run && <Group title="At the root"><RunLine id={run.root} /></Group>}
      {children.length > 0 && <Group title="Children">{children.map((entry) => <RunLine key={entry.id} id={entry.child!} note={entry.id} />)}</Group>}
      {detached.length > 0 && <Group title="Started and not waited for">{detached.map((one) => <RunLine key={one.id} id={one.id} note={one.entry} />)}</Group>}
      {run.previous && <Group title={run.previous.origin === "fork" ? "Forked from" : "Continues"}><RunLine id={run.previous.run} /></Group>}
      {run.continuedAs && <Group title="Went on as"><RunLine id={run.continuedAs} /></Group>}
      {(forks.data?.items.length ?? 0) > 0 && <Group title="Forks and what goes on from it">{forks.data!.items.map((one) => <RunLine key={one.id} id={one.id} run={one} />)}</Group>}
      {sent.length > 0 && <Group title="Events that it sent">{sent.map((one) => <li key={one.id}><Link to="/events/$event" params={{ event: one.id }}><Id id={one.id} /></Link> <span className="muted">{one.entry}</span></li>)}</Group>}
      {nothing && <p className="faint">It has no parent, no children and no forks.</p>}
    </div>
  );
}

function Group({ title, children }: { title: string; children: ReactNode }): ReactNode {
  return <div><h3>{title}</h3><ul className="list">{children}</ul></div>;
}

/** A run as a line, with its status as it is now. */
export function RunLine({ id, note, run }: { id: string; note?: string; run?: Run }): ReactNode {
  const { data } = useQuery({ queryKey: ["run", id, "head"], queryFn: ({ signal }) => get<Run>(`/v1/runs/${id}`, {}, signal), enabled: !run, staleTime: 3_000, refetchInterval: 5_000, retry: false });
  const shown = run ?? data;
  return (
    <li>
      <Link to="/runs/$run" params={{ run: id }}>{shown ? <>{shown.app}/{shown.function} </> : null}<Id id={id} /></Link>
      {shown && <Status status={shown.status} />}
      {note && <span className="muted">{note}</span>}
      {shown && <span className="faint"><Time at={shown.createdAt} /></span>}
    </li>
  );
}
