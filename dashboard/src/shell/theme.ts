/** Light, dark, or as the system has it. `public/theme.js` sets it before the first paint; here it is changed. */
import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";
const KEY = "backstitch.theme";
const listeners = new Set<() => void>();
const system = matchMedia("(prefers-color-scheme: dark)");

function read(): Theme {
  const chosen = localStorage.getItem(KEY);
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

function apply(): void {
  const chosen = read();
  document.documentElement.dataset.theme = chosen === "dark" || (chosen === "system" && system.matches) ? "dark" : "light";
  for (const one of listeners) one();
}
system.addEventListener("change", apply);

export function setTheme(theme: Theme): void {
  if (theme === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, theme);
  apply();
}

export const useTheme = (): Theme => useSyncExternalStore((listener) => (listeners.add(listener), () => void listeners.delete(listener)), read);
