/** Which filters of runs this server has, by its own description, so that no field is shown that would be refused. */
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { get } from "./client.ts";

interface Description {
  paths: Record<string, Record<string, { parameters?: { name: string; in: string }[] }>>;
}

export function useKnownFilters(): (name: string) => boolean {
  const { data } = useQuery({ queryKey: ["filters"], queryFn: ({ signal }) => get<Description>("/openapi.json", {}, signal), staleTime: Infinity, select: names });
  return useMemo(() => (name) => data?.includes(name) ?? ["status", "app", "function", "since", "until", "previous", "deployment"].includes(name), [data]);
}

const names = (description: Description): string[] => (description.paths["/v1/runs"]?.get?.parameters ?? []).map((one) => one.name);
