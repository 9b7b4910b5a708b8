/** What is shown when the server wants a key. The key stays in this tab, and is checked before anything else is tried with it. */
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { get, key } from "../api/client.ts";
import { Act, Field } from "../ui/controls.tsx";
import { Mark } from "./shell.tsx";

export function SignIn({ onDone }: { onDone: () => void }): ReactNode {
  const client = useQueryClient();
  const [value, setValue] = useState("");
  return (
    <main className="sign-in">
      <div className="card">
        <div className="brand"><Mark /><span>backstitch</span></div>
        <h1>Sign in</h1>
        <p className="muted">This server wants an API key. It is kept in this browser tab only, and forgotten when the tab is closed.</p>
        <Act label="Sign in" disabled={value.trim() === ""} done={() => { void client.invalidateQueries(); onDone(); }}
          act={async () => {
            key.write(value.trim());
            try {
              await get("/v1/apps");
            } catch (error) {
              key.forget();
              throw error;
            }
          }}>
          <Field label="API key" hint="Whoever runs the server can make one.">
            {(id) => <input id={id} type="password" autoComplete="current-password" autoFocus value={value} onChange={(event) => setValue(event.target.value)} />}
          </Field>
        </Act>
      </div>
    </main>
  );
}
