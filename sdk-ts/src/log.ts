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

/** Logs to the console: the message, then the fields if there are any. */
export const consoleLogger: Logger = {
  debug: (message, fields) => console.debug(...(fields === undefined ? [message] : [message, fields])),
  info: (message, fields) => console.info(...(fields === undefined ? [message] : [message, fields])),
  warn: (message, fields) => console.warn(...(fields === undefined ? [message] : [message, fields])),
  error: (message, fields) => console.error(...(fields === undefined ? [message] : [message, fields])),
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
