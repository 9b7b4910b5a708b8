/** Columns over time, as shapes that follow the theme; the same numbers are there as a table for those who do not see them. */
import type { ReactNode } from "react";
import { absolute } from "../lib/time.ts";
import { type Bucket, ceiling, totalOf } from "../lib/series.ts";

const WIDTH = 1_200;
const HEIGHT = 150;
const FOOT = 18;

/** The series from the bottom to the top; what has none of these statuses is open. */
const SERIES = ["completed", "failed", "cancelled", "open"] as const;

function parts(bucket: Bucket): Record<(typeof SERIES)[number], number> {
  const { completed = 0, failed = 0, cancelled = 0, continued = 0 } = bucket.counts;
  return { completed: completed + continued, failed, cancelled, open: totalOf(bucket) - completed - continued - failed - cancelled };
}

export function Columns({ buckets, pieces }: { buckets: readonly Bucket[]; pieces: number }): ReactNode {
  const top = ceiling(Math.max(0, ...buckets.map(totalOf)));
  const height = HEIGHT - FOOT;
  const step = WIDTH / pieces;
  // Over several days a time of day says nothing.
  const long = (buckets.at(-1)?.to ?? 0) - (buckets[0]?.from ?? 0) > 36 * 3_600_000;
  const label = (at: number): string => (long ? absolute(at).slice(5, 10) : absolute(at).slice(11, 16));
  return (
    <figure className="chart-frame">
      <svg className="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {[0, 0.5, 1].map((share) => <line key={share} className="grid" x1={0} x2={WIDTH} y1={height * (1 - share) + 0.5} y2={height * (1 - share) + 0.5} vectorEffect="non-scaling-stroke" />)}
        {buckets.map((bucket, i) => {
          let y = height;
          const values = parts(bucket);
          return (
            <g key={bucket.from}>
              {SERIES.map((name) => {
                const size = (values[name] / top) * height;
                y -= size;
                return size > 0 ? <rect key={name} className={name} x={i * step + step * 0.12} width={step * 0.76} y={y} height={size} rx={1.5} /> : null;
              })}
              <rect className="hit" x={i * step} width={step} y={0} height={height}><title>{`${absolute(bucket.from).slice(0, 19)}: ${totalOf(bucket)} created, ${values.failed} failed`}</title></rect>
            </g>
          );
        })}
      </svg>
      <div className="chart-labels" aria-hidden="true"><span>{buckets[0] && label(buckets[0].from)}</span><span>{buckets[Math.floor(pieces / 2)] && label(buckets[Math.floor(pieces / 2)]!.from)}</span><span>now</span></div>
      <span className="chart-top faint" aria-hidden="true">{top.toLocaleString("en")}</span>
      <table className="sr">
        <caption>Runs by the time of their creation</caption>
        <thead><tr><th>From</th>{SERIES.map((name) => <th key={name}>{name}</th>)}</tr></thead>
        <tbody>{buckets.filter((bucket) => totalOf(bucket) > 0).map((bucket) => <tr key={bucket.from}><th>{absolute(bucket.from)}</th>{SERIES.map((name) => <td key={name}>{parts(bucket)[name]}</td>)}</tr>)}</tbody>
      </table>
    </figure>
  );
}
