/** What pages ask the server for, under one name each, so that a write can say what it makes stale. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import { get, path } from "./client.ts";
import { patient } from "./run.ts";
import type { App, Deployment, Event, Fn, Health, Job, ObjectKey, ObjectState, Page, Schedule } from "./types.ts";
import { setServerTime } from "../ui/basics.tsx";

const often = { refetchInterval: 5_000, retry: patient } as const;

export const health = queryOptions({
  queryKey: ["health"],
  queryFn: async ({ signal }) => {
    const answer = await get<Health>("/healthz", {}, signal);
    setServerTime(answer.time);
    return answer;
  },
  refetchInterval: 10_000,
  retry: false,
});
export const apps = queryOptions({ queryKey: ["apps"], queryFn: ({ signal }) => get<Page<App>>("/v1/apps", {}, signal), ...often });
export const functions = queryOptions({ queryKey: ["functions"], queryFn: ({ signal }) => get<Page<Fn>>("/v1/functions", {}, signal), ...often });
export const schedules = queryOptions({ queryKey: ["schedules"], queryFn: ({ signal }) => get<Page<Schedule>>("/v1/schedules", { limit: 200 }, signal), refetchInterval: 10_000, retry: patient });
export const jobs = queryOptions({ queryKey: ["jobs"], queryFn: ({ signal }) => get<Page<Job>>("/v1/jobs", {}, signal), refetchInterval: 2_000, retry: patient });
export const deployments = (app: string) => queryOptions({ queryKey: ["deployments", app], queryFn: ({ signal }) => get<Page<Deployment>>(`/v1${path("apps", app, "deployments")}`, { limit: 50 }, signal), ...often });
export const event = (id: string) => queryOptions({ queryKey: ["event", id], queryFn: ({ signal }) => get<Event>(`/v1${path("events", id)}`, {}, signal), retry: patient });
export const objectKeys = (app: string, object: string) => queryOptions({ queryKey: ["objects", app, object], queryFn: ({ signal }) => get<Page<ObjectKey>>(`/v1${path("objects", app, object)}`, { limit: 200 }, signal), ...often });
export const objectState = (app: string, object: string, key: string) => queryOptions({ queryKey: ["objects", app, object, key], queryFn: ({ signal }) => get<ObjectState>(`/v1${path("objects", app, object, key, "state")}`, {}, signal), ...often });

/** The paths of this server's API, so that pages show what the server can do and nothing else. */
export const description = queryOptions({
  queryKey: ["description"],
  queryFn: async ({ signal }) => new Set(Object.keys((await get<{ paths: Record<string, unknown> }>("/openapi.json", {}, signal)).paths)),
  staleTime: Infinity,
  retry: patient,
});

/** Whether the server has a path; false while nobody knows. */
export function useCan(path: string): boolean {
  return useQuery(description).data?.has(path) ?? false;
}
