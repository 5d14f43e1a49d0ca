// What a screen reader says of what a person has just asked for. The region stands in the page before there is a word
// in it, since words that come together with their region are often not said.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../text";

const said = signal("");

/** announce says words once; what changes by itself, as a count does, is not announced. */
export function announce(words: string): void {
  said.value = words;
}

export function Announcer(): JSX.Element {
  return <p id="said" class="only-read" role="status" aria-live="polite">{said.value}</p>;
}

/** useFound says how many rows a filter or a page shows, when a person has changed it, and not when it is refreshed. */
export function useFound(page: string, live: { data: { items: unknown[] } | undefined; stale: boolean }): void {
  const shown = useRef(page);
  useEffect(() => {
    if (live.stale || !live.data || shown.current === page) return;
    shown.current = page;
    announce(live.data.items.length > 0 ? t().messages.shown(live.data.items.length) : t().messages.none);
  });
}
