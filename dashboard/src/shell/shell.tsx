/** The frame around every page: where one can go, which server this is, whether it answers, and what needs somebody. */
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { Activity, AppWindow, Boxes, CalendarClock, CircleAlert, Cable, Layers, ListChecks, Menu as MenuIcon, Monitor, Moon, Play, Search, Send, Sun, SquareFunction, Zap } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { key, onUnauthorized } from "../api/client.ts";
import { useDev } from "../api/dev.ts";
import { apps, health, useCan } from "../api/queries.ts";
import { Toasts } from "../ui/toast.tsx";
import { Dialog } from "../ui/controls.tsx";
import { Palette } from "./palette.tsx";
import { SignIn } from "./sign-in.tsx";
import { setTheme, useTheme } from "./theme.ts";

interface Place {
  to: string;
  label: string;
  icon: ReactNode;
  keys: string;
  needs?: string;
}

/** Every place, in groups, with the keys that lead there. */
const PLACES: readonly (readonly Place[])[] = [
  [
    { to: "/", label: "Overview", icon: <Activity />, keys: "g o" },
    { to: "/runs", label: "Runs", icon: <Play />, keys: "g r" },
    { to: "/failures", label: "Failures", icon: <CircleAlert />, keys: "g x" },
    { to: "/events", label: "Events", icon: <Zap />, keys: "g e" },
  ],
  [
    { to: "/functions", label: "Functions", icon: <SquareFunction />, keys: "g f" },
    { to: "/apps", label: "Apps", icon: <AppWindow />, keys: "g a" },
    { to: "/objects", label: "Objects", icon: <Boxes />, keys: "g b" },
    { to: "/schedules", label: "Schedules", icon: <CalendarClock />, keys: "g s", needs: "/v1/schedules" },
    { to: "/jobs", label: "Jobs", icon: <ListChecks />, keys: "g j" },
  ],
  [
    { to: "/send", label: "Send", icon: <Send />, keys: "g n" },
    { to: "/wire", label: "Wire", icon: <Cable />, keys: "g w", needs: "/dev/invocations" },
  ],
];

const SHORTCUTS: readonly (readonly [string, string])[] = [
  ["⌘K or Ctrl K", "go anywhere, find a run by its id"],
  ["?", "show these keys"],
  ["/", "filter the list"],
  ["j, k", "next, previous row"],
  ["Enter", "open the row"],
  ["[ , ]", "step back and forth through a run"],
  ...PLACES.flat().map((place) => [place.keys.replace(" ", " then "), place.label] as const),
];

export function Shell(): ReactNode {
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  const [nav, setNav] = useState(false);
  const [locked, setLocked] = useState(false);
  useEffect(() => onUnauthorized(() => setLocked(true)), []);
  useKeys({ palette: () => setPalette(true), help: () => setHelp(true) });
  if (locked) return <SignIn onDone={() => setLocked(false)} />;
  return (
    <div className="shell" data-nav={nav}>
      <a className="skip" href="#main">Skip to the content</a>
      <nav className="nav" aria-label="Pages" onClick={() => setNav(false)}>
        <Link to="/" className="brand"><Mark /><span>backstitch</span></Link>
        {PLACES.map((group, i) => <div className="nav-group" key={i}>{group.map((place) => <NavLink key={place.to} place={place} />)}</div>)}
        <div className="nav-end"><Server /></div>
      </nav>
      <button type="button" className="nav-veil" aria-label="Close the menu" tabIndex={-1} onClick={() => setNav(false)} />
      <div className="frame">
        <header className="top">
          <button type="button" className="icon-button only-narrow" aria-label="Menu" aria-expanded={nav} onClick={() => setNav(!nav)}><MenuIcon aria-hidden="true" /></button>
          <Link to="/" className="brand only-narrow"><Mark /><span>backstitch</span></Link>
          <button type="button" className="find" onClick={() => setPalette(true)}><Search aria-hidden="true" /><span>Find a run, an event, a page</span><kbd aria-hidden="true">⌘K</kbd></button>
          <span className="grow" />
          <button type="button" className="icon-button only-wide" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={() => setHelp(true)}><kbd>?</kbd></button>
          <ThemeButton />
        </header>
        <Trouble />
        <main id="main" tabIndex={-1}><Outlet /></main>
      </div>
      <Palette open={palette} onClose={() => setPalette(false)} places={PLACES.flat()} />
      <Dialog open={help} onClose={() => setHelp(false)} title="Keyboard">
        <dl className="keys">{SHORTCUTS.map(([keys, what]) => <div key={keys}><dt><kbd>{keys}</kbd></dt><dd>{what}</dd></div>)}</dl>
      </Dialog>
      <Toasts />
    </div>
  );
}

function NavLink({ place }: { place: Place }): ReactNode {
  const can = useCan(place.needs ?? "/v1/runs");
  const dev = useDev();
  if (place.needs !== undefined && (!can || (place.needs.startsWith("/dev/") && !dev))) return null;
  return <Link to={place.to} className="nav-link" activeOptions={{ exact: place.to === "/", includeSearch: false }} title={place.label}>{place.icon}<span>{place.label}</span></Link>;
}

export function Mark(): ReactNode {
  return (
    <svg className="mark" viewBox="0 0 28 20" aria-hidden="true">
      <path className="thread" d="M1 14h6M10 14h6M19 14h8" />
      <path className="loop" d="M7 14c0-10 9-10 9 0M16 14c0-10 3-10 3.5-6" />
    </svg>
  );
}

/** Which server, and whether it is there. */
function Server(): ReactNode {
  const { data, isError } = useQuery(health);
  return (
    <div className="server">
      <span className={`dot ${isError ? "bad" : data ? "good" : ""}`} aria-hidden="true" />
      <div>
        <strong>{isError ? "not reachable" : (data?.environment ?? "…")}</strong>
        <span className="faint">{data ? `version ${data.version}` : " "}</span>
      </div>
      {key.read() && <button type="button" className="button small" onClick={() => { key.forget(); location.reload(); }}>Sign out</button>}
    </div>
  );
}

/** What stands in the way of everything: no server, or apps that cannot be reached. */
function Trouble(): ReactNode {
  const { isError } = useQuery(health);
  const { data } = useQuery(apps);
  const broken = data?.items.filter((app) => app.syncError) ?? [];
  if (isError) return <div className="banner bad" role="alert"><CircleAlert aria-hidden="true" /><span>The server does not answer. What you see is as it was; this page goes on when the server is back.</span></div>;
  if (broken.length === 0) return null;
  return (
    <div className="banner" role="status">
      <Layers aria-hidden="true" />
      <span>{broken.length === 1 ? <>App <strong>{broken[0]!.name}</strong> cannot be reached.</> : `${broken.length} apps cannot be reached.`} Their runs wait.</span>
      <Link to={broken.length === 1 ? "/apps/$app" : "/apps"} params={{ app: broken[0]!.name }}>See why</Link>
    </div>
  );
}

function ThemeButton(): ReactNode {
  const theme = useTheme();
  const next = theme === "system" ? "light" : theme === "light" ? "dark" : "system";
  return (
    <button type="button" className="icon-button" onClick={() => setTheme(next)} aria-label={`Theme: ${theme}. Change to ${next}`} title={`Theme: ${theme}`}>
      {theme === "system" ? <Monitor aria-hidden="true" /> : theme === "light" ? <Sun aria-hidden="true" /> : <Moon aria-hidden="true" />}
    </button>
  );
}

/** Keys that work everywhere but in fields. */
function useKeys(acts: { palette: () => void; help: () => void }): void {
  const navigate = useNavigate();
  useEffect(() => {
    let led = 0;
    const listen = (event: KeyboardEvent): void => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        acts.palette();
        return;
      }
      const target = event.target as HTMLElement;
      if (event.metaKey || event.ctrlKey || event.altKey || target.closest("input, textarea, select, [contenteditable], [role=dialog], [role=menu]")) return;
      if (event.key === "?") acts.help();
      else if (event.key === "/") {
        const field = document.querySelector<HTMLElement>("[data-search]");
        if (field) {
          event.preventDefault();
          field.focus();
        }
      } else if (event.key === "g") led = event.timeStamp;
      else if (led > 0 && event.timeStamp - led < 1_200) {
        led = 0;
        const place = PLACES.flat().find((one) => one.keys === `g ${event.key}`);
        if (place) void navigate({ to: place.to });
      }
    };
    document.addEventListener("keydown", listen);
    return () => document.removeEventListener("keydown", listen);
  }, [navigate]);
}
