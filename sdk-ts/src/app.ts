/**
 * The app: a named set of functions that one code base serves, and its manifest.
 */
import { type Codec, plain } from "./codec.js";
import { checkedDuration } from "./duration.js";
import { MisuseError } from "./errors.js";
import type { EventType } from "./event.js";
import type { CancelTrigger, CronTrigger, FunctionDefinition, FunctionOptions, Handler, IntervalTrigger, Trigger, TriggeredBy } from "./function.js";
import { consoleLogger, type Logger } from "./log.js";
import { checkedKey, type ObjectDefinition, type ObjectHandler } from "./object.js";
import { jsonSchemaOf } from "./schema.js";
import { retryParams } from "./steps.js";
import type { Json, Jsonify } from "./types.js";
import { writeJson } from "./wire/json.js";
import type { ManifestFunction, ManifestObject, ManifestTrigger } from "./wire/manifest.js";

/** What an app is made of. */
export interface BackstitchOptions {
  /** Unique on its server; letters, digits, `-`, `_`, `.`. Runs are found by it: do not change it while there are any. */
  id: string;
  /** How the app's own values are written; plain JSON if left out. */
  codec?: Codec;
  /** Where handlers' logs go; the console if left out. */
  log?: Logger;
}

const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

type InputOf<On extends readonly Trigger[]> = TriggeredBy<On> extends { data: infer D } ? D : Json;

/**
 * An app. Define its functions on it, then serve it with `backstitch/fetch` or `backstitch/node`.
 *
 * ```ts
 * export const app = new Backstitch({ id: "shop" });
 * export const order = app.function({ id: "order", on: [orderCreated] }, async ({ event, step }) => {
 *   const charge = await step.run("charge", () => pay(event.data));
 *   await step.sleep("cool-off", "1h");
 *   return step.run("ship", () => ship(charge));
 * });
 * ```
 */
export class Backstitch {
  readonly id: string;
  readonly codec: Codec;
  readonly log: Logger;
  readonly #functions = new Map<string, FunctionDefinition<any, any>>();
  readonly #objects = new Set<string>();

  constructor(options: BackstitchOptions) {
    if (!ID.test(options?.id ?? "")) throw new MisuseError(`failed to create the app ${JSON.stringify(options?.id)}: ids are made of letters, digits, - _ . and begin with a letter or digit.`);
    this.id = options.id;
    this.codec = options.codec ?? plain;
    this.log = options.log ?? consoleLogger;
  }

  /** The app's functions by id, those that handle failures and those of objects among them. */
  get functions(): ReadonlyMap<string, FunctionDefinition<any, any>> {
    return this.#functions;
  }

  /** Defines a function. Its handler is replayed, so outside of steps it must be deterministic. */
  function<const On extends readonly Trigger[] = readonly [], In = InputOf<On>, Out = unknown, Sent = In>(
    options: FunctionOptions<On, In, Sent>,
    handler: Handler<On, In, Out>,
  ): FunctionDefinition<Sent, Jsonify<Out>> {
    const what = `the function ${JSON.stringify(options?.id)}`;
    this.#refuse(what, options?.id, handler);
    describeFunction(options as FunctionOptions, what); // Refuses what is wrong here, where the stack names the line.
    const { onFailure } = options;
    const failureId = `${options.id}.onFailure`;
    if (onFailure !== undefined) {
      this.#refuse(`the \`onFailure\` of ${what}`, failureId, onFailure);
      this.#add({ function: failureId, options: { id: failureId }, handler: onFailure as Handler<any, any>, failureOf: options.id });
    }
    return this.#add({ function: options.id, options: options as FunctionOptions, handler: handler as Handler<any, any> });
  }

  /**
   * Defines an object: durable state under a key, and the handlers that work on it. Call what it returns with a key, to call a handler.
   *
   * ```ts
   * export const cart = app.object({ id: "cart" }, {
   *   add: exclusive(async ({ state, input }: ObjectContext<Cart, Item>) => state.set("items", [...(state.get("items") ?? []), input])),
   *   items: shared(async ({ state }: SharedContext<Cart>) => state.get("items") ?? []),
   * });
   * await step.invoke("add", cart("user-17").add, { sku: "lamp", cents: 4_900 });
   * ```
   */
  object<H extends Record<string, ObjectHandler>>(options: { id: string }, handlers: H): ObjectDefinition<H> {
    const what = `the object ${JSON.stringify(options?.id)}`;
    if (!ID.test(options?.id ?? "")) throw new MisuseError(`failed to define ${what}: ids are made of letters, digits, - _ . and begin with a letter or digit.`);
    if (this.#objects.has(options.id)) throw new MisuseError(`failed to define ${what}: the app \`${this.id}\` already has one of this id.`);
    if (Object.keys(handlers).length === 0) throw new MisuseError(`failed to define ${what}: it has no handlers.`);
    for (const [id, { mode, options: own, handler }] of Object.entries(handlers)) {
      const one = `the handler ${JSON.stringify(id)} of ${what}`;
      if (!ID.test(id)) throw new MisuseError(`failed to define ${one}: ids are made of letters, digits, - _ . and begin with a letter or digit.`);
      describeFunction({ ...own, id }, one);
      this.#add({ function: `${options.id}/${id}`, options: { ...own, id }, handler: handler as Handler<any, any>, mode });
    }
    this.#objects.add(options.id);
    const calls = (key: string): Record<string, FunctionDefinition> => {
      checkedKey(key, options.id);
      return Object.fromEntries(Object.keys(handlers).map((id) => [id, this.#keyed(`${options.id}/${id}`, key)]));
    };
    return Object.assign(calls as never, { app: this.id, object: options.id }) as ObjectDefinition<H>;
  }

  /** The manifest's part about functions and objects. */
  describe(): { functions: ManifestFunction[]; objects: ManifestObject[] } {
    const all = [...this.#functions.values()];
    const functions = all.filter((fn) => fn.mode === undefined).map((fn) => {
      const described = describeFunction(fn.options);
      return fn.failureOf === undefined ? described : { ...described, triggers: [{ failureOf: fn.failureOf }] };
    });
    const objects = [...this.#objects].map((id) => {
      const own = all.filter((fn) => fn.mode !== undefined && fn.function.startsWith(`${id}/`));
      return { id, handlers: own.map((fn) => ({ ...describeFunction(fn.options), mode: fn.mode as "exclusive" | "shared" })) };
    });
    return { functions, objects };
  }

  #refuse(what: string, id: string, handler: unknown): void {
    if (!ID.test(id ?? "")) throw new MisuseError(`failed to define ${what}: ids are made of letters, digits, - _ . and begin with a letter or digit.`);
    if (this.#functions.has(id)) throw new MisuseError(`failed to define ${what}: the app \`${this.id}\` already has one of this id.`);
    if (typeof handler !== "function") throw new MisuseError(`failed to define ${what}: its handler is ${typeof handler}, not a function.`);
  }

  #keyed(id: string, key: string): FunctionDefinition {
    const keyed = { ...(this.#functions.get(id) as FunctionDefinition), key };
    apps.set(keyed, this);
    return keyed;
  }

  #add(fn: Omit<FunctionDefinition<any, any>, "app">): FunctionDefinition<any, any> {
    const definition = { app: this.id, ...fn };
    this.#functions.set(fn.function, definition);
    apps.set(definition, this);
    return definition;
  }
}

function describeTrigger(trigger: Trigger, what: string): ManifestTrigger {
  if (typeof trigger === "string") return { event: trigger };
  if (typeof trigger === "function") return describeEvent(trigger);
  if ("cron" in trigger || "every" in trigger) return describeSchedule(trigger, what);
  if (typeof trigger.event !== "function") throw new MisuseError(`failed to define ${what}: a trigger is neither an event, nor { event, if }, nor { cron }, nor { every }.`);
  return { ...describeEvent(trigger.event), if: trigger.if };
}

/** An event as the manifest has it, with what its data look like, if the schema's library can say it. */
function describeEvent({ event, schema }: EventType<string, any, any>): { event: string; schema?: Record<string, unknown> } {
  const said = jsonSchemaOf(schema);
  return said === undefined ? { event } : { event, schema: said };
}

const OVERLAPS = ["skip", "bufferOne", "bufferAll", "cancelOther", "allow"];

/** A schedule as the manifest has it. What a cron line and a time zone mean is checked by the server, which has the calendar. */
function describeSchedule(trigger: CronTrigger | IntervalTrigger, what: string): ManifestTrigger {
  const refuse = (why: string): never => {
    throw new MisuseError(`failed to define ${what}: ${why}.`);
  };
  const { id, jitter, overlap, catchUp, input } = trigger;
  if (id !== undefined && !ID.test(id)) refuse(`the id ${JSON.stringify(id)} of a schedule is not made of letters, digits, - _ .`);
  if (overlap !== undefined && !OVERLAPS.includes(overlap)) refuse(`\`overlap\` is ${JSON.stringify(overlap)}, and not one of ${OVERLAPS.join(", ")}`);
  for (const [name, value] of Object.entries({ jitter, catchUp })) if (value !== undefined) checkedDuration(value, `\`${name}\` of a schedule of ${what}`);
  if (input !== undefined) writeJson(`the input of a schedule of ${what}`, input);
  const options = Object.fromEntries(Object.entries({ id, jitter, overlap, catchUp, input }).filter(([, value]) => value !== undefined));
  if ("cron" in trigger) {
    const fields = typeof trigger.cron === "string" ? trigger.cron.trim().split(/\s+/).length : 0;
    if (fields < 5 && !(fields === 1 && trigger.cron.trim().startsWith("@"))) refuse(`the cron line ${JSON.stringify(trigger.cron)} has fewer than five fields`);
    return { cron: trigger.cron, ...(trigger.tz === undefined ? {} : { tz: trigger.tz }), ...options };
  }
  checkedDuration(trigger.every, `\`every\` of a schedule of ${what}`);
  if (trigger.offset !== undefined) checkedDuration(trigger.offset, `\`offset\` of a schedule of ${what}`);
  return { every: trigger.every, ...(trigger.offset === undefined ? {} : { offset: trigger.offset }), ...options };
}

const apps = new WeakMap<object, Backstitch>();

/** The app that a function was defined on. Throws `MisuseError` for what is only a reference. */
export function appOf(fn: object): Backstitch {
  const app = apps.get(fn);
  if (app === undefined) throw new MisuseError("failed to find the code of a function: pass what app.function returned, not a reference to it.");
  return app;
}

/** A function as the manifest has it. Throws `MisuseError` for what the server would refuse. */
export function describeFunction(options: FunctionOptions, what = `the function \`${options.id}\``): ManifestFunction {
  const { start, run, invocation } = options.timeouts ?? {};
  const input = jsonSchemaOf(options.input);
  for (const [key, value] of Object.entries({ start, run, invocation })) if (value !== undefined) checkedDuration(value, `\`timeouts.${key}\` of ${what}`);
  return {
    id: options.id,
    ...(options.name === undefined ? {} : { name: options.name }),
    triggers: (options.on ?? []).map((trigger) => describeTrigger(trigger, what)),
    ...(options.retry === undefined ? {} : { retry: retryParams(options.retry, `\`retry\` of ${what}`) as object }),
    ...(options.timeouts === undefined ? {} : { timeouts: options.timeouts }),
    ...(options.cancelOn === undefined ? {} : { cancelOn: options.cancelOn.map((trigger) => describeCancel(trigger, what)) }),
    ...(input === undefined ? {} : { input }),
  };
}

function describeCancel({ event, if: filter }: CancelTrigger, what: string): object {
  const name = typeof event === "string" ? event : event?.event;
  if (!name) throw new MisuseError(`failed to define ${what}: an item of \`cancelOn\` names no event.`);
  if (typeof filter !== "string" || filter === "") throw new MisuseError(`failed to define ${what}: an item of \`cancelOn\` has no \`if\` that says which runs it cancels.`);
  return { event: name, if: filter };
}
