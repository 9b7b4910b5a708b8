/** The list of runs: filtered by the address, live, virtualised, with actions on all that match. */
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowUp, Bookmark, GitFork, ListChecks, Octagon, Pause, Play, RotateCcw, X } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { Query } from "../api/client.ts";
import { functions } from "../api/queries.ts";
import { patient } from "../api/run.ts";
import { useRuns } from "../api/runs.ts";
import { type Run, type RunStatus, STATUSES } from "../api/types.ts";
import { asQuery, readSaved, type RunSearch, SPANS, statuses, writeSaved } from "../lib/filters.ts";
import { line } from "../lib/digits.ts";
import { absolute, ms, span } from "../lib/time.ts";
import { Empty, Id, Prose, serverNow, Status, Time, Trouble, useNow } from "../ui/basics.tsx";
import { Menu, MenuItem, MenuLine } from "../ui/controls.tsx";
import { BulkDialog, type BulkAction } from "./bulk.tsx";
import { runsRoute } from "../router.tsx";

export function RunsPage(): ReactNode {
  const search = runsRoute.useSearch();
  const navigate = useNavigate({ from: "/runs" });
  const change = (part: RunSearch): void => void navigate({ search: (old) => ({ ...old, ...part }), replace: true });
  // The span is resolved when the filter changes, not with every tick: else it would be another list each minute.
  const query = useMemo(() => asQuery(search, serverNow()), [search]);
  const [bulk, setBulk] = useState<BulkAction | null>(null);
  return (
    <div className="page page-list">
      <div className="page-head">
        <h1>Runs</h1><title>Runs · Backstitch</title>
        <SavedFilters search={search} />
        <Menu trigger={<button type="button" className="button"><ListChecks aria-hidden="true" />All that match</button>}>
          <MenuItem icon={<RotateCcw />} onClick={() => setBulk("retry")}>Retry …</MenuItem>
          <MenuItem icon={<GitFork />} onClick={() => setBulk("fork")}>Fork …</MenuItem>
          <MenuItem icon={<Pause />} onClick={() => setBulk("pause")}>Pause …</MenuItem>
          <MenuItem icon={<Play />} onClick={() => setBulk("resume")}>Resume …</MenuItem>
          <MenuLine />
          <MenuItem icon={<Octagon />} danger onClick={() => setBulk("cancel")}>Cancel …</MenuItem>
        </Menu>
      </div>
      <Filters search={search} change={change} />
      <RunsTable query={query} filtered={Object.keys(search).length > 0} clear={() => void navigate({ search: {} })} />
      <BulkDialog action={bulk} search={search} query={query} onClose={() => setBulk(null)} />
    </div>
  );
}

function Filters({ search, change }: { search: RunSearch; change: (part: RunSearch) => void }): ReactNode {
  const { data } = useQuery(functions);
  const [more, setMore] = useState(false);
  const chosen = statuses(search);
  const toggle = (status: RunStatus): void => {
    const next = chosen.includes(status) ? chosen.filter((one) => one !== status) : [...chosen, status];
    change({ status: next.length === 0 ? undefined : next.join(",") });
  };
  const all = data?.items ?? [];
  const appNames = [...new Set(all.map((fn) => fn.app))].sort();
  const functionNames = [...new Set(all.filter((fn) => !search.app || fn.app === search.app).map((fn) => fn.function))].sort();
  return (
    <div className="filters" role="search" aria-label="Filter the runs">
      <div className="chips" role="group" aria-label="Status">
        {STATUSES.map((status) => <button key={status} type="button" className="chip" aria-pressed={chosen.includes(status)} onClick={() => toggle(status)}><Status status={status} quiet /></button>)}
      </div>
      <div className={`filter-fields ${more ? "open" : ""}`}>
        <Typed name="text" label="Text" placeholder="Search ids, names, keys, tags …" value={search.text} onChange={(text) => change({ text })} search wide />
        <button type="button" className="button small ghost more-filters" aria-expanded={more} onClick={() => setMore(!more)}>{more ? "Fewer filters" : "More filters"}</button>
        <Choice label="App" value={search.app} values={appNames} onChange={(app) => change({ app, function: undefined })} />
        <Choice label="Function" value={search.function} values={functionNames} onChange={(value) => change({ function: value })} />
        <Choice label="Created" value={search.since} values={Object.keys(SPANS)} prefix="last " any="any time" onChange={(since) => change({ since })} />
        <Typed name="key" label="Key" placeholder="Key" value={search.key} onChange={(key) => change({ key })} />
        <Typed name="tag" label="Tag" placeholder="Tag" value={search.tag} onChange={(tag) => change({ tag })} />
        <Typed name="attribute" label="Attribute, as NAME:OPERATOR:VALUE" hint="NAME:exists, or NAME:OPERATOR:VALUE with eq, gt, gte, lt, lte or prefix" placeholder="attribute:gte:100" value={search.attribute} whole={ATTRIBUTE} onChange={(attribute) => change({ attribute })} />
        <Typed name="error" label="Error, by its name" placeholder="Error" value={search.error} onChange={(error) => change({ error })} />
        {search.message && <button type="button" className="chip on" title={search.message} onClick={() => change({ message: undefined })}>message <span className="chip-text">{search.message}</span> <X aria-hidden="true" /><span className="sr">Remove the filter</span></button>}
        {(["deployment", "schedule", "event", "root", "previous", "until"] as const).map((name) => search[name] && <button key={name} type="button" className="chip on" onClick={() => change({ [name]: undefined })}>{name} <Id id={search[name]} /> <X aria-hidden="true" /><span className="sr">Remove the filter</span></button>)}
        {Object.keys(search).length > 0 && <Link to="/runs" search={{}} className="button small ghost">Clear</Link>}
      </div>
    </div>
  );
}

function Choice({ label, value, values, onChange, prefix = "", any = "all" }: { label: string; value: string | undefined; values: readonly string[]; onChange: (value: string | undefined) => void; prefix?: string; any?: string }): ReactNode {
  const shown = value !== undefined && !values.includes(value) ? [value, ...values] : values;
  return (
    <label className="choice" data-set={value !== undefined}>
      <span>{label}</span>
      <select value={value ?? ""} onChange={(event) => onChange(event.target.value || undefined)}>
        <option value="">{any}</option>
        {shown.map((one) => <option key={one} value={one}>{prefix}{one}</option>)}
      </select>
    </label>
  );
}

/** An attribute's test with nothing missing. */
const ATTRIBUTE = /^[^:]+:(exists|(eq|gt|gte|lt|lte|prefix):.+)$/;

/**
 * A filter that is typed: it applies a moment after the last key, so that a word is one request. What must have a form waits until it is `whole`,
 * or somebody says by Enter or by leaving that it is: then the server says what is wrong.
 */
function Typed({ name, label, hint, placeholder, value, onChange, whole, search = false, wide = false }: { name: string; label: string; hint?: string; placeholder: string; value: string | undefined; onChange: (value: string | undefined) => void; whole?: RegExp; search?: boolean; wide?: boolean }): ReactNode {
  const [text, setText] = useState(value ?? "");
  const told = useRef(value ?? "");
  useEffect(() => {
    if ((value ?? "") !== told.current) {
      told.current = value ?? "";
      setText(value ?? "");
    }
  }, [value]);
  const tell = (): void => {
    if (text === told.current) return;
    told.current = text;
    onChange(text.trim() || undefined);
  };
  useEffect(() => {
    if (text === told.current || (whole && text.trim() !== "" && !whole.test(text.trim()))) return;
    const timer = setTimeout(tell, 250);
    return () => clearTimeout(timer);
  }, [text]);
  return <input title={hint} onBlur={tell} onKeyDown={(event) => event.key === "Enter" && tell()} className={wide ? "wide" : ""} name={name} type="search" aria-label={label} placeholder={placeholder} value={text} onChange={(event) => setText(event.target.value)} {...(search ? { "data-search": "" } : {})} />;
}

function SavedFilters({ search }: { search: RunSearch }): ReactNode {
  const [saved, setSaved] = useState(readSaved);
  const [naming, setNaming] = useState(false);
  const navigate = useNavigate();
  const keep = (next: typeof saved): void => {
    writeSaved(next);
    setSaved(next);
  };
  const empty = Object.keys(search).length === 0;
  if (naming) {
    return (
      <form className="inline-form" onSubmit={(event) => {
        event.preventDefault();
        const name = String(new FormData(event.currentTarget).get("name")).trim();
        if (name !== "") keep([...saved.filter((one) => one.name !== name), { name, search }]);
        setNaming(false);
      }}>
        <input name="name" aria-label="Name of the filter" placeholder="Name of the filter" autoFocus onKeyDown={(event) => event.key === "Escape" && setNaming(false)} />
        <button type="submit" className="button small primary">Save</button>
      </form>
    );
  }
  return (
    <Menu trigger={<button type="button" className="button"><Bookmark aria-hidden="true" />Saved</button>}>
      {[{ name: "Failed today", search: { status: "failed", since: "24h" } }, { name: "Stuck: held or failing", search: { status: "backoff,paused" } }, ...saved].map((one) => (
        <MenuItem key={one.name} onClick={() => void navigate({ to: "/runs", search: one.search })}>{one.name}</MenuItem>
      ))}
      <MenuLine />
      {empty ? <div className="menu-note">Set a filter to save it here.</div> : <MenuItem onClick={() => setTimeout(() => setNaming(true))}>Save this filter …</MenuItem>}
      {saved.some((one) => JSON.stringify(one.search) === JSON.stringify(search)) && <MenuItem danger onClick={() => keep(saved.filter((one) => JSON.stringify(one.search) !== JSON.stringify(search)))}>Forget this filter</MenuItem>}
    </Menu>
  );
}

/** The height of a row. On a phone it has a second line, which says what the run is. */
const ROW = 41;
const ROW_PHONE = 60;
const PHONE = matchMedia("(max-width: 720px)");
const onPhone = (listener: () => void): (() => void) => {
  PHONE.addEventListener("change", listener);
  return () => PHONE.removeEventListener("change", listener);
};

/** The rows. Only those that can be seen are in the page, whatever their number. */
export function RunsTable({ query, filtered = false, clear, compact = false }: { query: Query; filtered?: boolean; clear?: () => void; compact?: boolean }): ReactNode {
  const { rows, unseen, loading, complete, barren, error, live, list } = useRuns(query);
  const scroll = useRef<HTMLDivElement>(null);
  const navigate = useNavigate();
  const [cursor, setCursor] = useState(-1);
  const height = useSyncExternalStore(onPhone, () => PHONE.matches) ? ROW_PHONE : ROW;
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => scroll.current, estimateSize: () => height, overscan: 12, getItemKey: (i) => rows[i]!.id });
  useEffect(() => virtual.measure(), [height]);
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (rows.length > 0 && last >= rows.length - 60 && !barren) list.more();
  }, [last, rows.length, list, loading, barren]);

  const move = (to: number): void => {
    const next = Math.max(0, Math.min(rows.length - 1, to));
    setCursor(next);
    virtual.scrollToIndex(next);
    requestAnimationFrame(() => scroll.current?.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus({ preventScroll: true }));
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    const steps: Record<string, number> = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1, PageDown: 15, PageUp: -15 };
    const step = steps[event.key];
    if (step !== undefined) move(cursor + step);
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(rows.length - 1);
    else if (event.key === "Enter" && rows[cursor] && event.target === event.currentTarget) void navigate({ to: "/runs/$run", params: { run: rows[cursor]!.id } });
    else return;
    event.preventDefault();
  };

  // What the server will not do is not asked for again: the filter has to be another one.
  if (error !== null && rows.length === 0) return <Trouble error={error} retry={patient(0, error) ? list.again : undefined} />;
  if (barren && rows.length === 0) return <Empty title="No run matches so far"><span>The newest half a million or more were looked at. </span><button type="button" className="link" onClick={list.more}>Look further back</button></Empty>;
  if (!loading && rows.length === 0) {
    return filtered
      ? <Empty title="No run matches"><span>No run is all that the filter says. </span>{clear && <button type="button" className="link" onClick={clear}>Show all runs</button>}</Empty>
      : <Empty title="No runs yet" command={`backstitch send order/created '{"id": "17"}'`}>A run begins when an event triggers a function, or when somebody calls one. Try it from here, or from a shell: <Link to="/send">send an event</Link>.</Empty>;
  }
  return (
    <div className={`table-frame ${compact ? "compact" : ""}`}>
      <div className="table-note">
        <span className={`live ${live ? "on" : ""}`}><span className="dot" aria-hidden="true" />{live ? "live" : "reconnecting"}</span>
        <span className="faint" aria-live="polite">{rows.length.toLocaleString("en")}{complete ? "" : "+"} {rows.length === 1 ? "run" : "runs"}</span>
        {unseen > 0 && <button type="button" className="button small primary" onClick={() => { list.reveal(); scroll.current?.scrollTo({ top: 0 }); }}><ArrowUp aria-hidden="true" />{unseen} new</button>}
      </div>
      <div className="table" role="table" aria-label="Runs" aria-rowcount={complete ? rows.length + 1 : -1}>
        <div className="tr th" role="row" aria-rowindex={1}>
          <span role="columnheader">Status</span><span role="columnheader">Function</span><span role="columnheader">Run</span><span role="columnheader">What</span><span role="columnheader" className="num">Took</span><span role="columnheader" className="num">Created</span>
        </div>
        <div className="rows" ref={scroll} role="rowgroup" tabIndex={0} aria-label="Runs, newest first. Use the arrow keys." onKeyDown={onKeyDown} onScroll={(event) => list.top(event.currentTarget.scrollTop < ROW)}>
          <div style={{ height: virtual.getTotalSize(), position: "relative" }} role="presentation">
            {items.map((item) => <Row key={item.key} run={rows[item.index]!} index={item.index} top={item.start} current={item.index === cursor} />)}
          </div>
          {loading && rows.length === 0 && Array.from({ length: 12 }, (_, i) => <div className="tr ghost-row" key={i} aria-hidden="true"><span /><span /><span /><span /><span /><span /></div>)}
          {!complete && rows.length > 0 && <div className="table-more faint" role="presentation">{error !== null ? <button type="button" className="link" onClick={list.more}>The next page did not come. Try again</button> : barren ? <button type="button" className="link" onClick={list.more}>Look further back</button> : "Reading more …"}</div>}
        </div>
      </div>
    </div>
  );
}

function Row({ run, index, top, current }: { run: Run; index: number; top: number; current: boolean }): ReactNode {
  return (
    <div className="tr" role="row" aria-rowindex={index + 2} data-current={current} style={{ transform: `translateY(${top}px)` }}>
      <span role="cell"><Status status={run.status} /></span>
      <span role="cell" className="ellipsis"><Link to="/runs/$run" params={{ run: run.id }} preload={false} className="whole-row" data-index={index} tabIndex={-1}><span className="muted">{run.app}/</span><strong>{run.function}</strong></Link></span>
      <span role="cell" className="ellipsis"><Id id={run.id} /></span>
      <span role="cell" className="ellipsis"><About run={run} /></span>
      <span role="cell" className="num"><Took run={run} /></span>
      <span role="cell" className="num muted"><Time at={run.createdAt} /></span>
    </div>
  );
}

/** What is worth knowing of a run at a glance: why it is in trouble, else what it is about. */
function About({ run }: { run: Run }): ReactNode {
  if (run.hold) return <span className="warn"><Prose text={run.hold.detail} /></span>;
  const error = run.err ?? run.lastError;
  if (error) return <span className="bad">{error.name}: {error.message}</span>;
  return (
    <span className="muted">
      <span className="own-id"><Id id={run.id} /></span>
      {run.name && <span className="tag">{run.name}</span>}
      {run.key && <span className="tag">key {run.key}</span>}
      {run.tags?.map((tag) => <span key={tag} className="tag">{tag}</span>)}
      {Object.entries(run.attributes ?? {}).map(([name, value]) => <span key={name} className="tag">{name} {typeof value === "string" ? value : line(value)}</span>)}
      {run.scheduledAt && <>for {absolute(run.scheduledAt).slice(0, 16)} </>}
      {run.status === "suspended" && run.wakeAt && <>wakes <Time at={run.wakeAt} /></>}
      {run.parent && <>child of <Id id={run.parent.run} /> </>}
      {run.previous && <>{run.previous.origin === "fork" ? "fork of" : "goes on from"} <Id id={run.previous.run} /></>}
    </span>
  );
}

function Took({ run }: { run: Run }): ReactNode {
  const now = useNow();
  const end = run.endedAt === null ? now : ms(run.endedAt);
  if (run.status === "queued" && ms(run.startedAt) > now) return <span className="muted" title="It begins when its delay is over">in {span(ms(run.startedAt) - now)}</span>;
  return <span className={run.endedAt === null ? "muted" : ""}>{span(Math.max(0, end - ms(run.startedAt)))}</span>;
}
