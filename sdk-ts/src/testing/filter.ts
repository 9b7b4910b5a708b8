/**
 * Filters of waits, as far as a test needs them: conjunctions of equalities. The server speaks all of CEL; this says so where it does not.
 */
import { MisuseError } from "../errors.js";

type Scope = { event: unknown; async: unknown };

function operand(text: string, scope: Scope, filter: string): unknown {
  const literal = text.replace(/^'(.*)'$/s, (_, inner: string) => JSON.stringify(inner));
  if (/^("|-?\d|true$|false$|null$)/.test(literal)) {
    try {
      return JSON.parse(literal);
    } catch {
      // Falls through to the error.
    }
  }
  if (!/^(event|async)(\.[A-Za-z_]\w*)*$/.test(text)) {
    throw new MisuseError(
      `failed to evaluate the filter \`${filter}\` in a test: the test kit knows \`a == b && c == d\` with paths of event and async, and literals. ` +
        "Settle the wait directly with run.settle(id, { ok: event }).",
    );
  }
  return text.split(".").reduce((value: any, key) => value?.[key], scope);
}

/** Whether an event passes a filter. Throws `MisuseError` for filters beyond equalities. */
export function passes(filter: string | undefined, scope: Scope): boolean {
  if (filter === undefined) return true;
  return filter.split("&&").every((part) => {
    const [left, right, more] = part.split("==").map((side) => side.trim());
    if (left === undefined || right === undefined || more !== undefined) operand("?", scope, filter);
    const a = operand(left ?? "", scope, filter);
    return a !== undefined && JSON.stringify(a) === JSON.stringify(operand(right ?? "", scope, filter));
  });
}
