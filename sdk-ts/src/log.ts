/**
 * Logs of handlers: silent while a replay goes over what has been logged before.
 */

/** What a handler logs with, and what an app may be given to log to. */
export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

const LEVELS = ["debug", "info", "warn", "error"] as const;

/** Fields as one line of JSON; what JSON cannot hold must not fail a log. */
function oneLine(fields: Record<string, unknown>): string {
  if (Object.keys(fields).length === 0) return "";
  try {
    return ` ${JSON.stringify(fields)}`;
  } catch {
    return ` ${String(Object.keys(fields))} (not JSON)`;
  }
}

/** A line: whose it is (`shop/order run_…`, where it is a handler's), the message, the other fields as JSON. */
function line(message: string, { function: fn, run, ...fields }: Record<string, unknown> = {}): string {
  const whose = [fn, run].filter((part) => part !== undefined).join(" ");
  return `${whose === "" ? "" : `${whose} `}${message}${oneLine(fields)}`;
}

/** Logs to the console, one line each. */
export const consoleLogger: Logger = {
  debug: (message, fields) => console.debug(line(message, fields)),
  info: (message, fields) => console.info(line(message, fields)),
  warn: (message, fields) => console.warn(line(message, fields)),
  error: (message, fields) => console.error(line(message, fields)),
};

/** A logger that adds the run to each line and drops what was logged before. */
export function runLogger(to: Logger, facts: Record<string, unknown>, silent: () => boolean): Logger {
  const logger = {} as Logger;
  for (const level of LEVELS) {
    logger[level] = (message, fields) => {
      if (!silent()) to[level](message, { ...facts, ...fields });
    };
  }
  return logger;
}
