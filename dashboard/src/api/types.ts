/**
 * The server's answers as the dashboard reads them: the names and shapes of docs/reference/openapi.json. Times are RFC 3339 texts, ids are
 * texts, payloads are any JSON. Fields that older servers do not send are optional.
 */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

export interface Page<T> {
  items: T[];
  next: string | null;
}

export const STATUSES = ["queued", "ready", "suspended", "backoff", "paused", "completed", "failed", "cancelled", "continued"] as const;
export type RunStatus = (typeof STATUSES)[number];
/** The statuses of runs that never change again. */
export const ENDED: readonly RunStatus[] = ["completed", "failed", "cancelled", "continued"];

export interface Failure {
  name?: string;
  message?: string;
  code?: string;
  data?: Json;
  stack?: string;
  cause?: Failure;
  retryable?: boolean;
}

export interface Hold {
  kind: string;
  detail: string;
  since: string;
  deployment: string | null;
  mismatch?: { id: string; journal: string; code: string } | null;
}

export interface Run {
  id: string;
  app: string;
  function: string;
  name: string | null;
  status: RunStatus;
  trigger: string;
  event: string | null;
  /** The schedule that started it, and for which of its times. */
  schedule?: string | null;
  scheduledAt?: string | null;
  parent: { run: string; idx: number } | null;
  root: string;
  deployment: string | null;
  createdAt: string;
  startedAt: string;
  endedAt: string | null;
  wakeAt: string | null;
  failures: number;
  losses: number;
  lastError: Failure | null;
  hold: Hold | null;
  key: string | null;
  deadline: string | null;
  previous: { run: string; origin: "fork" | "continue" } | null;
  continuedAs?: string;
  value: Json;
  input?: Json;
  ok?: Json;
  err?: Failure;
  tags?: string[];
  attributes?: Record<string, Json>;
}

export interface Attempt {
  number: number;
  startedAt: string;
  endedAt: string;
  error: Failure;
}

export interface Entry {
  idx: number;
  id: string;
  op: string;
  name: string | null;
  status: "waiting" | "backoff" | "runnable" | "settled";
  seq: number | null;
  params: { [name: string]: Json };
  ok?: Json;
  err?: Failure;
  timeout?: boolean;
  dueAt: string | null;
  failures: number;
  lastError: Failure | null;
  details?: Json;
  deployment: string | null;
  child: string | null;
  createdAt: string;
  settledAt: string | null;
  copied?: boolean;
  attempts?: Attempt[];
}

export interface EarlySignal {
  name: string;
  id: string | null;
  at: string;
  consumedBy: number | null;
  update?: boolean;
  ok?: Json;
  err?: Failure;
}

export interface Journal {
  run: Run;
  entries: Entry[];
  attempts: Attempt[];
  signals: EarlySignal[];
}

export interface Explanation {
  run: string;
  reason: string;
  sentence: string;
  since: string | null;
  nextAt: string | null;
  failures: number | null;
  error: Failure | null;
  hold: Hold | null;
  runs: number | null;
  waitsFor: string[];
}

export interface Deployment {
  id: string;
  version: string;
  url: string;
  immutable: boolean;
  current: boolean;
  state: "active" | "draining" | "retired";
  openRuns: number | null;
  sdk: string;
  createdAt: string;
  seenAt: string;
}

export interface Trigger {
  event?: string;
  if?: string;
  /** What the event's data look like, as JSON Schema. */
  schema?: { [name: string]: Json };
}

export interface Fn {
  app: string;
  function: string;
  name: string | null;
  paused: boolean;
  triggers: Trigger[];
  retry: { [name: string]: Json };
  cancelOn: Trigger[];
  failureOf: string | null;
  input: { [name: string]: Json } | null;
  runTimeout: number | null;
  startTimeout: number | null;
}

export interface App {
  name: string;
  url: string;
  headers: string[];
  functions: string[];
  warnings: string[];
  deployment: Deployment | null;
  createdAt: string;
  syncedAt: string | null;
  syncError: string | null;
}

export interface Event {
  id: string;
  name: string;
  at: string;
  clientId: string | null;
  source: string | null;
  data: Json;
  runs: { id: string; app: string; function: string; status?: RunStatus }[] | null;
  verdicts: { app: string; function: string; verdict: string; detail: string | null }[] | null;
  /** The runs that waited for it, and the wait in their journals. */
  woken?: { id: string; app: string; function: string; status: RunStatus; entry: string }[];
}

export interface Job {
  id: string;
  action: string;
  status: "running" | "done" | "stopped";
  total: number;
  done: number;
  failed: number;
  lastError: string | null;
  filter: { [name: string]: Json };
  options: { [name: string]: Json };
  createdAt: string;
  endedAt: string | null;
}

export interface ObjectKey {
  key: string;
  holder: string | null;
  waiting: number;
}

export interface ObjectState {
  state: { [name: string]: Json };
  holder: string | null;
  waiting: number;
}

export interface Health {
  status: string;
  version: string;
  environment: string;
  time: string;
}

export interface Forked {
  id: string;
  copied: number;
  created: boolean;
}

export interface ForkPlan {
  copied: string[];
  again: string[];
}

/** Problem details, RFC 9457. */
export interface Problem {
  title: string;
  status: number;
  code: string;
  detail: string;
  errors?: { pointer?: string | null; parameter?: string | null; detail: string }[];
}

/** Failed runs of one function with the same error. */
export interface FailureGroup {
  app: string;
  function: string;
  name: string;
  /** What their messages have in common. */
  shape: string;
  message: string;
  count: number;
  firstAt: string;
  lastAt: string;
  /** The newest runs. */
  runs: string[];
}

/** Groups of failed runs, and of how many they are. */
export interface Failures {
  items: FailureGroup[];
  lookedAt: number;
  complete: boolean;
}

/** How long runs took, in milliseconds. */
export interface StatsTook {
  p50: number;
  p95: number;
  of: number;
}

/** Figures of a piece of time. */
export interface StatsPiece {
  from: string;
  until: string;
  /** How the runs stand now that were created in it. */
  statuses: Partial<Record<RunStatus, number>>;
  took: StatsTook | null;
  open: { backlog: number; waiting: number; failing: number; held: number } | null;
}

/** Figures over a span of time. */
export interface Stats {
  pieces: StatsPiece[];
  took: StatsTook | null;
}

/** Ticks of one kind. */
export interface Tally {
  count: number;
  last: string | null;
}

/** Ticks that wait for a run to end. */
export interface WaitingTicks {
  count: number;
  first: string | null;
  last: string | null;
}

/** What starts runs of a function at times. */
export interface Schedule {
  id: string;
  app: string;
  schedule: string;
  function: string;
  source: string;
  cron: string | null;
  tz: string | null;
  every: string | null;
  offset: string | null;
  jitter: string;
  catchUp: string;
  overlap: string;
  input: Json;
  paused: { since: string; note?: string | null } | null;
  next: string | null;
  nextTicks?: string[];
  running?: string;
  waiting: WaitingTicks | null;
  started: Tally;
  skipped: Tally;
  missed: Tally;
  problem: string | null;
  explanation: string;
  runs?: Run[];
}
