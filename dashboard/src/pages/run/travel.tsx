/** Time travel: goes through the settlements of a run, in the order in which its handler was told of them. */
import { ChevronLeft, ChevronRight, History, X } from "lucide-react";
import { type ReactNode, useEffect } from "react";
import { clock } from "../../lib/time.ts";
import type { Moment } from "../../lib/travel.ts";

export function Travel({ story, at, onChange }: { story: readonly Moment[]; at: number | undefined; onChange: (at: number | undefined) => void }): ReactNode {
  const last = story.length - 1;
  const here = at === undefined ? last : Math.min(at, last);
  const travelling = at !== undefined;
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (event.metaKey || event.ctrlKey || event.altKey || (event.target as HTMLElement).closest("input:not([type=range]), textarea, select, [role=dialog]")) return;
      if (event.key === "[") onChange(Math.max(0, here - (travelling ? 1 : 0)));
      else if (event.key === "]" && travelling) onChange(Math.min(last, here + 1));
      else if (event.key === "Escape" && travelling) onChange(undefined);
    };
    document.addEventListener("keydown", listen);
    return () => document.removeEventListener("keydown", listen);
  });
  if (last < 1) return null;
  const moment = story[here]!;
  return (
    <div className="travel" data-on={travelling}>
      <History aria-hidden="true" />
      <button type="button" className="icon-button small" aria-label="One outcome back" title="Back ([)" disabled={here === 0} onClick={() => onChange(Math.max(0, here - (travelling ? 1 : 0)))}><ChevronLeft aria-hidden="true" /></button>
      <input type="range" min={0} max={last} value={here} onChange={(event) => onChange(Number(event.target.value))} aria-label="How many outcomes the handler knows" aria-valuetext={text(moment, last)} />
      <button type="button" className="icon-button small" aria-label="One outcome on" title="On (])" disabled={!travelling || here === last} onClick={() => onChange(Math.min(last, here + 1))}><ChevronRight aria-hidden="true" /></button>
      <span className="travel-text">{travelling ? text(moment, last) : <span className="faint">as it is now · step back to see what the handler saw</span>}</span>
      {travelling && <button type="button" className="button small" onClick={() => onChange(undefined)}><X aria-hidden="true" />Now</button>}
    </div>
  );
}

function text(moment: Moment, last: number): string {
  if (moment.entry === null) return `at the start, ${clock(moment.at)}: the handler knew its input`;
  return `${moment.seq} of ${last}, ${clock(moment.at)}: told of ${moment.entry.id}`;
}
