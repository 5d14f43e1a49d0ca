// Polling. A page asks again and again with If-None-Match, never replaces what it shows by nothing, and pauses while
// a person works on what is shown.
import { computed, signal } from "@preact/signals";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { asProblem, request, type Problem, type Query } from "./api";
import { now, skew } from "./format";
import { address } from "./route";

/** Hold is why the pages do not refresh at present. */
export type Hold = { kind: "hidden" | "person" | "dialog" | "scrolled" | "paged" } | { kind: "selected"; n: number };

const holds = signal(new Map<symbol, Hold>());
export const stopped = signal(false);

export function hold(what: Hold): () => void {
  const key = Symbol();
  holds.value = new Map(holds.value).set(key, what);
  return () => {
    const rest = new Map(holds.value);
    rest.delete(key);
    holds.value = rest;
  };
}

/** useHold holds the refresh while what is given. */
export function useHold(what: Hold | undefined): void {
  const text = what && JSON.stringify(what);
  useEffect(() => (text ? hold(JSON.parse(text) as Hold) : undefined), [text]);
}

/** holding is the present reason not to refresh, if any. */
export const holding = computed<Hold | undefined>(() => {
  if (stopped.value) return { kind: "person" };
  const all = [...holds.value.values()];
  return all.find((one) => one.kind === "selected") ?? all[0];
});

interface Standing {
  asOf: number;
  problem: Problem | undefined;
  since: number;
}
const standings = signal(new Map<symbol, Standing>());

/** refreshed is when the oldest of the shown data was had, and trouble what keeps the pages from newer data. */
export const refreshed = computed(() => Math.min(...[...standings.value.values()].map((one) => one.asOf)));
export const trouble = computed(() => [...standings.value.values()].find((one) => one.problem));

/** wake asks for everything that is shown, now, whatever holds the refresh. */
export const wakes = signal(0);
export const wake = (): void => void (wakes.value += 1);

export interface Live<T> {
  data: T | undefined;
  problem: Problem | undefined;
  /** The data belongs to an earlier address; that of this one is on its way. */
  stale: boolean;
  reload: () => void;
}

const longestBackOff = 30_000;

interface Kept<T> {
  url: string;
  data: T;
  etag: string | null;
}

/**
 * useLive keeps what an address answers. An answer to an address that is no longer wanted is thrown away. Every is in
 * milliseconds and may depend on the data; 0 asks once. No path asks nothing.
 */
export function useLive<T>(path: string | undefined, query: Query = {}, every: number | ((data: T | undefined) => number) = 5000): Live<T> {
  const url = path === undefined ? undefined : address(path, query);
  const [kept, setKept] = useState<Kept<T>>();
  const [problem, setProblem] = useState<Problem>();
  const latest = useRef<Kept<T> | undefined>(undefined);
  const pace = useRef(every);
  pace.current = every;
  const again = useRef<() => void>(() => {});

  useEffect(() => {
    if (url === undefined) return;
    setProblem(undefined);
    const poll = new Poll<T>(url, latest, () => pace.current, setKept, setProblem);
    again.current = () => void poll.ask(true);
    return () => poll.end();
  }, [url]);

  const reload = useCallback(() => again.current(), []);
  const own = kept && kept.url === url;
  return { data: url === undefined ? undefined : kept?.data, problem, stale: kept !== undefined && !own, reload };
}

class Poll<T> {
  private readonly key = Symbol();
  private readonly abort = new AbortController();
  private timer = 0;
  private failures = 0;
  private busy = false;
  private again = false;
  private readonly ends: (() => void)[] = [];

  constructor(
    private readonly url: string,
    private readonly latest: { current: Kept<T> | undefined },
    private readonly every: () => number | ((data: T | undefined) => number),
    private readonly keep: (kept: Kept<T>) => void,
    private readonly fail: (problem: Problem | undefined) => void,
  ) {
    let first = true;
    this.ends.push(wakes.subscribe(() => void (first || this.ask(true))));
    this.ends.push(holding.subscribe((held) => void (first || held || this.ask(false))));
    const seen = (): void => void (document.hidden || this.ask(false));
    document.addEventListener("visibilitychange", seen);
    this.ends.push(() => document.removeEventListener("visibilitychange", seen));
    first = false;
    void this.ask(true);
  }

  /**
   * ask asks now, unless the refresh is held and nothing forces it. What forces it while an answer is under way has it
   * ask once more: that answer may be older than what a person has just done.
   */
  async ask(force: boolean): Promise<void> {
    clearTimeout(this.timer);
    if (this.busy) this.again ||= force;
    if (this.busy || this.abort.signal.aborted) return;
    if (!force && (holding.peek() || document.hidden)) return;
    this.busy = true;
    try {
      const kept = this.latest.current?.url === this.url ? this.latest.current : undefined;
      const answer = await request<T>("GET", this.url, { etag: kept?.etag ?? null, signal: this.abort.signal });
      if (this.abort.signal.aborted) return;
      if (answer.status !== 304) {
        this.latest.current = { url: this.url, data: answer.data as T, etag: answer.etag };
        this.keep(this.latest.current);
      }
      this.failures = 0;
      this.fail(undefined);
      this.note(undefined);
    } catch (error) {
      if (this.abort.signal.aborted) return;
      this.failures += 1;
      this.fail(asProblem(error));
      this.note(asProblem(error));
    } finally {
      this.busy = false;
      if (this.again) {
        this.again = false;
        void this.ask(true);
      } else this.schedule();
    }
  }

  private schedule(): void {
    if (this.abort.signal.aborted) return;
    const given = this.every();
    let pause = typeof given === "function" ? given(this.latest.current?.data) : given;
    if (this.failures > 0) pause = Math.min(2000 * 2 ** (this.failures - 1), longestBackOff);
    if (pause > 0) this.timer = window.setTimeout(() => void this.ask(false), pause);
  }

  private note(problem: Problem | undefined): void {
    const at = Date.now() + skew.peek();
    const before = standings.peek().get(this.key);
    const standing = problem
      ? { asOf: before?.asOf ?? at, problem, since: before?.problem ? before.since : at }
      : { asOf: at, problem: undefined, since: 0 };
    standings.value = new Map(standings.peek()).set(this.key, standing);
    if (!problem) now.value = at;
  }

  end(): void {
    this.abort.abort();
    clearTimeout(this.timer);
    for (const end of this.ends) end();
    const rest = new Map(standings.peek());
    rest.delete(this.key);
    standings.value = rest;
  }
}
