/**
 * Turns: how the replay waits until a handler is quiet, and how it finds out who is calling. The only contact of `replay/` with the host.
 */

type Task = () => void;

/** Runs a task after all promise reactions that are due, and before any timer: one turn of the event loop. */
function scheduler(): (task: Task) => void {
  const host = globalThis as { setImmediate?: (task: Task) => void; MessageChannel?: typeof MessageChannel; navigator?: { userAgent?: string } };
  // One port for all requests would begin each one's turn within another one, which that host keeps apart. Its timers are cheap.
  if (host.navigator?.userAgent === "Cloudflare-Workers") return (task) => void setTimeout(task, 0);
  // setTimeout(0) would cost a millisecond or more for each delivered outcome.
  if (typeof host.setImmediate === "function") return host.setImmediate;
  if (typeof host.MessageChannel === "function") {
    const tasks: Task[] = [];
    const { port1, port2 } = new host.MessageChannel();
    (port1 as unknown as { onmessage: Task }).onmessage = () => tasks.shift()?.();
    return (task) => {
      tasks.push(task);
      port2.postMessage(null);
    };
  }
  return (task) => void setTimeout(task, 0);
}

let schedule: ((task: Task) => void) | undefined;

/** Resolves when everything that can go on without the outside has gone on. */
export function turn(): Promise<void> {
  schedule ??= scheduler();
  return new Promise((resolve) => schedule?.(resolve));
}

/** Which body of which invocation is running: told to what the body calls, over its awaits too. */
export interface BodyContext {
  run<T>(store: object, body: () => T): T;
  current(): object | undefined;
}

interface AsyncHooks {
  AsyncLocalStorage: new () => { run<T>(store: object, body: () => T): T; getStore(): object | undefined };
}

/** Hosts without asynchronous context only see calls that a body makes before its first await. */
class SynchronousContext implements BodyContext {
  #store: object | undefined;

  run<T>(store: object, body: () => T): T {
    const before = this.#store;
    this.#store = store;
    try {
      return body();
    } finally {
      this.#store = before;
    }
  }

  current(): object | undefined {
    return this.#store;
  }
}

function detect(): BodyContext {
  // Asked for at run time: a static import of a Node module would break bundles for other hosts.
  const host = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }).process;
  const hooks = host?.getBuiltinModule?.("node:async_hooks") as AsyncHooks | undefined;
  if (hooks?.AsyncLocalStorage === undefined) return new SynchronousContext();
  const storage = new hooks.AsyncLocalStorage();
  return { run: (store, body) => storage.run(store, body), current: () => storage.getStore() };
}

let context: BodyContext | undefined;

/** The host's way to know in which body a call is made. It holds a marker, never an invocation, so nothing abandoned is kept. */
export function bodyContext(): BodyContext {
  context ??= detect();
  return context;
}
