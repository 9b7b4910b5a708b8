/** Schedules: what runs by the clock, when next, and what was missed. */
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { get } from "../api/client.ts";
import { patient } from "../api/run.ts";
import type { Page } from "../api/types.ts";
import { Empty, Time, Trouble, Waiting } from "../ui/basics.tsx";

interface Schedule {
  id: string;
  app: string;
  function: string;
  cron?: string;
  next?: string | null;
  paused?: boolean;
}

export function SchedulesPage(): ReactNode {
  const { data, error, refetch } = useQuery({ queryKey: ["schedules"], queryFn: ({ signal }) => get<Page<Schedule>>("/v1/schedules", {}, signal), refetchInterval: 10_000, retry: patient });
  return (
    <div className="page">
      <div className="page-head"><h1>Schedules</h1></div>
      {error ? <Trouble error={error} retry={() => void refetch()} /> : !data ? <Waiting /> : data.items.length === 0
        ? <Empty title="No schedules yet">Give a function a cron trigger, and its next ticks are here.</Empty>
        : <table className="plain-table"><tbody>{data.items.map((one) => <tr key={one.id}><td><strong>{one.app}/{one.function}</strong></td><td><code>{one.cron}</code></td><td><Time at={one.next} /></td></tr>)}</tbody></table>}
    </div>
  );
}
