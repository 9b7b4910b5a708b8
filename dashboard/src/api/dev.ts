/** What a server for development shows and does, and others do not: what went over the wire, and a clock that can be moved on. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { setServerTime } from "../ui/basics.tsx";
import { get, write } from "./client.ts";
import { useCan } from "./queries.ts";

export function useDev(): boolean {
  const can = useCan("/dev/invocations");
  const { data } = useQuery({ queryKey: ["dev"], queryFn: ({ signal }) => get("/dev/invocations", { limit: 1 }, signal).then(() => true, () => false), enabled: can, staleTime: Infinity });
  return data ?? false;
}

export interface ClockState {
  now: string;
  /** How far it is ahead of the machine's, in milliseconds. */
  skippedMs: number;
  /** When the next timer of anything is due, if there is one. */
  next: string | null;
  /** How many timers it stopped at on its way. */
  fired: number;
  /** Whether all that fell due is through. */
  quiet: boolean;
}

/** How far the clock is to go. */
export type Advance = { by: string } | { to: string };

/** The clock as it stands; nothing where there is none. */
export function useClock(): ClockState | undefined {
  const can = useCan("/dev/clock");
  const dev = useDev();
  return useQuery({ queryKey: ["clock"], queryFn: ({ signal }) => get<ClockState>("/dev/clock", {}, signal), enabled: can && dev, refetchInterval: 3_000 }).data;
}

/** Moves the clock, and says what came of it. */
export function useAdvance(): { advance: (how: Advance) => void; busy: boolean; came: ClockState | null; error: unknown } {
  const client = useQueryClient();
  const [busy, setBusy] = useState(false);
  const [came, setCame] = useState<ClockState | null>(null);
  const [error, setError] = useState<unknown>(null);
  const advance = (how: Advance): void => {
    setBusy(true);
    setError(null);
    write<ClockState>("POST", "/dev/clock/advance", how)
      .then((state) => {
        setCame(state);
        setServerTime(state.now);
        client.setQueryData(["clock"], state);
        // Hours have passed in a moment: whatever is shown is old.
        return client.invalidateQueries();
      }, (problem: unknown) => { setCame(null); setError(problem); })
      .finally(() => setBusy(false));
  };
  return { advance, busy, came, error };
}
