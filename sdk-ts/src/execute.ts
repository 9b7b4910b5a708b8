/**
 * Executes one invocation of one function: builds what the handler is given, and replays it. Between the wire and the user's code.
 */
import type { Backstitch } from "./app.js";
import type { FunctionDefinition, Tick } from "./function.js";
import { type Logger, runLogger } from "./log.js";
import { Replay, type ReplayOptions } from "./replay/replay.js";
import { parseWith } from "./schema.js";
import { RunState } from "./state.js";
import { Steps } from "./steps.js";
import type { Answer } from "./wire/answer.js";
import type { Invocation, WireEvent } from "./wire/invocation.js";
import { writeJson } from "./wire/json.js";

function eventOf(invocation: Invocation): WireEvent {
  const { trigger, run, input } = invocation;
  const first = trigger.kind === "event" ? trigger.events[0] : undefined;
  return first ?? { id: run.id, name: `backstitch/${trigger.kind}`, data: input, at: trigger.kind === "schedule" ? trigger.at : run.startedAt };
}

function tickOf({ trigger }: Invocation): Tick | undefined {
  if (trigger.kind !== "schedule") return undefined;
  const { schedule, at, previous } = trigger;
  return { schedule, at: new Date(at), previous: typeof previous === "string" ? new Date(previous) : null };
}

/** The data of the triggering event, parsed with the schema of the trigger that names it. */
function parsedData(fn: FunctionDefinition, event: WireEvent): unknown {
  for (const trigger of fn.options.on ?? []) {
    const type = typeof trigger === "object" && "event" in trigger ? trigger.event : trigger;
    if (typeof type === "function" && type.event === event.name) return parseWith(type.schema, `the data of event \`${event.name}\``, event.data);
  }
  return event.data;
}

/** What an execution is told, besides what the replay is told. */
export interface ExecuteOptions extends ReplayOptions {
  /** Where the handler's log goes; the app's logger if left out. */
  readonly log?: Logger;
}

/** Runs the function's handler against the journal. Throws `Abandoned` when it is ended from outside, `Stale` when another invocation has taken over. */
export function execute(app: Backstitch, fn: FunctionDefinition, invocation: Invocation, options: ExecuteOptions): Promise<Answer> {
  const replay = new Replay(invocation, options);
  const { run, trigger } = invocation;
  const step = new Steps({ replay, facts: run, codec: app.codec }, "");
  const log = runLogger(options.log ?? app.log, { run: run.id, function: `${run.app}/${run.function}` }, () => replay.replaying);
  const handler = async (): Promise<unknown> => {
    const received = eventOf(invocation);
    const byEvent = trigger.kind === "event";
    const decoded = byEvent ? invocation.input : app.codec.decode(invocation.input);
    const data = byEvent ? await parsedData(fn, received) : decoded;
    const input = fn.options.input === undefined ? (byEvent ? data : decoded) : await parseWith(fn.options.input, "the function's input", decoded);
    const event = { ...received, data: byEvent ? data : input };
    const { facts } = step;
    const object = fn.mode === undefined ? { event } : { key: run.key, state: new RunState(invocation.state ?? {}, replay, app.codec, fn.mode === "exclusive") };
    return fn.handler({ ...object, input, trigger, tick: tickOf(invocation), step, run: facts, log, get signal() { return replay.signal; } } as never);
  };
  return replay.answer(handler, (result) => writeJson(`the result of \`${fn.function}\``, app.codec.encode(result)));
}
