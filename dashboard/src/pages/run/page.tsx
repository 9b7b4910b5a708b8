/** One run: why it stands where it stands, its timeline, and whatever is chosen in it. */
import { type ReactNode, useMemo } from "react";
import { useNavigate } from "@tanstack/react-router";
import { useRun } from "../../api/run.ts";
import { ENDED } from "../../api/types.ts";
import { ms } from "../../lib/time.ts";
import { asSeen, moments } from "../../lib/travel.ts";
import { Trouble, useNow, Waiting } from "../../ui/basics.tsx";
import { Tabs } from "../../ui/controls.tsx";
import { runRoute } from "../../router.tsx";
import { Children } from "./children.tsx";
import { CodeView } from "./code.tsx";
import { EntryView } from "./entry.tsx";
import { Head } from "./head.tsx";
import { Facts, InputOutcome } from "./facts.tsx";
import { StreamView } from "./stream.tsx";
import { Timeline } from "./timeline.tsx";
import { Travel } from "./travel.tsx";
import { RunWire } from "./wire.tsx";
import { useDev } from "../../api/dev.ts";

type View = "data" | "related" | "stream" | "wire" | "code";

export function RunPage(): ReactNode {
  const { run: id } = runRoute.useParams();
  const search = runRoute.useSearch();
  const navigate = useNavigate({ from: "/runs/$run" });
  const change = (part: Partial<typeof search>): void => void navigate({ search: (old) => ({ ...old, ...part }), replace: true, resetScroll: false });
  const picture = useRun(id);
  const current = useNow();
  const journal = picture.journal;
  const wire = useDev();
  const story = useMemo(() => (journal ? moments(journal.entries, ms(journal.run.createdAt)) : []), [journal]);
  if (!journal) return <div className="page">{picture.error ? <Trouble error={picture.error} retry={picture.refresh} /> : <Waiting lines={8} label="Reading the run" />}</div>;
  const { run } = journal;
  const ended = ENDED.includes(run.status);
  const moment = search.at === undefined ? undefined : story[Math.min(search.at, story.length - 1)];
  const entries = moment ? asSeen(journal.entries, moment) : journal.entries;
  const now = moment ? moment.at : ended && run.endedAt ? ms(run.endedAt) : current;
  const entry = search.entry === undefined ? undefined : entries.find((one) => one.id === search.entry);
  const view = (search.view ?? "data") as View;
  const views: [View, string][] = [["data", "Data"], ["related", "Related"], ["stream", "Stream"], ...(wire ? ([["wire", "Wire"]] as [View, string][]) : []), ["code", "Copy as"]];
  return (
    <div className="page page-run">
      <Head run={run} entries={journal.entries} explanation={picture.explanation} live={picture.live} refresh={picture.refresh} />
      <Facts run={run} />
      <div className="run-body">
        <section className="run-time" aria-label="Timeline">
          <Travel story={story} at={search.at} onChange={(at) => change({ at })} />
          <Timeline run={run} entries={entries} invocations={moment ? [] : journal.attempts} now={now} scale={search.scale === "folded" ? "folded" : "real"} onScale={(scale) => change({ scale: scale === "folded" ? scale : undefined })}
            over={ended && !moment} find={{ text: search.find ?? "", trouble: search.trouble === true }} onFind={({ text, trouble }) => change({ find: text === "" ? undefined : text, trouble: trouble || undefined })}
            chosen={search.entry} onChoose={(chosen) => change({ entry: chosen === search.entry ? undefined : chosen })} />
        </section>
        <section className="run-detail" aria-label="Details">
          {entry
            ? <EntryView key={entry.id} run={run} entry={entry} all={journal.entries} onClose={() => change({ entry: undefined })} refresh={picture.refresh} />
            : (
              <>
                <Tabs label="About the run" value={view} onChange={(next) => change({ view: next === "data" ? undefined : next })} tabs={views} />
                {view === "data" && <InputOutcome journal={journal} />}
                {view === "related" && <Children run={run} entries={journal.entries} />}
                {view === "stream" && <StreamView run={run.id} ended={ended} />}
                {view === "wire" && <RunWire run={run.id} />}
                {view === "code" && <CodeView run={run} entries={journal.entries} />}
              </>
            )}
        </section>
      </div>
    </div>
  );
}
