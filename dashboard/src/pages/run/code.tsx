/** The run as something to paste: a curl line, a command, a test that has its data. */
import { type ReactNode, useState } from "react";
import { key } from "../../api/client.ts";
import type { Entry, Run } from "../../api/types.ts";
import { asTest, curl, startAsCommand, startAsCurl } from "../../lib/code.ts";
import { CopyButton } from "../../ui/basics.tsx";
import { Tabs } from "../../ui/controls.tsx";

type Form = "curl" | "cli" | "test";

export function CodeView({ run, entries }: { run: Run; entries: readonly Entry[] }): ReactNode {
  const [form, setForm] = useState<Form>("curl");
  const signedIn = key.read() !== null;
  const server = location.origin;
  const text = {
    curl: [`# The run`, curl({ method: "GET", url: `${server}/v1/runs/${run.id}` }, signedIn), `# Its journal`, curl({ method: "GET", url: `${server}/v1/runs/${run.id}/journal` }, signedIn), `# Start another one with the same input`, startAsCurl(run, server, signedIn)].join("\n"),
    cli: [`backstitch run ${run.id} --watch`, `backstitch explain ${run.id}`, `# Start another one with the same input`, startAsCommand(run)].join("\n"),
    test: asTest(run, entries),
  }[form];
  return (
    <div className="stack">
      <Tabs label="Form" value={form} onChange={setForm} tabs={[["curl", "curl"], ["cli", "Command line"], ["test", "Test"]]} />
      <div className="code-block"><CopyButton text={text} label="Copy" /><pre tabIndex={0}>{text}</pre></div>
      {form === "test" && <p className="hint">A test for the TypeScript test kit: the run's input, what each step gave, the signals that came. Steps are given their outcomes and do not run.</p>}
    </div>
  );
}
