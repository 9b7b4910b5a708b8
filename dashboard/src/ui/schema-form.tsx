/** A form that follows a JSON Schema. What it cannot show by fields it shows as JSON, so that nothing is out of reach. */
import { type ReactNode, useState } from "react";
import type { Json } from "../api/types.ts";
import { line, print } from "../lib/digits.ts";
import { type Field as SchemaField, fields, resolve, type Schema } from "../lib/schema.ts";
import { Field, JsonField, readJson } from "./controls.tsx";

type Values = { [name: string]: unknown };

export function SchemaForm({ schema, value, onChange, root = schema }: { schema: Schema; value: unknown; onChange: (value: unknown) => void; root?: Schema }): ReactNode {
  const found = fields(schema, root);
  if (found.length === 0) return <JsonLeaf label="Value" value={value} onChange={onChange} />;
  const values: Values = typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Values) : {};
  const put = (name: string, next: unknown): void => {
    const changed = { ...values };
    if (next === undefined) delete changed[name];
    else changed[name] = next;
    onChange(changed);
  };
  return <div className="schema-form">{found.map((field) => <One key={field.name} field={field} value={values[field.name]} root={root} onChange={(next) => put(field.name, next)} />)}</div>;
}

function One({ field, value, root, onChange }: { field: SchemaField; value: unknown; root: Schema; onChange: (value: unknown) => void }): ReactNode {
  const label = field.required ? field.title : `${field.title} (optional)`;
  if (field.kind === "group") {
    return <fieldset><legend>{label}</legend>{field.about && <p className="hint">{field.about}</p>}<SchemaForm schema={resolve(field.schema, root)} root={root} value={value} onChange={onChange} /></fieldset>;
  }
  if (field.kind === "json") return <JsonLeaf label={label} value={value} onChange={onChange} hint={field.about} />;
  if (field.kind === "choice") {
    return (
      <Field label={label} hint={field.about}>{(id) => (
        <select id={id} value={value === undefined ? "" : line(value)} onChange={(event) => onChange(event.target.value === "" ? undefined : (JSON.parse(event.target.value) as Json))}>
          {(!field.required || value === undefined) && <option value="">–</option>}
          {field.choices.map((one) => <option key={print(one)} value={line(one)}>{typeof one === "string" ? one : line(one)}</option>)}
        </select>
      )}</Field>
    );
  }
  if (field.kind === "boolean") {
    return <Field label={label} hint={field.about}>{(id) => <input id={id} type="checkbox" checked={value === true} onChange={(event) => onChange(event.target.checked)} />}</Field>;
  }
  const number = field.kind !== "text";
  return (
    <Field label={label} hint={field.about}>{(id) => (
      <input id={id} inputMode={number ? "decimal" : undefined} autoComplete="off" value={value === undefined || value === null ? "" : typeof value === "string" ? value : line(value)}
        onChange={(event) => {
          const text = event.target.value;
          if (text === "" && !field.required) onChange(undefined);
          else onChange(number && text.trim() !== "" && Number.isFinite(Number(text)) && !text.endsWith(".") ? Number(text) : text);
        }} />
    )}</Field>
  );
}

function JsonLeaf({ label, value, onChange, hint }: { label: string; value: unknown; onChange: (value: unknown) => void; hint?: string }): ReactNode {
  const [text, setText] = useState(() => (value === undefined ? "" : print(value)));
  return <JsonField label={label} rows={4} value={text} hint={hint} onChange={(next) => { setText(next); const read = readJson(next); if ("value" in read) onChange(next.trim() === "" ? undefined : read.value); }} />;
}
