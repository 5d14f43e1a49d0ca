import type { JSX } from "preact";

/** Sparkline draws the course of a number, without axes; the words beside it say what it is. */
export function Sparkline({ values, label, width = 96, height = 20, tone = "accent" }: {
  values: number[]; label: string; width?: number; height?: number; tone?: "accent" | "dead" | "retry";
}): JSX.Element {
  const top = Math.max(...values, 0);
  const step = width / Math.max(values.length - 1, 1);
  const y = (value: number): number => (top === 0 ? height - 1 : height - 1.5 - (value / top) * (height - 3));
  const points = values.map((value, n) => `${(n * step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  return (
    <svg class={`spark spark-${tone}`} width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label} preserveAspectRatio="none">
      {values.length > 1 && <polygon points={`0,${height} ${points} ${width},${height}`} class="spark-area" />}
      <polyline points={points} fill="none" class="spark-line" />
    </svg>
  );
}
