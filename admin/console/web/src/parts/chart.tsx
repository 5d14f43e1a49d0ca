// Charts over time. The lines differ by dash as well as by colour, their words stand in the legend, and the same
// numbers can be had as a table. Dragging chooses a range.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { axisTime, when } from "../format";
import { language, theme } from "../settings";
import { t } from "../text";
import { Button } from "./controls";
import { HatchSwatch, hatchFill } from "./hatch";

export interface Line {
  words: string;
  values: (number | null)[];
  /** Name of a token. */
  colour: string;
  dash?: number[];
  fill?: boolean;
  /** The pattern of a bar, where lines are stacked. */
  hatch?: number;
  /** Stands in the legend instead of the last value. */
  sum?: string;
}

interface ChartProps {
  title: string;
  unit: string;
  /** Seconds since 1970, one for each value. */
  times: number[];
  lines: Line[];
  /** How a value is written; n is its place among the times, absent for a value of the axis. */
  show: (value: number, n?: number) => string;
  /** Stands instead of the lines where none has a value. */
  empty?: string;
  logarithmic?: boolean;
  /** Bars upon each other instead of lines; the first stands at the bottom. */
  stacked?: boolean;
  /** As wide as two charts. */
  wide?: boolean;
  onRange?: (from: Date, to: Date) => void;
  height?: number;
}

export function Chart(p: ChartProps): JSX.Element {
  const [table, setTable] = useState(false);
  const some = p.lines.some((line) => line.values.some((value) => value !== null));
  return (
    <figure class={p.wide ? "chart wide" : "chart"}>
      <figcaption>
        <h3>{p.title}</h3>
        <ul class="legend">
          {p.lines.map((line) => <li key={line.words}>{line.hatch === undefined ? <Swatch line={line} /> : <HatchSwatch n={line.hatch} colour={line.colour} />}{line.words} <span class="num muted">{lastOf(line, p.show)}</span></li>)}
        </ul>
        {some && <Button kind="quiet" small onPress={() => setTable(!table)} expanded={table}>{table ? t().chart.asChart : t().chart.asTable}</Button>}
      </figcaption>
      {!some ? <p class="chart-empty text muted">{p.empty ?? t().chart.empty}</p> : table ? <Numbers {...p} /> : <Canvas {...p} />}
    </figure>
  );
}

function Swatch({ line }: { line: Line }): JSX.Element {
  return (
    <svg width="22" height="8" aria-hidden="true"><line x1="1" x2="21" y1="4" y2="4" stroke={`var(--${line.colour})`} stroke-width="2" stroke-dasharray={line.dash?.join(" ")} /></svg>
  );
}

function lastOf(line: Line, show: ChartProps["show"]): string {
  return line.sum ?? shown(line, line.values.findLastIndex((one) => one !== null), show);
}

/** shown writes the value of a line at one place. */
function shown(line: Line, n: number, show: ChartProps["show"]): string {
  const value = line.values[n];
  return value == null ? "–" : show(value, n);
}

function Numbers({ title, times, lines, show }: ChartProps): JSX.Element {
  const rows = times.map((_, n) => times.length - 1 - n).slice(0, 200);
  return (
    <div class="table-scroll chart-table" tabIndex={0} role="region" aria-label={title}>
      <table>
        <caption class="only-read">{title}</caption>
        <thead><tr><th scope="col">{t().chart.time}</th>{lines.map((line) => <th key={line.words} scope="col" class="num">{line.words}</th>)}</tr></thead>
        <tbody>
          {rows.map((n) => (
            <tr key={times[n]}>
              <th scope="row">{when(times[n]! * 1000)}</th>
              {lines.map((line) => <td key={line.words} class="num">{shown(line, n, show)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function Canvas(p: ChartProps): JSX.Element {
  const root = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const range = useRef(p.onRange);
  range.current = p.onRange;
  const look = `${theme.value} ${language.value} ${p.lines.map((line) => line.words).join()} ${p.logarithmic}`;

  useEffect(() => {
    const element = root.current!;
    const made = new uPlot(options(p, element.clientWidth, (from, to) => range.current?.(from, to)), data(p), element);
    plot.current = made;
    const resized = new ResizeObserver(() => element.clientWidth && made.setSize({ width: element.clientWidth, height: p.height ?? 180 }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [look]);
  useEffect(() => plot.current?.setData(data(p)), [p.times, p.lines]);

  const words = p.lines.map((line) => `${line.words}: ${lastOf(line, p.show)}`).join(", ");
  return <div class="chart-canvas" ref={root} role="img" aria-label={`${p.title}. ${words}`} />;
}

function data(p: ChartProps): uPlot.AlignedData {
  if (p.stacked) return [p.times, ...stack(p.lines.map((line) => line.values)).reverse()] as uPlot.AlignedData;
  const lines = p.lines.map((line) => (p.logarithmic ? line.values.map((value) => (value === null ? null : Math.max(value, 0.1))) : line.values));
  return [p.times, ...lines] as uPlot.AlignedData;
}

/** stack adds to each line what stands below it. */
function stack(lines: Line["values"][]): number[][] {
  const tops: number[][] = [];
  for (const values of lines) {
    const below = tops.at(-1);
    tops.push(values.map((value, n) => (value ?? 0) + (below?.[n] ?? 0)));
  }
  return tops;
}

/** series are the lines, or the bars from the highest down: each covers the lower part of the one before. */
function series(p: ChartProps): uPlot.Series[] {
  if (!p.stacked) {
    return p.lines.map((line) => ({
      label: line.words, stroke: token(line.colour), width: 1.8, points: { show: true, size: 4, filter: alone }, spanGaps: false,
      ...(line.dash && { dash: line.dash }), ...(line.fill && { fill: `${token(line.colour)}1f` }),
    }));
  }
  const bars = uPlot.paths.bars!({ size: [0.8, 28] });
  return p.lines.toReversed().map((line) => ({
    label: line.words, stroke: token(line.colour), width: 1, points: { show: false }, paths: bars,
    fill: (u) => hatchFill(u.ctx, line.hatch ?? 0, token(line.colour), token("surface")),
  }));
}

function options(p: ChartProps, width: number, onRange: (from: Date, to: Date) => void): uPlot.Options {
  const axis = { stroke: token("muted"), grid: { stroke: token("border"), width: 1 }, ticks: { show: false }, font: `11.5px ${token("sans")}` };
  return {
    width: Math.max(width, 100), height: p.height ?? 180, legend: { show: false },
    cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
    scales: { y: p.logarithmic ? { distr: 3 } : { range: (_u, _min, max) => [0, max > 0 ? max * 1.08 : 1] } },
    axes: [
      { ...axis, values: (_u, splits) => splits.map((at) => axisTime(at * 1000)), space: 64, size: 26 },
      { ...axis, size: 64, values: (_u, splits) => splits.map((value) => (value === null ? "" : p.show(value))), space: p.logarithmic ? 18 : 32 },
    ],
    series: [{}, ...series(p)],
    hooks: {
      setSelect: [(u) => {
        if (u.select.width < 6) return;
        const from = u.posToVal(u.select.left, "x");
        const to = u.posToVal(u.select.left + u.select.width, "x");
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        onRange(new Date(from * 1000), new Date(to * 1000));
      }],
      setCursor: [(u) => showTip(u, p)],
    },
  };
}

/** alone are the places of values without a neighbour: no line leads to them, so they are drawn as points. */
function alone(u: uPlot, line: number): number[] {
  const values = u.data[line]!;
  return [...values.keys()].filter((n) => values[n] != null && values[n - 1] == null && values[n + 1] == null);
}

/** showTip writes the numbers under the cursor beside it. */
function showTip(u: uPlot, p: ChartProps): void {
  let tip = u.over.querySelector<HTMLElement>(".chart-tip");
  if (!tip) {
    tip = document.createElement("div");
    tip.className = "chart-tip";
    u.over.append(tip);
  }
  const n = u.cursor.idx;
  tip.hidden = n == null || (u.cursor.left ?? -1) < 0;
  if (n == null || tip.hidden) return;
  const values = p.lines.map((line) => `${line.words} ${shown(line, n, p.show)}`);
  tip.textContent = [when(Number(u.data[0][n]) * 1000), ...values].join("\n");
  const right = (u.cursor.left ?? 0) > u.over.clientWidth - 160;
  tip.style.left = right ? "auto" : `${(u.cursor.left ?? 0) + 12}px`;
  tip.style.right = right ? `${u.over.clientWidth - (u.cursor.left ?? 0) + 12}px` : "auto";
}
