/** The workbench: sends an event or starts a function, by a form that follows the schema, or as JSON; and moves the clock in development. */
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { get, key, path, write } from "../api/client.ts";
import { functions } from "../api/queries.ts";
import type { Event, Fn, Page } from "../api/types.ts";
import { curl } from "../lib/code.ts";
import { print } from "../lib/digits.ts";
import { sample, type Schema } from "../lib/schema.ts";
import { sendRoute } from "../router.tsx";
import { CopyButton, Id } from "../ui/basics.tsx";
import { Act, Field, JsonField, readJson, Tabs } from "../ui/controls.tsx";
import { SchemaForm } from "../ui/schema-form.tsx";
import { Clock } from "./clock.tsx";

type What = "event" | "function";

export function SendPage(): ReactNode {
  const search = sendRoute.useSearch();
  const [what, setWhat] = useState<What>(search.fn ? "function" : "event");
  const { data } = useQuery(functions);
  const all = data?.items ?? [];
  return (
    <div className="page">
      <div className="page-head"><h1>Send</h1><title>Send · Backstitch</title><Tabs label="What" value={what} onChange={setWhat} tabs={[["event", "An event"], ["function", "Start a function"]]} /></div>
      <div className="split send">
        <div className="card">{what === "event" ? <SendEvent functions={all} name={search.event} data={search.data} /> : <StartFunction functions={all.filter((fn) => !fn.function.includes("/"))} chosen={search.fn} />}</div>
        <div className="stack"><Clock /></div>
      </div>
    </div>
  );
}

/** A payload, by fields or as text; both say the same. */
function Payload({ label, schema, text, onChange }: { label: string; schema: Schema | null; text: string; onChange: (text: string) => void }): ReactNode {
  const [form, setForm] = useState<"form" | "json">("form");
  const read = readJson(text);
  const byForm = schema !== null && form === "form" && "value" in read;
  return (
    <>
      {schema && <div className="field"><Tabs label="How" value={byForm ? "form" : "json"} onChange={setForm} tabs={[["form", "Form"], ["json", "JSON"]]} /></div>}
      {byForm ? <SchemaForm schema={schema} value={read.value} onChange={(value) => onChange(print(value))} /> : <JsonField label={label} value={text} onChange={onChange} rows={10} />}
    </>
  );
}

function SendEvent({ functions, name: given, data }: { functions: readonly Fn[]; name: string | undefined; data: string | undefined }): ReactNode {
  const [name, setName] = useState(given ?? "");
  const [text, setText] = useState(data ?? "");
  const [touched, setTouched] = useState(data !== undefined);
  const [sent, setSent] = useState<{ id: string; runs: { id: string; app: string; function: string }[] } | null>(null);
  const names = useMemo(() => [...new Set(functions.flatMap((fn) => fn.triggers.map((trigger) => trigger.event)).filter((one): one is string => one !== undefined && !one.startsWith("backstitch/")))].sort(), [functions]);
  const triggered = functions.filter((fn) => fn.triggers.some((trigger) => trigger.event === name));
  // What the event says of itself comes before what one of its functions takes.
  const schema = triggered.flatMap((fn) => fn.triggers).find((trigger) => trigger.event === name && typeof trigger.schema === "object")?.schema ?? triggered.find((fn) => fn.input !== null)?.input ?? null;
  useEffect(() => { if (!given && name === "" && names[0]) setName(names[0]); }, [names, given, name]);
  // The last event of that name is the best example of the next one.
  const last = useQuery({ queryKey: ["last", name], queryFn: ({ signal }) => get<Page<Event>>("/v1/events", { name, limit: 1 }, signal), enabled: name !== "" && !touched, staleTime: 30_000 }).data?.items[0];
  useEffect(() => { if (!touched) setText(last ? print(last.data ?? null) : schema ? print(sample(schema)) : "{}"); }, [schema, name, touched, last]);
  const read = readJson(text);
  return (
    <Act label="Send the event" disabled={name.trim() === "" || "problem" in read}
      act={async () => {
        const answer = await write<{ events: NonNullable<typeof sent>[] }>("POST", "/v1/events", `{"name":${JSON.stringify(name.trim())},"data":${text.trim() === "" ? "null" : text}}`);
        setSent(answer.events[0] ?? null);
      }}>
      <Field label="Name" hint={name === "" ? "" : triggered.length === 0 ? "No function is triggered by this name. A run may wait for it all the same." : <>Triggers {triggered.map((fn) => <Link key={`${fn.app}/${fn.function}`} to="/functions/$app/$fn" params={{ app: fn.app, fn: fn.function }} className="tag">{fn.app}/{fn.function}</Link>)}</>}>
        {(id) => <><input id={id} list={`${id}-names`} value={name} onChange={(event) => { setName(event.target.value); setTouched(false); }} autoComplete="off" placeholder="order/created" /><datalist id={`${id}-names`}>{names.map((one) => <option key={one} value={one} />)}</datalist></>}
      </Field>
      <Payload label="Data" schema={schema} text={text} onChange={(next) => { setTouched(true); setText(next); }} />
      <Copied call={{ method: "POST", url: `${location.origin}/v1/events`, body: { name, data: "value" in read ? read.value : null } }} />
      {sent && (
        <div className="sent" role="status">
          <p>Sent: <Link to="/events/$event" params={{ event: sent.id }}><Id id={sent.id} /></Link>. {sent.runs.length === 0 ? "It started no run." : "It started:"}</p>
          <ul className="list">{sent.runs.map((run) => <li key={run.id}><Link to="/runs/$run" params={{ run: run.id }}>{run.app}/{run.function} <Id id={run.id} /></Link></li>)}</ul>
        </div>
      )}
    </Act>
  );
}

function StartFunction({ functions, chosen }: { functions: readonly Fn[]; chosen: string | undefined }): ReactNode {
  const navigate = useNavigate();
  const [which, setWhich] = useState(chosen ?? "");
  const [text, setText] = useState("");
  const [touched, setTouched] = useState(false);
  const [runId, setRunId] = useState("");
  const [delay, setDelay] = useState("");
  const fn = functions.find((one) => `${one.app}/${one.function}` === which);
  useEffect(() => { if (which === "" && functions[0]) setWhich(`${functions[0].app}/${functions[0].function}`); }, [functions, which]);
  useEffect(() => { if (!touched) setText(fn?.input ? print(sample(fn.input)) : "null"); }, [fn, touched]);
  const read = readJson(text);
  const body = `{"input":${text.trim() === "" ? "null" : text}${runId ? `,"runId":${JSON.stringify(runId)}` : ""}${delay ? `,"delay":${JSON.stringify(delay)}` : ""}}`;
  return (
    <Act label="Start" disabled={!fn || "problem" in read}
      act={async () => {
        const run = await write<{ id: string }>("POST", `/v1${path("functions", fn!.app, fn!.function, "runs")}`, body);
        await navigate({ to: "/runs/$run", params: { run: run.id } });
      }}>
      <Field label="Function">{(id) => <select id={id} value={which} onChange={(event) => { setWhich(event.target.value); setTouched(false); }}>{functions.map((one) => <option key={`${one.app}/${one.function}`}>{one.app}/{one.function}</option>)}</select>}</Field>
      <Payload label="Input" schema={fn?.input ?? null} text={text} onChange={(next) => { setTouched(true); setText(next); }} />
      <div className="two">
        <Field label="Name of the run" hint="A second start with it finds this run.">{(id) => <input id={id} value={runId} onChange={(event) => setRunId(event.target.value)} autoComplete="off" placeholder="order-17" />}</Field>
        <Field label="Delay" hint="Such as 10m; empty means at once.">{(id) => <input id={id} value={delay} onChange={(event) => setDelay(event.target.value)} autoComplete="off" />}</Field>
      </div>
      {fn && <Copied call={{ method: "POST", url: `${location.origin}/v1${path("functions", fn.app, fn.function, "runs")}`, body: "value" in read ? { input: read.value, ...(runId ? { runId } : {}), ...(delay ? { delay } : {}) } : {} }} />}
    </Act>
  );
}

function Copied({ call }: { call: { method: string; url: string; body: unknown } }): ReactNode {
  return <div className="field"><CopyButton text={() => curl(call, key.read() !== null)} label="Copy as curl">Copy as curl</CopyButton></div>;
}
