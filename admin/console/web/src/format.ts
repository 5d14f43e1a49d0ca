// Numbers, times and strangers' text as people read them.
import { computed, signal } from "@preact/signals";
import { language } from "./settings";

/** skew is the server's clock less the browser's, in milliseconds: relative times follow the server. */
export const skew = signal(0);
/** now ticks once a second. */
export const now = signal(Date.now());

let ticking = 0;
export function startClock(): void {
  clearInterval(ticking);
  ticking = window.setInterval(() => {
    if (!document.hidden) now.value = Date.now() + skew.value;
  }, 1000);
}

/** observeClock learns the server's time from the Date of an answer, which counts whole seconds. */
export function observeClock(date: string | null): void {
  if (!date) return;
  const difference = Date.parse(date) + 500 - Date.now();
  const better = Math.abs(difference) < 1500 ? 0 : difference;
  if (Math.abs(better - skew.value) > 1500) {
    skew.value = better;
    now.value = Date.now() + better;
  }
}

const locale = computed(() => (language.value === "zh" ? "zh-Hans-CN" : "en-GB"));
const numbers = computed(() => new Intl.NumberFormat(locale.value, { maximumFractionDigits: 1 }));
const small = computed(() => new Intl.NumberFormat(locale.value, { maximumSignificantDigits: 2 }));
const compact = computed(() => new Intl.NumberFormat(language.value === "zh" ? "zh-Hans-CN" : "en", { notation: "compact", maximumSignificantDigits: 3 }));
const clock = computed(() => new Intl.DateTimeFormat(locale.value, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }));
const day = computed(() => new Intl.DateTimeFormat(locale.value, { dateStyle: "medium" }));
const shortDay = computed(() => new Intl.DateTimeFormat(locale.value, { day: "numeric", month: "short" }));
const relative = computed(() => new Intl.RelativeTimeFormat(locale.value, { numeric: "always", style: "short" }));
const lists = computed(() => new Intl.ListFormat(locale.value, { type: "conjunction" }));

export const number = (n: number): string => numbers.value.format(n);
/** rate is a number per second: below 1 with two digits, so that a slow rate is not shown as none. */
export const rate = (n: number): string => (n < 1 ? small : numbers).value.format(n);
export const roughly = (n: number): string => (n < 10_000 ? numbers.value.format(n) : compact.value.format(n));
export const clockTime = (at: string | number | Date): string => clock.value.format(new Date(at));
/** axisTime is a time on the axis of a chart; midnight has the day's name. */
export function axisTime(at: number): string {
  const date = new Date(at);
  return date.getHours() + date.getMinutes() === 0 ? shortDay.value.format(date) : clockTime(date).slice(0, 5);
}

export const list = (words: string[]): string => lists.value.format(words);

/** Counted is a number as the API tells it. */
export interface Counted {
  n: number;
  precision: "exact" | "at_least" | "about";
}

/** counted is a number with the sign of how exactly it is known: '12', '≈ 4.74M', '200,000+'. */
export function counted(count: Counted): string {
  if (count.precision === "about") return `≈ ${roughly(count.n)}`;
  return count.precision === "at_least" ? `${number(count.n)}+` : number(count.n);
}

/** when is an absolute time, with the day where it is not today. */
export function when(at: string | number | Date): string {
  const date = new Date(at);
  const today = new Date(now.value).toDateString() === date.toDateString();
  return today ? clock.value.format(date) : `${day.value.format(date)} ${clock.value.format(date)}`;
}

/** exactly is the local and the universal time, with milliseconds. */
export function exactly(at: string | number | Date): string {
  const date = new Date(at);
  const ms = String(date.getMilliseconds()).padStart(3, "0");
  return `${day.value.format(date)} ${clock.value.format(date)}.${ms} · ${date.toISOString()}`;
}

const steps: [Intl.RelativeTimeFormatUnit, number][] = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

/** ago is a time relative to now, such as '3 min ago' or 'in 12 s'. */
export function ago(at: string | number | Date): string {
  const seconds = (new Date(at).getTime() - now.value) / 1000;
  const whole = Math.abs(seconds) < 1 ? 0 : seconds;
  for (const [unit, length] of steps) {
    if (Math.abs(whole) >= length) return relative.value.format(Math.trunc(whole / length), unit);
  }
  return relative.value.format(whole < 0 || whole === 0 ? -0 : 0, "second");
}

const units = computed(() =>
  language.value === "zh"
    ? { ms: " 毫秒", s: " 秒", min: " 分", h: " 小时", d: " 天" }
    : { ms: " ms", s: " s", min: " min", h: " h", d: " d" });

/** duration is a length of time with at most two units, such as '4 ms', '1.2 s' or '3 min 20 s'. */
export function duration(ms: number): string {
  const u = units.value;
  if (ms < 0) ms = 0;
  if (ms < 1) return `${number(Math.round(ms * 10) / 10)}${u.ms}`;
  if (ms < 1000) return `${number(Math.round(ms))}${u.ms}`;
  if (ms < 10_000) return `${number(Math.round(ms / 100) / 10)}${u.s}`;
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s}${u.s}`;
  if (s < 3600) return two(Math.floor(s / 60), u.min, s % 60, u.s);
  if (s < 86_400) return two(Math.floor(s / 3600), u.h, Math.round((s % 3600) / 60), u.min);
  return two(Math.floor(s / 86_400), u.d, Math.round((s % 86_400) / 3600), u.h);
}

function two(a: number, unitA: string, b: number, unitB: string): string {
  return b === 0 ? `${number(a)}${unitA}` : `${number(a)}${unitA} ${b}${unitB}`;
}

/** bytes is a size, such as '812 B' or '4.1 kB'. */
export function bytes(n: number): string {
  if (n < 1000) return `${n} B`;
  if (n < 1_000_000) return `${number(n / 1000)} kB`;
  return `${number(n / 1_000_000)} MB`;
}

/** milliseconds reads a duration as the API and the command line write it: '1h30m', '250ms', '7d'. */
export function milliseconds(text: string | undefined): number {
  if (!text) return NaN;
  const scale: Record<string, number> = { ns: 1e-6, us: 1e-3, "µs": 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
  let total = 0;
  let rest = text;
  for (let m = /^([\d.]+)(ns|us|µs|ms|s|m|h|d|w)/.exec(rest); m; m = /^([\d.]+)(ns|us|µs|ms|s|m|h|d|w)/.exec(rest)) {
    total += Number(m[1]) * (scale[m[2]!] ?? NaN);
    rest = rest.slice(m[0].length);
  }
  return rest === "" ? total : NaN;
}

// Control and format characters, and halves of a pair, that could hide or reorder what a person reads.
const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** marked splits a stranger's text into plain pieces and the code points that must be made visible. */
export function marked(text: string): { text: string; mark: boolean }[] {
  const parts: { text: string; mark: boolean }[] = [];
  let from = 0;
  for (const m of text.matchAll(hidden)) {
    if (m.index > from) parts.push({ text: text.slice(from, m.index), mark: false });
    parts.push({ text: "U+" + m[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0"), mark: true });
    from = m.index + m[0].length;
  }
  if (from < text.length || parts.length === 0) parts.push({ text: text.slice(from), mark: false });
  return parts;
}

/** plain is a stranger's text for places that take no markup, such as titles, with marks in brackets. */
export function plain(text: string): string {
  return marked(text).map((part) => (part.mark ? `[${part.text}]` : part.text)).join("");
}
