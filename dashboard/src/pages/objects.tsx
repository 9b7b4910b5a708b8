/** Objects: their keys, the state under each, and whose turn it is. */
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { functions, objectKeys, objectState } from "../api/queries.ts";
import { objectsRoute } from "../router.tsx";
import { Empty, Id, Trouble, Waiting } from "../ui/basics.tsx";
import { JsonView } from "../ui/json.tsx";

export function ObjectsPage(): ReactNode {
  const search = objectsRoute.useSearch();
  const navigate = useNavigate({ from: "/objects" });
  const { data, error } = useQuery(functions);
  // Handlers of objects are functions whose id is `object/handler`.
  const objects = [...new Map((data?.items ?? []).filter((fn) => fn.function.includes("/")).map((fn) => [`${fn.app}/${fn.function.split("/")[0]}`, { app: fn.app, object: fn.function.split("/")[0]! }])).values()];
  const chosen = search.app && search.object ? { app: search.app, object: search.object } : objects[0];
  return (
    <div className="page">
      <div className="page-head">
        <h1>Objects</h1><title>Objects · Backstitch</title>
        {objects.length > 1 && chosen && (
          <label className="choice"><span>Object</span><select value={`${chosen.app}/${chosen.object}`} onChange={(event) => { const [app, object] = event.target.value.split("/"); void navigate({ search: { app, object } }); }}>
            {objects.map((one) => <option key={`${one.app}/${one.object}`}>{one.app}/{one.object}</option>)}
          </select></label>
        )}
      </div>
      {error ? <Trouble error={error} /> : !data ? <Waiting /> : !chosen ? <Empty title="No objects yet" command={`backstitch call carts/cart/add '{"sku": "lamp"}' --help`}>An object is a group of handlers with state under a key, one at a time per key. Declare one in an app, and its keys are here.</Empty> : <Keys app={chosen.app} object={chosen.object} at={search.key} />}
    </div>
  );
}

function Keys({ app, object, at }: { app: string; object: string; at: string | undefined }): ReactNode {
  const { data, error } = useQuery(objectKeys(app, object));
  const [typed, setTyped] = useState("");
  const navigate = useNavigate({ from: "/objects" });
  const choose = (key: string): void => void navigate({ search: { app, object, key } });
  if (error) return <Trouble error={error} />;
  if (!data) return <Waiting />;
  const chosen = at ?? data.items[0]?.key;
  const shown = data.items.filter((one) => one.key.toLowerCase().includes(typed.toLowerCase()));
  return (
    <div className="split">
      <div className="stack">
        <form role="search" className="inline-form" onSubmit={(event) => { event.preventDefault(); if (typed.trim()) choose(typed.trim()); }}>
          <input className="grow" data-search="" type="search" aria-label={`Key of ${object}`} placeholder="Find or open a key" value={typed} onChange={(event) => setTyped(event.target.value)} />
        </form>
        {data.items.length === 0 ? <p className="faint">No key has state yet.</p> : (
          <div className="pick" role="group" aria-label="Keys">
            {shown.map((one) => <button key={one.key} type="button" aria-current={one.key === chosen} onClick={() => choose(one.key)}><span className="ellipsis">{one.key}</span>{one.holder ? <span className="tag">busy{one.waiting > 0 ? `, ${one.waiting} wait` : ""}</span> : null}</button>)}
            {shown.length === 0 && <p className="menu-note">No such key among the first {data.items.length}. Press Enter to open it.</p>}
          </div>
        )}
      </div>
      {chosen !== undefined && <State app={app} object={object} name={chosen} />}
    </div>
  );
}

function State({ app, object, name }: { app: string; object: string; name: string }): ReactNode {
  const { data, error } = useQuery(objectState(app, object, name));
  if (error) return <Trouble error={error} />;
  if (!data) return <Waiting />;
  return (
    <div className="stack">
      <dl className="facts">
        <div><dt>Key</dt><dd>{name}</dd></div>
        <div><dt>Its turn</dt><dd>{data.holder ? <Link to="/runs/$run" params={{ run: data.holder }}><Id id={data.holder} /></Link> : "nobody's"}</dd></div>
        <div><dt>Waiting</dt><dd>{data.waiting}</dd></div>
      </dl>
      <JsonView label="State" value={data.state} open={3} />
      <p className="hint">State is written by handlers only, so that each change is an entry of a journal.</p>
    </div>
  );
}
