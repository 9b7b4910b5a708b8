/**
 * A digest that is put together every morning and sent when its reader wants it. The Worker is gone while it waits: hours of waiting cost
 * nothing.
 */
import { Backstitch, type Context, signal } from "backstitch";

/** What the feed has. */
export interface Story {
  title: string;
  url: string;
}

/** Who reads the digest, and where the feed and the mail service are. */
export interface Reader {
  mail: string;
  feed: string;
  outbox: string;
}

/** "Not now, at this time." */
export const snooze = signal<{ for: string }>("snooze");

export const app = new Backstitch({ id: "digest" });

/** Resolves to how many stories were sent, and after how many times of "not now". */
export const morning = app.function({ id: "morning" }, async ({ input, step }: Context<[], Reader>) => {
  // A step is a request to somewhere else: it is tried again when that fails, and not made again when the Worker dies.
  const stories = await step.run("feed", () => fetched(input.feed), { retry: { attempts: 10 }, timeout: "20s" });
  let snoozed = 0;
  for (;;) {
    const later = await step.waitForSignal("later", snooze, { timeout: "30m" });
    if (later.timedOut || snoozed === 3) break;
    snoozed++;
    await step.sleep("snooze", later.data.for);
  }
  await step.run("send", ({ idempotencyKey }) => send(input, stories, idempotencyKey));
  return { sent: stories.length, snoozed };
});

async function fetched(feed: string): Promise<Story[]> {
  const response = await fetch(feed);
  if (!response.ok) throw new Error(`the feed answered ${response.status}`);
  const { stories } = (await response.json()) as { stories: Story[] };
  return stories.slice(0, 10);
}

async function send({ mail, outbox }: Reader, stories: readonly Story[], key: string): Promise<void> {
  const text = stories.map(({ title, url }) => `${title}\n${url}`).join("\n\n");
  // The mail service sends one mail for one key, however often it is asked.
  const response = await fetch(outbox, { method: "POST", headers: { "idempotency-key": key }, body: JSON.stringify({ to: mail, text }) });
  if (!response.ok) throw new Error(`the mail service answered ${response.status}`);
}
