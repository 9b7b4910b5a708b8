/** The clock of a server for development: it can be moved on, so that a sleep of a week takes a click. */
import { FastForward, SkipForward } from "lucide-react";
import { type ReactNode, useState } from "react";
import { useAdvance, useClock } from "../api/dev.ts";
import { absolute, ms, span } from "../lib/time.ts";
import { Trouble, useNow } from "../ui/basics.tsx";

export function Clock(): ReactNode {
  const clock = useClock();
  const { advance, busy, came, error } = useAdvance();
  const [by, setBy] = useState("");
  const now = useNow();
  if (!clock) return null;
  return (
    <section className="card" aria-labelledby="clock">
      <header><h2 id="clock">Clock</h2><span className="faint">for development</span></header>
      <dl className="facts">
        <div><dt>The server's time</dt><dd>{absolute(now).slice(0, 19)}{clock.skippedMs >= 1_000 && <span className="muted">, {span(clock.skippedMs)} ahead of this machine's</span>}</dd></div>
        <div><dt>Next timer</dt><dd>{clock.next === null ? <span className="muted">nothing waits for a time</span> : <>{absolute(clock.next).slice(0, 19)} <span className="muted">in {span(Math.max(0, ms(clock.next) - now))}</span></>}</dd></div>
      </dl>
      <div className="actions start">
        <button type="button" className="button" disabled={clock.next === null || busy} onClick={() => advance({ to: "next" })}><SkipForward aria-hidden="true" />To the next timer</button>
        <button type="button" className="button" disabled={busy} onClick={() => advance({ by: "1h" })}><FastForward aria-hidden="true" />1 hour</button>
        <button type="button" className="button" disabled={busy} onClick={() => advance({ by: "1d" })}><FastForward aria-hidden="true" />1 day</button>
        <form className="inline-form" onSubmit={(event) => { event.preventDefault(); advance({ by: by.trim() }); }}>
          <input aria-label="How far" placeholder="30d, 90m" size={7} value={by} onChange={(event) => setBy(event.target.value)} />
          <button type="submit" className="button" disabled={by.trim() === "" || busy}>Go</button>
        </form>
      </div>
      <p className="hint clock-said" role="status">
        {busy ? "It goes from timer to timer, and waits at each until what follows is done …" : came ? <>It is {absolute(came.now).slice(0, 19)} now. {came.fired === 0 ? "No timer was due on the way." : `It stopped at ${came.fired.toLocaleString("en")} ${came.fired === 1 ? "timer" : "timers"} on its way.`}{!came.quiet && " Some of what fell due is still at work."}</> : "Time never runs backwards: what is skipped stays skipped."}
      </p>
      {error !== null && <Trouble error={error} />}
    </section>
  );
}
