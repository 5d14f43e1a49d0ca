// What failed over time, by cause: the most frequent causes each for themselves, the others together.
import type { Schemas } from "../api";
import { number } from "../format";
import type { Line } from "../parts/chart";
import { hatches } from "../parts/hatch";
import { causeWords } from "../parts/status";
import { t } from "../text";

type Point = Schemas["PulsePoint"];

const colours: Record<Schemas["CauseCount"]["class"], string> = { push: "retry", handle: "reject", send: "dead", unknown: "wait" };

/** causeLines is one line for each cause, the most frequent first; none where nothing failed. */
export function causeLines(points: Point[]): Line[] {
  const counts = points.map(countsOf);
  const sums = new Map<string, { n: number; colour: string }>();
  for (const { cause, class: side, n } of counts.flat()) {
    sums.set(cause, { n: (sums.get(cause)?.n ?? 0) + n, colour: colours[side] });
  }
  const ranked = [...sums].sort((a, b) => b[1].n - a[1].n);
  const own = ranked.length > hatches ? ranked.slice(0, hatches - 1) : ranked;
  const lines = own.map(([cause, sum], hatch): Line => ({
    words: causeWords(cause), colour: sum.colour, hatch, sum: number(sum.n),
    values: counts.map((some) => some.find((one) => one.cause === cause)?.n ?? 0),
  }));
  const rest = ranked.slice(own.length);
  if (rest.length > 0) {
    const names = new Set(rest.map(([cause]) => cause));
    lines.push({
      words: t().chart.otherCauses(rest.length), colour: "wait", hatch: hatches - 1, sum: number(rest.reduce((sum, [, one]) => sum + one.n, 0)),
      values: counts.map((some) => some.filter((one) => names.has(one.cause)).reduce((sum, one) => sum + one.n, 0)),
    });
  }
  return lines;
}

/** countsOf is what failed in a step. What a relay counted that knew no causes has the cause that is not known. */
function countsOf(point: Point): Schemas["CauseCount"][] {
  const missing = point.push_failed + point.handle_failed - point.causes.reduce((sum, one) => sum + one.n, 0);
  if (missing <= 0) return point.causes;
  const known = point.causes.find((one) => one.cause === "");
  return [...point.causes.filter((one) => one !== known), { cause: "", class: "unknown", n: missing + (known?.n ?? 0) }];
}
