/** The clock of a server for development: it can be moved on, so that a sleep of a week takes a click. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { FastForward, SkipForward } from "lucide-react";
import { type ReactNode, useState } from "react";
import { get, write } from "../api/client.ts";
import { useCan } from "../api/queries.ts";
import { absolute, ms, span } from "../lib/time.ts";
import { Trouble, useNow } from "../ui/basics.tsx";

interface ClockState {
  now: string;
  /** The next timer of anything, if there is one. */
  next?: string | null;
  nextTimer?: string | null;
  /** How far it is ahead of the wall, in milliseconds. */
  aheadMs?: number;
}

export function Clock(): ReactNode {
  const can = useCan("/dev/clock");
  const client = useQueryClient();
  const { data } = useQuery({ queryKey: ["clock"], queryFn: ({ signal }) => get<ClockState>("/dev/clock", {}, signal), enabled: can, refetchInterval: 3_000 });
  const [error, setError] = useState<unknown>(null);
  const now = useNow();
  if (!can || !data) return null;
  const next = data.next ?? data.nextTimer;
  const go = (body: object): void => {
    setError(null);
    write("POST", "/dev/clock/advance", body).then(() => client.invalidateQueries(), setError);
  };
  return (
    <section className="card">
      <header><h2>Clock</h2><span className="faint">for development</span></header>
      <dl className="facts">
        <div><dt>The server's time</dt><dd>{absolute(now).slice(0, 19)}</dd></div>
        {next && <div><dt>Next timer</dt><dd>in {span(Math.max(0, ms(next) - now))}</dd></div>}
      </dl>
      <div className="actions start">
        <button type="button" className="button" disabled={!next} onClick={() => go({ to: "next" })}><SkipForward aria-hidden="true" />To the next timer</button>
        <button type="button" className="button" onClick={() => go({ by: "1h" })}><FastForward aria-hidden="true" />1 hour</button>
        <button type="button" className="button" onClick={() => go({ by: "1d" })}><FastForward aria-hidden="true" />1 day</button>
      </div>
      {error !== null && <Trouble error={error} />}
    </section>
  );
}
