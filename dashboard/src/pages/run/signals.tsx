/** Forms that settle what a run waits for: a signal, an update, an event; and a compensation that was made by hand. */
import { useNavigate } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { path, write } from "../../api/client.ts";
import type { Entry, Run } from "../../api/types.ts";
import { Act, Dialog, Field, JsonField, readJson } from "../../ui/controls.tsx";
import { toast } from "../../ui/toast.tsx";

export interface Wait {
  kind: "signal" | "update" | "event" | "awakeable";
  name: string;
  entry: string;
}

const UPDATE = "$update/";

/** What an open entry waits for, if somebody can send it. */
export function waitOf(entry: Entry): Wait | null {
  if (entry.op === "waitEvent" && typeof entry.params.event === "string") return { kind: "event", name: entry.params.event, entry: entry.id };
  if (entry.op !== "waitSignal") return null;
  const name = typeof entry.params.signal === "string" ? entry.params.signal : "";
  if (name.startsWith(UPDATE)) return { kind: "update", name: name.slice(UPDATE.length), entry: entry.id };
  return name === "" || name.startsWith("$") || entry.params.awakeable !== undefined ? { kind: "awakeable", name, entry: entry.id } : { kind: "signal", name, entry: entry.id };
}

export function SignalForm({ run, wait, done }: { run: Run; wait: Wait; done: () => void }): ReactNode {
  const [text, setText] = useState("");
  const navigate = useNavigate();
  const [token, setToken] = useState("");
  const read = readJson(text);
  const body = (name: string): string => `{"${name}":${text.trim() === "" ? "null" : text}}`;
  if (wait.kind === "event") {
    return (
      <div className="call-to-act">
        <p>It waits for an event <strong>{wait.name}</strong> that fits.</p>
        <button type="button" className="button primary" onClick={() => void navigate({ to: "/send", search: { event: wait.name } })}>Send such an event …</button>
      </div>
    );
  }
  if (wait.kind === "awakeable") {
    return (
      <div className="call-to-act">
        <Act label="Settle it" disabled={token.trim() === "" || "problem" in read} done={done}
          act={async () => { await write("POST", `/v1${path("awakeables", token.trim())}`, body("ok")); toast("The awakeable is settled."); }}>
          <p>It waits for somebody with its token: whoever holds it may settle this wait.</p>
          <Field label="Token" hint="The handler gave it out: look for it in the outcome of an earlier step, or in the link that was sent.">{(id) => <input id={id} className="code" value={token} onChange={(event) => setToken(event.target.value)} autoComplete="off" />}</Field>
          <JsonField label="Value" rows={3} value={text} onChange={setText} />
        </Act>
      </div>
    );
  }
  return (
    <div className="call-to-act">
      <Act label={`Send ${wait.kind} ${wait.name}`} disabled={"problem" in read} done={done}
        act={async () => {
          if (wait.kind === "signal") await write("POST", `/v1${path("runs", run.id, "signals", wait.name)}`, body("data"));
          else await write("POST", `/v1${path("runs", run.id, "updates", wait.name)}?wait=1s`, body("data"));
          toast(`The ${wait.kind} ${wait.name} was sent.`);
        }}>
        <JsonField label={`Data of the ${wait.kind} ${wait.name}`} rows={4} value={text} onChange={setText} hint="Any JSON. Empty means null." />
      </Act>
    </div>
  );
}

/** A compensation that cannot be made by the handler: somebody did it by hand, or it need not be done. */
export function SettleForm({ run, entry, done }: { run: Run; entry: Entry; done: () => void }): ReactNode {
  const [text, setText] = useState("");
  const read = readJson(text);
  const url = `/v1${path("runs", run.id, "entries", entry.id, "settle")}`;
  return (
    <div className="call-to-act">
      <Act label="It was made by hand" disabled={"problem" in read} done={done} act={() => write("POST", url, `{"ok":${text.trim() === "" ? "null" : text}}`)}>
        <p>This compensation failed for good, and the run is held because of it. Make it by hand and say so, or let the run go on without it.</p>
        <JsonField label="What was done" rows={3} value={text} onChange={setText} />
      </Act>
      <Act label="It need not be made" act={() => write("POST", url, { skip: true })} done={done} />
    </div>
  );
}

/** Sending a signal that nothing waits for yet: it is kept until something does. */
export function SignalDialog({ open, onClose, run, waits, done }: { open: boolean; onClose: () => void; run: Run; waits: readonly Wait[]; done: () => void }): ReactNode {
  const [name, setName] = useState("");
  const [text, setText] = useState("");
  const read = readJson(text);
  const names = waits.filter((wait) => wait.kind === "signal").map((wait) => wait.name);
  return (
    <Dialog open={open} onClose={onClose} title="Send a signal" about="It settles the first wait for its name, or is kept until there is one.">
      <Act label="Send" disabled={name === "" || "problem" in read} done={() => { onClose(); done(); }}
        act={async () => { await write("POST", `/v1${path("runs", run.id, "signals", name)}`, `{"data":${text.trim() === "" ? "null" : text}}`); toast(`The signal ${name} was sent.`); }}>
        <Field label="Name" hint={names.length > 0 ? `It waits for ${names.join(", ")}.` : "Nothing waits for a signal now."}>
          {(id) => <><input id={id} list={`${id}-names`} value={name} onChange={(event) => setName(event.target.value)} autoComplete="off" /><datalist id={`${id}-names`}>{names.map((one) => <option key={one} value={one} />)}</datalist></>}
        </Field>
        <JsonField label="Data" value={text} onChange={setText} rows={5} hint="Any JSON. Empty means null." />
      </Act>
    </Dialog>
  );
}
