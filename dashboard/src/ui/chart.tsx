/** Charts over time: columns that stand on one another, and lines. They follow the theme; the same numbers are there as a table for those who do not see them. */
import type { ReactNode } from "react";
import type { StatsPiece } from "../api/types.ts";
import { ceiling, stretches, totalOf } from "../lib/series.ts";
import { absolute, ms } from "../lib/time.ts";

const WIDTH = 1_200;
const HEIGHT = 150;
const FOOT = 18;

interface Times {
  from: number;
  until: number;
}

/** The series from the bottom to the top; what has none of these statuses is open. */
const SERIES = ["completed", "failed", "cancelled", "open"] as const;

function parts(piece: StatsPiece): Record<(typeof SERIES)[number], number> {
  const { completed = 0, failed = 0, cancelled = 0, continued = 0 } = piece.statuses;
  return { completed: completed + continued, failed, cancelled, open: totalOf(piece) - completed - continued - failed - cancelled };
}

export function Columns({ pieces }: { pieces: readonly StatsPiece[] }): ReactNode {
  const top = ceiling(Math.max(0, ...pieces.map(totalOf)));
  const height = HEIGHT - FOOT;
  const step = WIDTH / Math.max(1, pieces.length);
  return (
    <Frame times={pieces.map((piece) => ({ from: ms(piece.from), until: ms(piece.until) }))} top={top.toLocaleString("en")}
      say={(i) => `${totalOf(pieces[i]!)} created, ${parts(pieces[i]!).failed} failed`}
      table={<><caption>Runs by the time of their creation</caption><thead><tr><th>From</th>{SERIES.map((name) => <th key={name}>{name}</th>)}</tr></thead>
        <tbody>{pieces.filter((piece) => totalOf(piece) > 0).map((piece) => <tr key={piece.from}><th>{absolute(piece.from)}</th>{SERIES.map((name) => <td key={name}>{parts(piece)[name]}</td>)}</tr>)}</tbody></>}>
      {pieces.map((piece, i) => {
        let y = height;
        const values = parts(piece);
        return SERIES.map((name) => {
          const size = (values[name] / top) * height;
          y -= size;
          return size > 0 ? <rect key={`${piece.from} ${name}`} className={name} x={i * step + step * 0.12} width={step * 0.76} y={y} height={size} rx={1.5} /> : null;
        });
      })}
    </Frame>
  );
}

export interface Series {
  name: string;
  /** Which colour. */
  kind: string;
  /** Nothing where nobody knows. */
  values: (number | null)[];
}

export function Lines({ caption, times, series, say, top: most, absent }: { caption: string; times: Times[]; series: Series[]; say: (value: number) => string; top?: number; absent?: string }): ReactNode {
  const known = series.flatMap((one) => one.values).filter((value) => value !== null);
  const top = most ?? ceiling(Math.max(0, ...known));
  const saidOf = (value: number | null | undefined): string => (value === null || value === undefined ? "–" : say(value));
  if (times.length > 0 && known.length === 0) return <p className="faint chart-empty">{absent ?? "No run of this time has ended."}</p>;
  return (
    <Frame times={times} top={say(top)} say={(i) => series.map((one) => `${one.name} ${saidOf(one.values[i])}`).join(", ")}
      table={<><caption>{caption}</caption><thead><tr><th>From</th>{series.map((one) => <th key={one.name}>{one.name}</th>)}</tr></thead>
        <tbody>{times.map((time, i) => series.some((one) => one.values[i] !== null) && <tr key={time.from}><th>{absolute(time.from)}</th>{series.map((one) => <td key={one.name}>{saidOf(one.values[i])}</td>)}</tr>)}</tbody></>}>
      {series.map((one) => stretches(one.values, top, WIDTH, HEIGHT - FOOT).map((points) => <polyline key={`${one.name} ${points}`} className={`series ${one.kind}`} data-lone={points.split(" ")[0] === points.split(" ")[1]} points={points} vectorEffect="non-scaling-stroke" />))}
    </Frame>
  );
}

/** What all charts have: the grid, the times below, the greatest value above, and what a pointer is told of each piece. */
function Frame({ times, top, say, table, children }: { times: Times[]; top: string; say: (i: number) => string; table: ReactNode; children: ReactNode }): ReactNode {
  const height = HEIGHT - FOOT;
  const step = WIDTH / Math.max(1, times.length);
  // Over several days a time of day says nothing.
  const long = (times.at(-1)?.until ?? 0) - (times[0]?.from ?? 0) > 36 * 3_600_000;
  const label = (at: number): string => (long ? absolute(at).slice(5, 10) : absolute(at).slice(11, 16));
  const middle = times[Math.floor(times.length / 2)];
  return (
    <figure className="chart-frame">
      <svg className="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {[0, 0.5, 1].map((share) => <line key={share} className="grid" x1={0} x2={WIDTH} y1={height * (1 - share) + 0.5} y2={height * (1 - share) + 0.5} vectorEffect="non-scaling-stroke" />)}
        {children}
        {times.map((time, i) => <rect key={time.from} className="hit" x={i * step} width={step} y={0} height={height}><title>{`${absolute(time.from).slice(0, 19)}: ${say(i)}`}</title></rect>)}
      </svg>
      <div className="chart-labels" aria-hidden="true"><span>{times[0] && label(times[0].from)}</span><span>{middle && label(middle.from)}</span><span>now</span></div>
      <span className="chart-top faint" aria-hidden="true">{times.length > 0 && top}</span>
      <table className="sr">{table}</table>
    </figure>
  );
}
