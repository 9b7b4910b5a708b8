/** The first lines of a run: what it is, why it stands where it stands, and what one can do about it from here. */
import { Link, useNavigate } from "@tanstack/react-router";
import { Ellipsis, GitFork, Hourglass, Info, Octagon, OctagonX, Pause, Play, Radio, RotateCcw, Truck } from "lucide-react";
import { type ReactNode, useState } from "react";
import { path, write } from "../../api/client.ts";
import { useAdvance, useClock } from "../../api/dev.ts";
import { ENDED, type Entry, type Explanation, type Forked, type Run } from "../../api/types.ts";
import { ms, span } from "../../lib/time.ts";
import { CopyButton, Id, Prose, Status, useNow } from "../../ui/basics.tsx";
import { Act, Dialog, Menu, MenuItem, MenuLine } from "../../ui/controls.tsx";
import { toast } from "../../ui/toast.tsx";
import { ForkDialog } from "./fork.tsx";
import { SignalDialog, SignalForm, waitOf } from "./signals.tsx";

type Asked = "cancel" | "kill" | "fork" | "signal" | null;

export function Head({ run, entries, explanation, live, refresh }: { run: Run; entries: readonly Entry[]; explanation: Explanation | undefined; live: boolean; refresh: () => void }): ReactNode {
  const [asked, setAsked] = useState<Asked>(null);
  const navigate = useNavigate();
  const ended = ENDED.includes(run.status);
  const close = (): void => setAsked(null);
  const act = (verb: string, said: string, body?: unknown): void => {
    write("POST", `/v1${path("runs", run.id, verb)}`, body).then(() => { toast(said); refresh(); }, (error: unknown) => toast(error instanceof Error ? error.message : String(error), true));
  };
  const retry = (): void => {
    write<Forked>("POST", `/v1${path("runs", run.id, "retry")}`, {}).then((fork) => { toast("It begins again from its first failure."); void navigate({ to: "/runs/$run", params: { run: fork.id } }); }, (error: unknown) => toast(error instanceof Error ? error.message : String(error), true));
  };
  const waits = entries.filter((entry) => entry.settledAt === null).map(waitOf).filter((wait) => wait !== null);
  return (
    <>
      <title>{`${run.function} ${run.status} · Backstitch`}</title>
      <div className="page-head run-head">
        <Status status={run.status} />
        <h1 className="ellipsis"><Link to="/functions/$app/$fn" params={{ app: run.app, fn: run.function }}><span className="muted">{run.app}/</span>{run.function}</Link></h1>
        <span className="run-id"><Id id={run.id} /><CopyButton text={run.id} label="Copy the run's id" /></span>
        {!ended && <span className={`live ${live ? "on" : ""}`}><span className="dot" aria-hidden="true" />{live ? "live" : "reconnecting"}</span>}
        <span className="grow" />
        {(run.status === "failed" || run.status === "cancelled") && <button type="button" className="button primary" onClick={retry}><RotateCcw aria-hidden="true" />Retry</button>}
        {run.status === "paused" && <button type="button" className="button primary" onClick={() => act("resume", "It goes on.")}><Play aria-hidden="true" />Resume</button>}
        <button type="button" className="button" onClick={() => setAsked("fork")}><GitFork aria-hidden="true" />Fork</button>
        {!ended && <button type="button" className="button" onClick={() => setAsked("cancel")}><Octagon aria-hidden="true" />Cancel</button>}
        {!ended && (
          <Menu trigger={<button type="button" className="icon-button" aria-label="More"><Ellipsis aria-hidden="true" /></button>}>
            <MenuItem icon={<Radio />} onClick={() => setAsked("signal")}>Send a signal …</MenuItem>
            {run.status !== "paused" && <MenuItem icon={<Pause />} onClick={() => act("pause", "It is held until somebody resumes it.")}>Pause</MenuItem>}
            <MenuItem icon={<Truck />} onClick={() => act("move", "It goes on with the current deployment.", { to: "current" })}>Move to the current deployment</MenuItem>
            <MenuLine />
            <MenuItem icon={<OctagonX />} danger onClick={() => setAsked("kill")}>Kill …</MenuItem>
          </Menu>
        )}
      </div>
      <Why run={run} explanation={explanation} entries={entries} refresh={refresh} />
      <ForkDialog open={asked === "fork"} onClose={close} run={run} entries={entries} />
      <SignalDialog open={asked === "signal"} onClose={close} run={run} waits={waits} done={refresh} />
      <Dialog open={asked === "cancel"} onClose={close} title="Cancel this run?" about="Its handler is told, and may put things right. After a minute it is ended.">
        <Act label="Cancel the run" danger act={() => write("POST", `/v1${path("runs", run.id, "cancel")}`)} done={() => { close(); refresh(); }} />
      </Dialog>
      <Dialog open={asked === "kill"} onClose={close} title="Kill this run?" about="It ends at once, as cancelled. Its handler is not asked, and nothing is undone.">
        <Act label="Kill the run" danger act={() => write("POST", `/v1${path("runs", run.id, "kill")}`)} done={() => { close(); refresh(); }} />
      </Dialog>
    </>
  );
}

const TONES: Record<string, string> = { held: "warn", backoff: "warn", unreachable: "bad", noDeployment: "bad", deploymentGone: "bad", functionPaused: "warn", waiting: "wait", delayed: "wait", inLine: "wait", running: "work", ready: "work" };

/** In development nobody waits for a time: the clock can be moved there. */
function Skip({ to }: { to: string }): ReactNode {
  const clock = useClock();
  const { advance, busy, error } = useAdvance();
  const now = useNow();
  if (!clock) return null;
  return (
    <p className="muted">
      In development nobody has to wait: <button type="button" className="link" disabled={busy} onClick={() => advance({ to })}>{busy ? "moving the clock …" : `skip ${span(ms(to) - now)}`}</button>
      {error !== null && <span className="bad"> {error instanceof Error ? error.message : String(error)}</span>}
    </p>
  );
}

/** The one reason why the run stands where it stands, and the one thing that would change it. */
function Why({ run, explanation, entries, refresh }: { run: Run; explanation: Explanation | undefined; entries: readonly Entry[]; refresh: () => void }): ReactNode {
  const now = useNow();
  if (ENDED.includes(run.status)) {
    const took = run.endedAt === null ? "" : ` after ${span(ms(run.endedAt) - ms(run.startedAt))}`;
    const tone = run.status === "completed" || run.status === "continued" ? "good" : run.status === "failed" ? "bad" : "";
    const first = entries.find((entry) => entry.err && !entry.id.startsWith("$"));
    return (
      <div className={`why ${tone}`} role="status">
        <Info aria-hidden="true" />
        <div>
          <p>
            {run.status === "completed" && <>It completed{took}.</>}
            {run.status === "continued" && <>It ended itself{took} and went on in {run.continuedAs ? <Link to="/runs/$run" params={{ run: run.continuedAs }}><Id id={run.continuedAs} /></Link> : "a new run"}.</>}
            {run.status === "cancelled" && <>It was cancelled{took}.</>}
            {run.status === "failed" && <>It failed{took}: <strong>{run.err?.name ?? "Error"}</strong>{run.err?.message && <> – {run.err.message}</>}</>}
          </p>
          {run.status === "failed" && first && <p className="muted">The first entry that failed is <Link from="/runs/$run" to="/runs/$run" params={{ run: run.id }} search={(old: object) => ({ ...old, entry: first.id })}><code>{first.id}</code></Link>. Retry begins there, and keeps what came before.</p>}
        </div>
      </div>
    );
  }
  if (!explanation) return <div className="why" role="status"><Hourglass aria-hidden="true" /><p className="muted">Asking the server why it waits …</p></div>;
  const open = entries.filter((entry) => entry.settledAt === null).map(waitOf);
  const single = open.filter((wait) => wait !== null).length === 1 ? open.find((wait) => wait !== null) : undefined;
  // What else it waits for may come earlier; this comes by itself.
  const next = explanation.nextAt ?? run.wakeAt;
  const mismatch = explanation.hold?.mismatch;
  return (
    <div className={`why ${TONES[explanation.reason] ?? ""}`} role="status">
      <Hourglass aria-hidden="true" />
      <div>
        <p><Prose text={explanation.sentence} /></p>
        {next && ms(next) > now && <Skip to={next} />}
        {explanation.runs !== null && explanation.runs !== undefined && explanation.runs > 1 && <p className="muted"><Link to="/apps/$app" params={{ app: run.app }}>{explanation.runs.toLocaleString("en")} runs</Link> wait for the same deployment.</p>}
        {explanation.error && <p className="bad">{explanation.error.name}: {explanation.error.message}</p>}
        {mismatch && <dl className="mismatch"><div><dt>The journal has</dt><dd><code>{mismatch.journal}</code></dd></div><div><dt>The code asks for</dt><dd><code>{mismatch.code}</code></dd></div></dl>}
        {single && run.status !== "paused" && <details className="why-act"><summary>{single.kind === "event" ? `Send ${single.name}` : single.kind === "awakeable" ? "Settle the awakeable" : `Send ${single.kind} ${single.name}`} …</summary><SignalForm run={run} wait={single} done={refresh} /></details>}
      </div>
    </div>
  );
}
