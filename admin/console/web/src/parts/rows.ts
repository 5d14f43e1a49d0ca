// The rows that are shown, apart from the rows that are known: what a person looks at must not move. New rows wait
// behind a bar, unless the person is at the top of the page with nothing focused in the table.
import { useEffect, useRef, useState } from "preact/hooks";
import { useHold, wake } from "../live";

export interface Shown<T> {
  rows: T[];
  /** Keys of rows that the newest answer has no more. */
  gone: Set<string>;
  /** How many new rows wait to be shown. */
  fresh: number;
  show: () => void;
}

/** useRows keeps rows in place while a person reads. Page names the list: another one is shown at once. */
export function useRows<T>(rows: T[] | undefined, keyOf: (row: T) => string, page: string, scope: { current: HTMLElement | null }): Shown<T> {
  const order = useRef<{ page: string; keys: string[] }>({ page: "", keys: [] });
  const old = useRef(new Map<string, T>());
  const [, redraw] = useState(0);
  const known = new Map((rows ?? []).map((row) => [keyOf(row), row]));
  const still = order.current.page === page && order.current.keys.length > 0 && reading(scope.current);
  if (rows && !still) order.current = { page, keys: [...known.keys()] };

  const result: T[] = [];
  const gone = new Set<string>();
  for (const key of order.current.page === page ? order.current.keys : []) {
    const row = known.get(key) ?? old.current.get(key);
    if (!row) continue;
    if (rows && !known.has(key)) gone.add(key);
    result.push(row);
  }
  for (const [key, row] of known) old.current.set(key, row);
  if (!still) old.current = known;
  const shown = new Set(order.current.keys);
  const show = (): void => {
    order.current = { page, keys: [...known.keys()] };
    old.current = known;
    redraw((n) => n + 1);
    wake();
  };
  return { rows: result, gone, fresh: [...known.keys()].filter((key) => !shown.has(key)).length, show };
}

function reading(scope: HTMLElement | null): boolean {
  return scrollY > 8 || !!scope?.contains(document.activeElement) || !!scope?.querySelector("tbody input:checked");
}

/** useScrollHold holds the refresh while the page is scrolled away from its top. */
export function useScrollHold(): void {
  const [away, setAway] = useState(false);
  useEffect(() => {
    const look = (): void => setAway(scrollY > 80);
    addEventListener("scroll", look, { passive: true });
    return () => removeEventListener("scroll", look);
  }, []);
  useHold(away ? { kind: "scrolled" } : undefined);
}
