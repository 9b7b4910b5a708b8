/** The calls of a run's handler as they went over the wire, while the server of a developer remembers them. */
import type { ReactNode } from "react";
import { WireList } from "../wire.tsx";

export function RunWire({ run }: { run: string }): ReactNode {
  return <WireList run={run} />;
}
