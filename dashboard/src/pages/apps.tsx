/** Apps and their deployments: where they are, what is wrong with one that cannot be reached, who is still on which version. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Plus, RefreshCw } from "lucide-react";
import { type ReactNode, useState } from "react";
import { path, write } from "../api/client.ts";
import { apps, deployments } from "../api/queries.ts";
import type { App, Deployment, Job } from "../api/types.ts";
import { appRoute } from "../router.tsx";
import { Empty, Id, Prose, Time, Trouble, Waiting } from "../ui/basics.tsx";
import { Act, Dialog, Field } from "../ui/controls.tsx";
import { toast } from "../ui/toast.tsx";
import { Progress } from "./bulk.tsx";

const say = (error: unknown): void => toast(error instanceof Error ? error.message : String(error), true);

export function AppsPage(): ReactNode {
  const { data, error, refetch } = useQuery(apps);
  const [adding, setAdding] = useState(false);
  return (
    <div className="page">
      <div className="page-head"><h1>Apps</h1><title>Apps · Backstitch</title><button type="button" className="button primary" onClick={() => setAdding(true)}><Plus aria-hidden="true" />Register an app</button></div>
      {error ? <Trouble error={error} retry={() => void refetch()} /> : !data ? <Waiting /> : data.items.length === 0
        ? <Empty title="No apps yet" command="backstitch apps add http://localhost:3000/api/backstitch">An app is what serves your functions. In development the server finds it on the usual ports by itself.</Empty>
        : (
          <div className="scroll-x"><table className="plain-table on-phone">
            <thead><tr><th>App</th><th>Address</th><th>Functions</th><th>Stands</th><th>Asked</th></tr></thead>
            <tbody>{data.items.map((app) => (
              <tr key={app.name}>
                <td><Link to="/apps/$app" params={{ app: app.name }}><strong>{app.name}</strong></Link></td>
                <td><code>{app.url}</code></td>
                <td data-label="Functions">{app.functions.length}</td>
                <td>{app.syncError ? <span className="bad">cannot be reached</span> : app.deployment ? <span className="good">well</span> : <span className="warn">not asked yet</span>}</td>
                <td className="nowrap" data-label="Asked"><Time at={app.syncedAt} /></td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
      <Register open={adding} onClose={() => setAdding(false)} />
    </div>
  );
}

function Register({ open, onClose }: { open: boolean; onClose: () => void }): ReactNode {
  const [name, setName] = useState("");
  const [url, setUrl] = useState("");
  const client = useQueryClient();
  const navigate = useNavigate();
  return (
    <Dialog open={open} onClose={onClose} title="Register an app" about="The server asks the address for its manifest first; if that fails, nothing changes.">
      <Act label="Register" disabled={name.trim() === "" || url.trim() === ""}
        act={async () => { await write<App>("PUT", `/v1${path("apps", name.trim())}`, { url: url.trim() }); await client.invalidateQueries({ queryKey: ["apps"] }); }}
        done={() => { onClose(); void navigate({ to: "/apps/$app", params: { app: name.trim() } }); }}>
        <Field label="Name" hint="As the code calls it.">{(id) => <input id={id} value={name} onChange={(event) => setName(event.target.value)} placeholder="shop" autoComplete="off" />}</Field>
        <Field label="Address">{(id) => <input id={id} type="url" value={url} onChange={(event) => setUrl(event.target.value)} placeholder="http://localhost:3000/api/backstitch" autoComplete="off" />}</Field>
      </Act>
    </Dialog>
  );
}

export function AppPage(): ReactNode {
  const { app: name } = appRoute.useParams();
  const client = useQueryClient();
  const navigate = useNavigate();
  const { data, error } = useQuery(apps);
  const [busy, setBusy] = useState(false);
  const [removing, setRemoving] = useState(false);
  const app = data?.items.find((one) => one.name === name);
  const sync = (): void => {
    setBusy(true);
    write<App>("POST", `/v1${path("apps", name, "sync")}`).then((fresh) => toast(fresh.warnings?.length ? `Asked. ${fresh.warnings.join(" ")}` : "Asked: its manifest is as shown, and runs that were held for a reason that may be gone go on."), say)
      .finally(() => { setBusy(false); void client.invalidateQueries({ queryKey: ["apps"] }); void client.invalidateQueries({ queryKey: ["deployments", name] }); void client.invalidateQueries({ queryKey: ["functions"] }); });
  };
  return (
    <div className="page">
      <div className="page-head">
        <h1>{name}</h1><title>{`${name} · Backstitch`}</title>
        <button type="button" className="button" onClick={() => setRemoving(true)}>Forget …</button>
        <button type="button" className="button primary" disabled={busy} onClick={sync}><RefreshCw aria-hidden="true" />{busy ? "Asking …" : "Ask it now"}</button>
      </div>
      {error !== null && <Trouble error={error} />}
      {data && !app && <Empty title="No such app" command={`backstitch apps add ${name}=http://localhost:3000/api/backstitch`}>It is not registered, or not any more. Its runs are kept.</Empty>}
      {app && (
        <>
          {app.syncError && <Unreachable app={app} />}
          <dl className="facts">
            <div><dt>Address</dt><dd><code>{app.url}</code></dd></div>
            <div><dt>Registered</dt><dd><Time at={app.createdAt} /></dd></div>
            <div><dt>Last asked</dt><dd><Time at={app.syncedAt} /></dd></div>
            {app.deployment && <div><dt>SDK</dt><dd>{app.deployment.sdk}</dd></div>}
            {app.headers.length > 0 && <div><dt>Extra headers</dt><dd>{app.headers.join(", ")}</dd></div>}
            <div><dt>Functions</dt><dd>{app.functions.map((fn) => <Link key={fn} to="/functions/$app/$fn" params={{ app: name, fn }} className="tag">{fn}</Link>)}</dd></div>
          </dl>
          <Deployments app={name} />
        </>
      )}
      <Dialog open={removing} onClose={() => setRemoving(false)} title={`Forget ${name}?`} about="Its runs are kept, and wait until somebody serves their functions again.">
        <Act label="Forget the app" danger act={() => write("DELETE", `/v1${path("apps", name)}`)} done={() => { void client.invalidateQueries({ queryKey: ["apps"] }); void navigate({ to: "/apps" }); }} />
      </Dialog>
    </div>
  );
}

/** What is wrong, and what people do about it. */
function Unreachable({ app }: { app: App }): ReactNode {
  const error = app.syncError ?? "";
  const advice = /refused|connect/i.test(error)
    ? [`Does it listen at ${app.url}, and under that path?`, "In a container, localhost is the container itself: use the host's name."]
    : /signature|401/i.test(error)
      ? ["App and server need the same BACKSTITCH_KEY.", "In development the app wants BACKSTITCH_DEV=1, which `backstitch dev -- COMMAND` sets."]
      : /404|not an app|something else/i.test(error)
        ? ["The address answers, and is no app: is the path right?", "Is there a gateway in front that wants a header of its own?"]
        : ["Open the address in a browser: an app answers with one line of text.", "`backstitch doctor` asks every app and says what it finds."];
  return (
    <div className="notice bad" role="alert">
      <p><strong>The server cannot reach this app.</strong> <Prose text={error} /></p>
      <ul>{advice.map((line) => <li key={line}>· <Prose text={line} /></li>)}</ul>
      <p className="muted">Its runs wait and lose nothing. The server asks again by itself.</p>
    </div>
  );
}

function Deployments({ app }: { app: string }): ReactNode {
  const { data, error } = useQuery(deployments(app));
  const client = useQueryClient();
  const [moving, setMoving] = useState<Deployment | null>(null);
  const act = (promise: Promise<unknown>, said: string): void => void promise.then(() => { toast(said); return client.invalidateQueries({ queryKey: ["deployments", app] }); }, say);
  if (error) return <Trouble error={error} />;
  if (!data) return <Waiting />;
  return (
    <section className="stack">
      <h2>Deployments</h2>
      <div className="scroll-x"><table className="plain-table on-phone">
        <thead><tr><th>Version</th><th>Deployment</th><th>Stands</th><th className="num">Open runs</th><th>Seen</th><th><span className="sr">Act</span></th></tr></thead>
        <tbody>{data.items.map((one) => (
          <tr key={one.id}>
            <td><strong>{one.version}</strong>{one.current && <span className="tag">current</span>}</td>
            <td><Id id={one.id} /> <span className="faint">{one.immutable ? "immutable: runs stay on it" : "follows its address"}</span></td>
            <td data-label="Stands">{one.state}</td>
            <td className="num" data-label="Open runs">{!one.immutable ? <span className="faint" title="Runs go to whatever answers at the address: none is tied to this version">not tied to it</span> : one.openRuns === null ? "–" : <Link to="/runs" search={{ deployment: one.id }}>{one.openRuns.toLocaleString("en")}</Link>}</td>
            <td className="nowrap" data-label="Seen"><Time at={one.seenAt} /></td>
            <td className="num nowrap acts">{!one.current && one.state !== "retired" && (
              <>
                {(one.openRuns ?? 0) > 0 && <button type="button" className="button small" onClick={() => setMoving(one)}>Move its runs …</button>}{" "}
                {one.state === "active" && <button type="button" className="button small" onClick={() => act(write("POST", `/v1${path("apps", app, "deployments", one.id, "drain")}`), "It is retired when its last run has ended.")}>Drain</button>}
              </>
            )}</td>
          </tr>
        ))}</tbody>
      </table></div>
      <Dialog open={moving !== null} onClose={() => setMoving(null)} title="Move runs to the current deployment" about={moving && <>All runs that are pinned to {moving.version} and have not ended go on with the code that is current now.</>}>
        {moving && <Mover app={app} deployment={moving.id} onClose={() => setMoving(null)} />}
      </Dialog>
    </section>
  );
}

function Mover({ app, deployment, onClose }: { app: string; deployment: string; onClose: () => void }): ReactNode {
  const url = `/v1${path("apps", app, "deployments", deployment, "move")}`;
  const count = useQuery({ queryKey: ["move", deployment], queryFn: () => write<{ total: number }>("POST", url, { to: "current", dryRun: true }), staleTime: 0 });
  const [job, setJob] = useState<string | null>(null);
  if (job !== null) return <Progress job={job} onClose={onClose} />;
  return <Act label={count.data ? `Move ${count.data.total.toLocaleString("en")} ${count.data.total === 1 ? "run" : "runs"}` : "Counting …"} disabled={!count.data?.total} act={async () => setJob((await write<Job>("POST", url, { to: "current" })).id)} />;
}
