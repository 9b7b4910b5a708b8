/**
 * Payloads as people read them: a tree that folds, with every digit, bounded so that 4 MiB do not stop the page. Everything is text: a
 * payload that looks like markup is shown and never becomes any.
 */
import { type ReactNode, useState } from "react";
import type { Json } from "../api/types.ts";
import { Digits, print } from "../lib/digits.ts";
import { CopyButton } from "./basics.tsx";

/** Children of one value that are shown before somebody asks for more. */
const CHILDREN = 100;
/** Characters of a text that are shown before somebody asks for more. */
const CHARACTERS = 2_000;

export function JsonView({ value, label, open = 2 }: { value: Json | undefined; label?: string; open?: number }): ReactNode {
  return (
    <div className="json">
      <div className="json-bar">
        {label && <span className="json-label">{label}</span>}
        <CopyButton text={() => print(value)} label={`Copy ${label ?? "the value"} as JSON`} />
      </div>
      <div className="json-body" tabIndex={0} role="group" aria-label={label ?? "value"}>
        <Value value={value ?? null} depth={0} open={open} />
      </div>
    </div>
  );
}

function Value({ value, depth, open, name, comma = false }: { value: unknown; depth: number; open: number; name?: string; comma?: boolean }): ReactNode {
  const [shown, setShown] = useState(depth < open);
  const [limit, setLimit] = useState(CHILDREN);
  const prefix = name === undefined ? null : <span className="json-name">{name}: </span>;
  const tail = comma ? "," : "";
  if (typeof value !== "object" || value === null || value instanceof Digits) {
    return <div className="json-line" style={{ paddingInlineStart: `${depth * 1.1}rem` }}>{prefix}<Scalar value={value} />{tail}</div>;
  }
  const pairs: [string | undefined, unknown][] = Array.isArray(value) ? value.map((child) => [undefined, child]) : Object.entries(value);
  const [begin, end] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  const indent = { paddingInlineStart: `${depth * 1.1}rem` };
  if (pairs.length === 0) return <div className="json-line" style={indent}>{prefix}<span className="faint">{begin}{end}</span>{tail}</div>;
  if (!shown) {
    return (
      <div className="json-line" style={indent}>
        {prefix}
        <button type="button" className="json-fold" aria-expanded="false" onClick={() => setShown(true)}>{begin} {pairs.length} {pairs.length === 1 ? "item" : "items"} {end}</button>{tail}
      </div>
    );
  }
  return (
    <>
      <div className="json-line" style={indent}>
        {prefix}
        {depth === 0 ? <span className="faint">{begin}</span> : <button type="button" className="json-fold" aria-expanded="true" aria-label="Fold" onClick={() => setShown(false)}>{begin}</button>}
      </div>
      {pairs.slice(0, limit).map(([key, child], i) => <Value key={key ?? i} name={key} value={child} depth={depth + 1} open={open} comma={i < pairs.length - 1} />)}
      {pairs.length > limit && (
        <div className="json-line" style={{ paddingInlineStart: `${(depth + 1) * 1.1}rem` }}>
          <button type="button" className="json-fold" onClick={() => setLimit(limit + CHILDREN * 5)}>{pairs.length - limit} more …</button>
        </div>
      )}
      <div className="json-line faint" style={indent}>{end}{tail}</div>
    </>
  );
}

function Scalar({ value }: { value: unknown }): ReactNode {
  const [whole, setWhole] = useState(false);
  if (value instanceof Digits) return <span className="json-number">{value.source}</span>;
  if (value === null || value === undefined) return <span className="json-null">null</span>;
  if (typeof value === "number") return <span className="json-number">{String(value)}</span>;
  if (typeof value === "boolean") return <span className="json-number">{String(value)}</span>;
  const text = String(value);
  const cut = !whole && text.length > CHARACTERS;
  return (
    <span className="json-text">
      {JSON.stringify(cut ? text.slice(0, CHARACTERS) : text)}
      {cut && <button type="button" className="json-fold" onClick={() => setWhole(true)}>… {(text.length - CHARACTERS).toLocaleString("en")} more characters</button>}
    </span>
  );
}
