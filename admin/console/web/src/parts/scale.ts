// The scale of a timeline: true within ten seconds; beyond, the gaps are drawn shorter than they were and marked.
export interface Segment {
  from: number;
  to: number;
  x: number;
  width: number;
  broken: boolean;
}

const linearUpTo = 10_000;

/** segments cuts the time between the given moments into parts with a place each, from 0 to width. */
export function segments(moments: number[], width: number): Segment[] {
  const sorted = [...new Set(moments)].sort((a, b) => a - b);
  const total = (sorted.at(-1) ?? 0) - (sorted[0] ?? 0);
  const linear = total <= linearUpTo;
  const weights = sorted.slice(1).map((to, n) => weight(to - sorted[n]!, linear));
  const sum = weights.reduce((a, b) => a + b, 0) || 1;
  let x = 0;
  return weights.map((one, n) => {
    const segment = { from: sorted[n]!, to: sorted[n + 1]!, x, width: (one / sum) * width, broken: !linear && sorted[n + 1]! - sorted[n]! > linearUpTo };
    x += segment.width;
    return segment;
  });
}

function weight(ms: number, linear: boolean): number {
  return linear ? Math.max(ms, 1) : 0.35 + Math.log10(1 + ms / 20);
}

/** placeOf is where a moment lies. */
export function placeOf(all: Segment[], at: number): number {
  const first = all[0];
  if (!first || at <= first.from) return 0;
  for (const one of all) if (at <= one.to) return one.x + ((at - one.from) / Math.max(one.to - one.from, 1e-9)) * one.width;
  const last = all.at(-1)!;
  return last.x + last.width;
}
