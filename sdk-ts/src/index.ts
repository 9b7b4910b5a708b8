/**
 * Backstitch: durable functions over plain HTTP.
 *
 * Define an app and its functions here; serve it with `backstitch/node` or `backstitch/fetch`; start and signal runs with
 * `backstitch/client`; test without a server with `backstitch/testing`.
 */

// Define.
export { Backstitch, type BackstitchOptions } from "./app.js";
export {
  functionRef,
  type CancelTrigger,
  type Context,
  type CronTrigger,
  type Failure,
  type FilteredTrigger,
  type FunctionDefinition,
  type FunctionOptions,
  type FunctionRef,
  type FunctionTimeouts,
  type Handler,
  type IntervalTrigger,
  type RetryOptions,
  type ScheduleOptions,
  type Tick,
  type Trigger,
} from "./function.js";
export { event, type DraftOptions, type EventDraft, type EventType, type ReceivedEvent } from "./event.js";
export { signal, type SignalType } from "./signal.js";
export { update, type Update, type Updated, type UpdateType } from "./update.js";
export {
  exclusive,
  objectRef,
  shared,
  type ObjectCalls,
  type ObjectContext,
  type ObjectDefinition,
  type ObjectHandler,
  type ObjectHandlerOptions,
  type ObjectHandlers,
  type SharedContext,
} from "./object.js";
export type { ReadState, State } from "./state.js";

// Use in handlers.
export { FetchResponse, type FetchMethod, type FetchOptions } from "./fetch.js";
export type { InvokeOptions, MapOptions, Step, StepOptions, TolerantMapOptions, Waited, WaitForEventOptions, WaitOptions } from "./step.js";
export type { BodyFacts } from "./replay/entry.js";
export type { Pipe, Publish, PublishOptions } from "./replay/published.js";
export type { Run } from "./run.js";
export type { AttributeValue, Attributes, LabelOptions } from "./labels.js";
export type { Logger } from "./log.js";

// Throw and catch.
export {
  AnyFailed,
  CancelledError,
  MapFailed,
  MisuseError,
  NestedStepError,
  NonRetriableError,
  RetryAfterError,
  SchemaError,
  StepError,
  UnserializableError,
  type ErrorDetails,
  type FailedBranch,
} from "./errors.js";

// Values.
export type { Codec } from "./codec.js";
export type { Duration, InferInput, InferOutput, Json, Jsonify, StandardSchema } from "./types.js";
