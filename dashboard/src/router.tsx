/** The addresses of the dashboard. What somebody filters or opens stands in the address, so that a link shows another person the same. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { readSearch } from "./lib/filters.ts";
import { Shell } from "./shell/shell.tsx";
import { Empty, Trouble } from "./ui/basics.tsx";
import { RunsPage } from "./pages/runs.tsx";

const root = createRootRoute({ component: Shell, notFoundComponent: () => <div className="page"><h1 className="sr">No such page</h1><Empty title="There is no such page">The address may have been cut off.</Empty></div>, errorComponent: ({ error, reset }) => <Trouble error={error} retry={reset} /> });
const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : typeof value === "number" ? String(value) : undefined);
const parent = (): typeof root => root;

const overview = createRoute({ getParentRoute: parent, path: "/", component: lazyRouteComponent(() => import("./pages/overview.tsx"), "OverviewPage") });
export const runsRoute = createRoute({ getParentRoute: parent, path: "/runs", validateSearch: readSearch, component: RunsPage });
export const runRoute = createRoute({
  getParentRoute: parent, path: "/runs/$run", component: lazyRouteComponent(() => import("./pages/run/page.tsx"), "RunPage"),
  validateSearch: (raw: Record<string, unknown>): { entry?: string; view?: string; scale?: string; at?: number; find?: string; trouble?: boolean } => ({ entry: text(raw.entry), view: text(raw.view), scale: text(raw.scale), at: typeof raw.at === "number" ? raw.at : undefined, find: text(raw.find), trouble: raw.trouble === true || undefined }),
});
const failures = createRoute({ getParentRoute: parent, path: "/failures", component: lazyRouteComponent(() => import("./pages/failures.tsx"), "FailuresPage") });
export const eventsRoute = createRoute({ getParentRoute: parent, path: "/events", component: lazyRouteComponent(() => import("./pages/events.tsx"), "EventsPage"), validateSearch: (raw: Record<string, unknown>): { name?: string } => ({ name: text(raw.name) }) });
export const eventRoute = createRoute({ getParentRoute: parent, path: "/events/$event", component: lazyRouteComponent(() => import("./pages/events.tsx"), "EventPage") });
const functions = createRoute({ getParentRoute: parent, path: "/functions", component: lazyRouteComponent(() => import("./pages/functions.tsx"), "FunctionsPage") });
export const functionRoute = createRoute({ getParentRoute: parent, path: "/functions/$app/$fn", component: lazyRouteComponent(() => import("./pages/functions.tsx"), "FunctionPage") });
const apps = createRoute({ getParentRoute: parent, path: "/apps", component: lazyRouteComponent(() => import("./pages/apps.tsx"), "AppsPage") });
export const appRoute = createRoute({ getParentRoute: parent, path: "/apps/$app", component: lazyRouteComponent(() => import("./pages/apps.tsx"), "AppPage") });
export const objectsRoute = createRoute({
  getParentRoute: parent, path: "/objects", component: lazyRouteComponent(() => import("./pages/objects.tsx"), "ObjectsPage"),
  validateSearch: (raw: Record<string, unknown>): { app?: string; object?: string; key?: string } => ({ app: text(raw.app), object: text(raw.object), key: text(raw.key) }),
});
const schedules = createRoute({ getParentRoute: parent, path: "/schedules", component: lazyRouteComponent(() => import("./pages/schedules.tsx"), "SchedulesPage") });
export const scheduleRoute = createRoute({ getParentRoute: parent, path: "/schedules/$app/$schedule", component: lazyRouteComponent(() => import("./pages/schedules.tsx"), "SchedulePage") });
const jobs = createRoute({ getParentRoute: parent, path: "/jobs", component: lazyRouteComponent(() => import("./pages/jobs.tsx"), "JobsPage") });
export const sendRoute = createRoute({
  getParentRoute: parent, path: "/send", component: lazyRouteComponent(() => import("./pages/send.tsx"), "SendPage"),
  validateSearch: (raw: Record<string, unknown>): { event?: string; fn?: string; data?: string } => ({ event: text(raw.event), fn: text(raw.fn), data: text(raw.data) }),
});
const wire = createRoute({ getParentRoute: parent, path: "/wire", component: lazyRouteComponent(() => import("./pages/wire.tsx"), "WirePage") });

export const router = createRouter({
  routeTree: root.addChildren([overview, runsRoute, runRoute, failures, eventsRoute, eventRoute, functions, functionRoute, apps, appRoute, objectsRoute, schedules, scheduleRoute, jobs, sendRoute, wire]),
  basepath: "/ui",
  defaultPreload: "intent",
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
