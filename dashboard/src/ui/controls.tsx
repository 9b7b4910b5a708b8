/** Dialogs, menus, tips, tabs and fields, on top of a headless library that knows keyboards and screen readers; our part is how they look. */
import { Dialog as BaseDialog } from "@base-ui/react/dialog";
import { Menu as BaseMenu } from "@base-ui/react/menu";
import { X } from "lucide-react";
import { type ReactElement, type ReactNode, useId, useState } from "react";
import { parse, print } from "../lib/digits.ts";
import { Trouble } from "./basics.tsx";

/** A window over the page. */
export function Dialog({ open, onClose, title, about, children, wide = false }: { open: boolean; onClose: () => void; title: string; about?: ReactNode; children: ReactNode; wide?: boolean }): ReactNode {
  return (
    <BaseDialog.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <BaseDialog.Portal>
        <BaseDialog.Backdrop className="backdrop" />
        <BaseDialog.Popup className={`dialog ${wide ? "wide" : ""}`}>
          <header>
            <BaseDialog.Title>{title}</BaseDialog.Title>
            <BaseDialog.Close className="icon-button" aria-label="Close"><X aria-hidden="true" /></BaseDialog.Close>
          </header>
          {about && <BaseDialog.Description className="about" render={<div />}>{about}</BaseDialog.Description>}
          {children}
        </BaseDialog.Popup>
      </BaseDialog.Portal>
    </BaseDialog.Root>
  );
}

/** A button that opens a list of things to do. */
export function Menu({ trigger, children }: { trigger: ReactElement; children: ReactNode }): ReactNode {
  return (
    <BaseMenu.Root>
      <BaseMenu.Trigger render={trigger} />
      <BaseMenu.Portal>
        <BaseMenu.Positioner className="positioner" sideOffset={6} align="end">
          <BaseMenu.Popup className="menu">{children}</BaseMenu.Popup>
        </BaseMenu.Positioner>
      </BaseMenu.Portal>
    </BaseMenu.Root>
  );
}

export function MenuItem({ onClick, icon, danger = false, children }: { onClick: () => void; icon?: ReactNode; danger?: boolean; children: ReactNode }): ReactNode {
  return <BaseMenu.Item className={`menu-item ${danger ? "danger" : ""}`} onClick={onClick}>{icon}{children}</BaseMenu.Item>;
}

export const MenuLine = (): ReactNode => <BaseMenu.Separator className="menu-line" />;

/** One of several views of the same thing; the choice is the caller's to keep. */
export function Tabs<T extends string>({ value, onChange, tabs, label }: { value: T; onChange: (value: T) => void; tabs: readonly (readonly [T, ReactNode])[]; label: string }): ReactNode {
  return (
    <div className="tabs" role="tablist" aria-label={label}>
      {tabs.map(([id, name]) => (
        <button key={id} type="button" role="tab" aria-selected={id === value} tabIndex={id === value ? 0 : -1} onClick={() => onChange(id)}
          onKeyDown={(event) => {
            const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
            if (step === 0) return;
            const at = tabs.findIndex(([one]) => one === value);
            const next = (at + step + tabs.length) % tabs.length;
            onChange(tabs[next]![0]);
            (event.currentTarget.parentElement?.children[next] as HTMLElement | undefined)?.focus();
          }}>
          {name}
        </button>
      ))}
    </div>
  );
}

export function Field({ label, hint, children }: { label: string; hint?: ReactNode; children: (id: string) => ReactNode }): ReactNode {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children(id)}
      {hint && <p className="hint">{hint}</p>}
    </div>
  );
}

/** What a text says as JSON, or why it says nothing. */
export function readJson(text: string): { value: unknown } | { problem: string } {
  if (text.trim() === "") return { value: null };
  try {
    return { value: parse(text) };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

/** A place to write JSON in. It says at once what is not JSON, and keeps what was typed. */
export function JsonField({ label, value, onChange, rows = 8, hint }: { label: string; value: string; onChange: (text: string) => void; rows?: number; hint?: ReactNode }): ReactNode {
  const read = readJson(value);
  const problem = "problem" in read ? read.problem : null;
  const problemId = useId();
  return (
    <Field label={label} hint={hint}>
      {(id) => (
        <>
          <textarea id={id} className="code" rows={rows} spellCheck={false} autoCapitalize="off" autoComplete="off" value={value} onChange={(event) => onChange(event.target.value)}
            aria-invalid={problem !== null} aria-describedby={problemId} onBlur={() => "value" in read && value.trim() !== "" && onChange(print(read.value))} />
          <p className="hint bad" id={problemId} aria-live="polite">{problem === null ? "" : `This is not JSON yet: ${problem}`}</p>
        </>
      )}
    </Field>
  );
}

/** A form that does one thing: its button is busy while it happens, and what went wrong stands above it. */
export function Act({ label, danger = false, disabled = false, act, done, children }: { label: string; danger?: boolean; disabled?: boolean; act: () => Promise<unknown>; done?: () => void; children?: ReactNode }): ReactNode {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        setBusy(true);
        setError(null);
        act().then(() => done?.(), setError).finally(() => setBusy(false));
      }}
    >
      {children}
      {error !== null && <Trouble error={error} />}
      <div className="actions">
        <button type="submit" className={`button ${danger ? "danger" : "primary"}`} disabled={disabled || busy} aria-busy={busy}>{busy ? "Working …" : label}</button>
      </div>
    </form>
  );
}
