/**
 * The agent's tools, over a small library of its own: `search`, `read`, and `buy`, which costs money and therefore asks. The archive
 * is slow to open: the first attempt to read from it fails.
 */
import type { BodyFacts } from "backstitch";
import type { Action } from "./llm.js";

const LIBRARY: Record<string, { title: string; text: string; price?: number }> = {
  "seams-1": { title: "Why seams hold", text: "A backstitch goes back over the last stitch before it makes the next one, so a cut thread opens one stitch at most." },
  "seams-2": { title: "Seams under load, a study", text: "Of 40 seams with the thread cut anywhere, backstitched ones held in 40, running stitch in 3.", price: 12 },
  "looms-1": { title: "Looms", text: "A loom holds the warp under tension." },
};

/** Whether a person is asked before a tool is used. */
export function asks(tool: string): boolean {
  return tool === "buy";
}

/** Uses a tool. Resolves to what it found; throws `NotFound` where no attempt will help. */
export async function useTool({ tool, argument }: Action, { attempt, idempotencyKey }: BodyFacts): Promise<string> {
  if (tool === "search") return search(argument);
  const document = LIBRARY[argument];
  if (document === undefined || !["read", "buy"].includes(tool)) throw Object.assign(new Error(`there is no ${tool} ${argument}`), { name: "NotFound" });
  if (tool === "read" && document.price !== undefined) return `${document.title}: ${document.price} EUR`;
  if (tool === "read" && attempt === 1) throw new Error("the archive is still opening");
  return tool === "read" ? document.text : `${document.text} (bought for ${document.price ?? 0} EUR under ${idempotencyKey})`;
}

function search(words: string): string {
  const wanted = words.toLowerCase().split(/\W+/).filter((word) => word.length > 3);
  const found = Object.entries(LIBRARY).filter(([, { title }]) => wanted.some((word) => title.toLowerCase().includes(word)));
  return found.map(([id, { title, price }]) => `${id} (${title}${price === undefined ? "" : `, ${price} EUR`})`).join(", ") || "nothing";
}
