/**
 * A fork: a new run that begins with what this one did up to a point, with other outcomes where somebody says so, and does the rest again on
 * the newest code. The server says first what would be kept and what done again.
 */
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { path, write } from "../../api/client.ts";
import type { Entry, ForkPlan, Forked, Run } from "../../api/types.ts";
import { print } from "../../lib/digits.ts";
import { Trouble } from "../../ui/basics.tsx";
import { Act, Dialog, Field, JsonField, readJson } from "../../ui/controls.tsx";

/** Ops whose outcome may be another one in a fork. */
const EDITABLE = ["step", "waitSignal", "waitEvent", "invoke", "fetch"];
const WHOLE = "";

export function ForkDialog({ open, onClose, run, entries, at }: { open: boolean; onClose: () => void; run: Run; entries: readonly Entry[]; at?: string }): ReactNode {
  return (
    <Dialog open={open} onClose={onClose} wide title="Fork this run" about="A new run begins with what this one did, up to the entry that you choose, and does the rest again on the app's newest deployment. This run stays as it is.">
      {open && <Fork run={run} entries={entries} begin={at ?? WHOLE} onClose={onClose} />}
    </Dialog>
  );
}

function Fork({ run, entries, begin, onClose }: { run: Run; entries: readonly Entry[]; begin: string; onClose: () => void }): ReactNode {
  const navigate = useNavigate();
  const inner = useMemo(() => entries.filter((entry) => entry.op !== "input" && entry.op !== "outcome" && entry.op !== "cancel"), [entries]);
  const [at, setAt] = useState(begin);
  const [edit, setEdit] = useState(() => {
    // What somebody forks from is most often what failed: its outcome is what they want to write.
    const entry = inner.find((one) => one.id === begin);
    return entry && entry.settledAt !== null && EDITABLE.includes(entry.op) && (entry.err !== undefined || entry.timeout) ? entry.id : "";
  });
  const edited = inner.find((entry) => entry.id === edit);
  const [outcome, setOutcome] = useState("");
  const [newInput, setNewInput] = useState<string | null>(null);
  useEffect(() => setOutcome(edited ? print(edited.ok ?? null) : ""), [edit]);
  const read = readJson(outcome);
  const input = newInput === null ? undefined : readJson(newInput);
  const broken = (edit !== "" && "problem" in read) || (input !== undefined && "problem" in input);
  // An entry with another outcome is copied, so the run goes on behind it.
  const from = edit !== "" && edit === at ? next(inner, at) : at;
  const body = useMemo(() => {
    const parts: string[] = [];
    if (from !== WHOLE) parts.push(`"at":${JSON.stringify(from)}`);
    if (edit !== "") parts.push(`"edits":{${JSON.stringify(edit)}:{"ok":${outcome.trim() === "" ? "null" : outcome}}}`);
    if (newInput !== null) parts.push(`"input":${newInput.trim() === "" ? "null" : newInput}`);
    return parts;
  }, [from, edit, outcome, newInput]);
  const url = `/v1${path("runs", run.id, "fork")}`;
  const plan = useQuery({ queryKey: ["fork", run.id, body.join()], queryFn: () => write<ForkPlan>("POST", url, `{${[...body, '"dryRun":true'].join(",")}}`), enabled: !broken, retry: false, placeholderData: (old) => old });
  return (
    <Act label="Fork" disabled={broken || plan.isError} act={async () => {
      const fork = await write<Forked>("POST", url, `{${body.join(",")}}`);
      onClose();
      await navigate({ to: "/runs/$run", params: { run: fork.id } });
    }}>
      <div className="two">
        <Field label="Do again from">
          {(id) => (
            <select id={id} value={at} onChange={(event) => setAt(event.target.value)}>
              <option value={WHOLE}>the beginning</option>
              {inner.map((entry) => <option key={entry.id} value={entry.id}>{entry.id}{entry.err ? " (failed)" : ""}</option>)}
            </select>
          )}
        </Field>
        <Field label="Give another outcome to">
          {(id) => (
            <select id={id} value={edit} onChange={(event) => setEdit(event.target.value)}>
              <option value="">nothing</option>
              {inner.filter((entry) => entry.settledAt !== null && EDITABLE.includes(entry.op)).map((entry) => <option key={entry.id} value={entry.id}>{entry.id}{entry.err ? " (failed)" : ""}</option>)}
            </select>
          )}
        </Field>
      </div>
      {edit !== "" && <JsonField label={`Outcome of ${edit}`} value={outcome} onChange={setOutcome} rows={8} hint="The fork's handler is given this value in its place." />}
      {newInput === null
        ? <button type="button" className="link" onClick={() => setNewInput(print(run.input ?? null))}>Start it with another input</button>
        : <JsonField label="Input" value={newInput} onChange={setNewInput} rows={6} />}
      {plan.error && !broken ? <Trouble error={plan.error} /> : <Plan plan={plan.data} />}
    </Act>
  );
}

function next(inner: readonly Entry[], id: string): string {
  const at = inner.findIndex((entry) => entry.id === id);
  return inner[at + 1]?.id ?? WHOLE;
}

function Plan({ plan }: { plan: ForkPlan | undefined }): ReactNode {
  const list = (ids: readonly string[]): ReactNode => (ids.length === 0 ? <span className="faint">nothing</span> : ids.map((id) => <code key={id} className="tag">{id}</code>));
  return (
    <dl className="plan" aria-live="polite">
      <div><dt>Kept, not done again</dt><dd>{plan ? list(plan.copied) : "…"}</dd></div>
      <div><dt>Done again</dt><dd>{plan ? <>{list(plan.again)} and what comes after</> : "…"}</dd></div>
    </dl>
  );
}
