/** Go anywhere by typing: pages, functions, apps, and anything by its id. */
import { Dialog as BaseDialog } from "@base-ui/react/dialog";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { CornerDownLeft, Search } from "lucide-react";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { apps, functions } from "../api/queries.ts";

interface Hit {
  label: string;
  kind: string;
  go: () => void;
}

export function Palette({ open, onClose, places }: { open: boolean; onClose: () => void; places: readonly { to: string; label: string }[] }): ReactNode {
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const { data: appPage } = useQuery({ ...apps, enabled: open });
  const { data: functionPage } = useQuery({ ...functions, enabled: open });
  useEffect(() => { if (open) { setText(""); setAt(0); } }, [open]);
  const hits = useMemo<Hit[]>(() => {
    const wanted = text.trim();
    const found: Hit[] = [];
    if (/^run_[0-9A-Za-z]{6,}$/.test(wanted)) found.push({ label: wanted, kind: "run", go: () => void navigate({ to: "/runs/$run", params: { run: wanted } }) });
    if (/^evt_[0-9A-Za-z]{6,}$/.test(wanted)) found.push({ label: wanted, kind: "event", go: () => void navigate({ to: "/events/$event", params: { event: wanted } }) });
    for (const place of places) found.push({ label: place.label, kind: "page", go: () => void navigate({ to: place.to }) });
    for (const fn of functionPage?.items ?? []) found.push({ label: `${fn.app}/${fn.function}`, kind: "function", go: () => void navigate({ to: "/functions/$app/$fn", params: { app: fn.app, fn: fn.function } }) });
    for (const app of appPage?.items ?? []) found.push({ label: app.name, kind: "app", go: () => void navigate({ to: "/apps/$app", params: { app: app.name } }) });
    const low = wanted.toLowerCase();
    return found.filter((hit) => hit.label.toLowerCase().includes(low)).slice(0, 12);
  }, [text, places, appPage, functionPage, navigate]);
  const choose = (hit: Hit | undefined): void => {
    if (!hit) return;
    onClose();
    hit.go();
  };
  return (
    <BaseDialog.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <BaseDialog.Portal>
        <BaseDialog.Backdrop className="backdrop" />
        <BaseDialog.Popup className="palette" aria-label="Go anywhere">
          <div className="palette-field">
            <Search aria-hidden="true" />
            <input autoFocus value={text} placeholder="A page, a function, run_… or evt_…" role="combobox" aria-expanded="true" aria-controls="palette-hits" aria-activedescendant={hits[at] ? `hit-${at}` : undefined} aria-label="Go to"
              onChange={(event) => { setText(event.target.value); setAt(0); }}
              onKeyDown={(event) => {
                if (event.key === "ArrowDown") { event.preventDefault(); setAt(Math.min(at + 1, hits.length - 1)); }
                if (event.key === "ArrowUp") { event.preventDefault(); setAt(Math.max(at - 1, 0)); }
                if (event.key === "Enter") choose(hits[at]);
              }} />
          </div>
          <ul id="palette-hits" role="listbox" aria-label="Found">
            {hits.map((hit, i) => (
              <li key={`${hit.kind} ${hit.label}`} id={`hit-${i}`} role="option" aria-selected={i === at} onPointerMove={() => setAt(i)} onClick={() => choose(hit)}>
                <span className="grow ellipsis">{hit.label}</span><span className="faint">{hit.kind}</span>{i === at && <CornerDownLeft aria-hidden="true" />}
              </li>
            ))}
            {hits.length === 0 && <li className="faint" role="option" aria-selected="false" aria-disabled="true">Nothing of that name. An id begins with run_ or evt_.</li>}
          </ul>
        </BaseDialog.Popup>
      </BaseDialog.Portal>
    </BaseDialog.Root>
  );
}
