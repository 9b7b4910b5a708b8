/** Short words about what was done, at the edge of the screen and for screen readers; they go by themselves. */
import { type ReactNode, useSyncExternalStore } from "react";

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

let toasts: readonly Toast[] = [];
let last = 0;
const listeners = new Set<() => void>();
function change(next: readonly Toast[]): void {
  toasts = next;
  for (const one of listeners) one();
}

/** Says it for a few seconds. */
export function toast(text: string, bad = false): void {
  const id = ++last;
  change([...toasts.slice(-3), { id, text, bad }]);
  setTimeout(() => change(toasts.filter((one) => one.id !== id)), bad ? 9_000 : 4_000);
}

export function Toasts(): ReactNode {
  const shown = useSyncExternalStore((listener) => (listeners.add(listener), () => void listeners.delete(listener)), () => toasts);
  return <div className="toasts" role="status" aria-live="polite">{shown.map((one) => <div key={one.id} className={`toast ${one.bad ? "bad" : ""}`}>{one.text}</div>)}</div>;
}
