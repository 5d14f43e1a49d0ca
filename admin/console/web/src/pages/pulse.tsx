// Charts of rates, latencies and what was outstanding, for everything or for one subscriber.
import type { JSX } from "preact";
import { path, type Schemas } from "../api";
import { counted, duration, number, rate } from "../format";
import { useLive } from "../live";
import { Chart } from "../parts/chart";
import { Segments } from "../parts/controls";
import { Waiting } from "../parts/empty";
import { ProblemNote } from "../parts/problem";
import { address, go, place, withQuery } from "../route";
import { t } from "../text";
import { causeLines } from "./causes";

const spans = ["1h", "6h", "24h", "7d"] as const;

/** PulseCharts draws how it went over time; dragging opens the list of that range. */
export function PulseCharts({ subscription }: { subscription?: string }): JSX.Element {
  const wanted = place.value.query.get("range");
  const span = spans.find((one) => one === wanted) ?? "1h";
  const live = useLive<Schemas["Pulse"]>(path("pulse"), { subscription, from: span }, 10_000);
  const words = t().chart;
  const points = live.data?.points ?? [];
  const step = live.data?.step ?? 60;
  const times = points.map((one) => new Date(one.at).getTime() / 1000);
  const each = (of: (point: Schemas["PulsePoint"]) => number): number[] => points.map((one) => of(one) / step);
  const open = (from: Date, to: Date): void => go(address("/messages", { since: from.toISOString(), until: to.toISOString(), subscription }));
  const perSecond = (value: number): string => `${rate(value)}/s`;
  return (
    <section class="stack" aria-label={words.title}>
      <div class="chart-head">
        <h2>{words.title}</h2>
        <Segments label={words.span} value={span} onChange={(one) => go(withQuery({ range: one === "1h" ? undefined : one }), "replace")} options={spans.map((id) => ({ id, words: t().filter.ranges[id] }))} />
      </div>
      {live.problem && !live.data && <ProblemNote problem={live.problem} />}
      {!live.data && !live.problem && <Waiting words={t().common.loading} rows={18} />}
      {live.data && <div class={`charts${live.stale ? " busy" : ""}`}>
        <Chart title={words.throughput} unit="/s" times={times} show={perSecond} onRange={open} lines={[
          ...(subscription ? [] : [{ words: words.received, values: each((one) => one.received), colour: "muted", dash: [2, 3] }]),
          { words: words.accepted, values: each((one) => one.accepted), colour: "accent", fill: true },
          { words: words.failed, values: each((one) => one.push_failed + one.handle_failed), colour: "dead", dash: [6, 4] },
        ]} />
        <Chart title={words.latency} unit="ms" times={times} show={duration} logarithmic onRange={open} lines={[
          { words: "p50", values: points.map((one) => one.total_p50_ms ?? null), colour: "accent" },
          { words: "p99", values: points.map((one) => one.total_p99_ms ?? null), colour: "text", dash: [2, 3] },
        ]} />
        <Chart title={words.failures} unit="" times={times} show={number} stacked lines={causeLines(points)} empty={words.noFailures} onRange={open} />
        {subscription && (
          <Chart title={words.wait} unit="ms" times={times} show={duration} logarithmic onRange={open} lines={[
            { words: "p50", values: points.map((one) => one.wait_p50_ms ?? null), colour: "accent" },
            { words: "p99", values: points.map((one) => one.wait_p99_ms ?? null), colour: "text", dash: [2, 3] },
          ]} />
        )}
        <Outstanding points={points} times={times} words={subscription ? words.outstandingDeliveries : words.outstandingMessages} wide={subscription !== undefined} onRange={open} />
      </div>}
    </section>
  );
}

/** Outstanding draws the most that had not ended in each step. */
function Outstanding({ points, times, words, wide, onRange }: {
  points: Schemas["PulsePoint"][]; times: number[]; words: string; wide: boolean; onRange: (from: Date, to: Date) => void;
}): JSX.Element {
  const show = (value: number, n?: number): string => {
    const count = n === undefined ? undefined : points[n]?.outstanding;
    return count ? counted(count) : number(value);
  };
  return (
    <Chart title={t().chart.outstanding} unit="" times={times} show={show} wide={wide} onRange={onRange} empty={t().chart.notCounted} lines={[
      { words, values: points.map((one) => one.outstanding?.n ?? null), colour: "accent", fill: true },
    ]} />
  );
}
