// A subscription's settings as a form holds them: as texts, so that an empty one means 'as the variable says'.
import type { Schemas } from "../api";
import { duration, milliseconds } from "../format";

export interface Draft {
  name: string;
  topics: string;
  target: string;
  paused: boolean;
  ordered: boolean;
  broadcast: boolean;
  ack: "response" | "consumer";
  ackTimeout: string;
  timeout: string;
  concurrency: string;
  rateLimit: string;
  maxAttempts: string;
  maxHandleAttempts: string;
  backoff: string;
  onDead: "continue" | "block";
  addSecret: string;
  removeSecrets: number[];
  headers: { name: string; value: string | undefined }[];
}

/** span writes milliseconds as a person writes a duration. */
export function span(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "";
  const units: [number, string][] = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "m"], [1000, "s"], [1, "ms"]];
  let rest = ms;
  let text = "";
  for (const [size, unit] of units) {
    const n = Math.floor(rest / size);
    if (n > 0) text += `${n}${unit}`;
    rest -= n * size;
  }
  return text || "0s";
}

export function draftOf(item: Schemas["Subscription"] | undefined, topics: string): Draft {
  const s = item?.settings;
  const number = (n: number | null | undefined): string => (n === null || n === undefined ? "" : String(n));
  return {
    name: item?.name ?? "", topics: s?.topics.join("\n") ?? topics, target: s?.target ?? "", paused: s?.paused ?? false, ordered: s?.ordered ?? true, broadcast: s?.broadcast ?? false,
    ack: s?.ack ?? "response", ackTimeout: span(s?.ack_timeout_ms), timeout: span(s?.timeout_ms), concurrency: number(s?.concurrency), rateLimit: number(s?.rate_limit),
    maxAttempts: number(s?.max_attempts), maxHandleAttempts: number(s?.max_handle_attempts), backoff: s?.backoff_ms.map(span).join(", ") ?? "", onDead: s?.on_dead ?? "continue",
    addSecret: "", removeSecrets: [], headers: s?.headers.map((name) => ({ name, value: undefined })) ?? [],
  };
}

export const topicsOf = (draft: Draft): string[] => draft.topics.split(/[\s,]+/).filter(Boolean);
const spansOf = (text: string): number[] => text.split(/[\s,]+/).filter(Boolean).map(milliseconds);

/** wrongFields names the fields whose values cannot be sent. */
export function wrongFields(draft: Draft, fresh: boolean): Set<keyof Draft> {
  const wrong = new Set<keyof Draft>();
  if (!draft.name || /[\s:/]/.test(draft.name)) wrong.add("name");
  if (topicsOf(draft).length === 0) wrong.add("topics");
  if (fresh && !draft.target) wrong.add("target");
  for (const field of ["ackTimeout", "timeout"] as const) if (draft[field] && !(milliseconds(draft[field]) > 0)) wrong.add(field);
  for (const field of ["concurrency", "maxAttempts", "maxHandleAttempts"] as const) if (draft[field] && !/^[1-9]\d*$/.test(draft[field])) wrong.add(field);
  if (draft.rateLimit && !(Number(draft.rateLimit) > 0)) wrong.add("rateLimit");
  if (spansOf(draft.backoff).some((ms) => !(ms > 0))) wrong.add("backoff");
  return wrong;
}

/** bodyOf is what is sent. A target that was not touched is left out: what is shown of it lacks its secrets. */
export function bodyOf(draft: Draft, before: Draft, reason: string): Schemas["SubscriptionSettings"] {
  const whole = (text: string): number | null => (text ? Number(text) : null);
  const ms = (text: string): number | null => (text ? milliseconds(text) : null);
  const headersTouched = JSON.stringify(draft.headers) !== JSON.stringify(before.headers);
  return {
    topics: topicsOf(draft), ...(draft.target !== before.target && { target: draft.target }), paused: draft.paused, ordered: draft.ordered, broadcast: draft.broadcast, ack: draft.ack,
    ...(draft.ackTimeout && { ack_timeout_ms: milliseconds(draft.ackTimeout) }), timeout_ms: ms(draft.timeout), concurrency: whole(draft.concurrency), rate_limit: whole(draft.rateLimit),
    max_attempts: whole(draft.maxAttempts), max_handle_attempts: whole(draft.maxHandleAttempts), backoff_ms: spansOf(draft.backoff), on_dead: draft.onDead,
    ...(draft.addSecret && { add_secret: draft.addSecret }), ...(draft.removeSecrets.length > 0 && { remove_secrets: draft.removeSecrets }),
    ...(headersTouched && { headers: draft.headers.filter((one) => one.name).map((one) => ({ name: one.name, ...(one.value !== undefined && { value: one.value }) })) }),
    ...(reason && { reason }),
  } as Schemas["SubscriptionSettings"];
}

/** Difference is one setting that a save would change. */
export interface Difference {
  field: keyof Draft;
  before: string;
  after: string;
}

export function differences(before: Draft, after: Draft): Difference[] {
  const show = (draft: Draft, field: keyof Draft): string => {
    const value = draft[field];
    if (field === "addSecret") return value ? "whsec_…" : "";
    if (field === "headers") return draft.headers.map((one) => one.name + (one.value === undefined ? "" : "=…")).join(", ");
    return Array.isArray(value) ? value.join(", ") : String(value).split(/\n/).join(", ");
  };
  return (Object.keys(before) as (keyof Draft)[])
    .filter((field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]))
    .map((field) => ({ field, before: show(before, field), after: show(after, field) }));
}

/** ruler is after how long the attempts of a message are made, and when it is given up. */
export function ruler(draft: Draft, usual: Schemas["Settings"] | undefined): { at: number[]; giveUp: number; attempts: number } {
  const intervals = spansOf(draft.backoff).filter((ms) => ms > 0);
  const steps = intervals.length > 0 ? intervals : usual?.backoff_ms ?? [];
  const attempts = Number(draft.maxAttempts) || usual?.max_attempts || 0;
  const bound = usual?.give_up_after_ms || Infinity;
  const at = [0];
  for (let n = 1; n < Math.min(attempts || 500, 500) && steps.length > 0; n++) {
    const next = at[n - 1]! + (steps[Math.min(n - 1, steps.length - 1)] ?? 0);
    if (next > bound) return { at, giveUp: bound, attempts: at.length };
    at.push(next);
  }
  return { at, giveUp: at.at(-1)!, attempts: at.length };
}

export const rulerWords = (giveUp: number): string => duration(giveUp);
