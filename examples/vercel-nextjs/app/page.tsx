/** A form that starts a run: the page answers at once, the run takes a week. */
import { redirect } from "next/navigation";
import { Client } from "backstitch/client";
import { onboarding } from "../lib/onboarding.ts";

async function signUp(form: FormData): Promise<void> {
  "use server";
  const mail = String(form.get("mail") ?? "");
  // The run has the customer's name: who signs up twice is welcomed once.
  const run = await new Client().start(onboarding, { mail }, { runId: `welcome-${mail}` });
  redirect(`/?run=${run.id}`);
}

export default async function Page({ searchParams }: { searchParams: Promise<{ run?: string }> }) {
  const { run } = await searchParams;
  if (run !== undefined) return <p>Welcome! Your run is {run}.</p>;
  return (
    <form action={signUp}>
      <input name="mail" type="email" required placeholder="you@example.com" />
      <button>Sign up</button>
    </form>
  );
}
