// Times and strangers' texts.
import type { JSX } from "preact";
import { ago, duration, exactly, marked, now, plain, when } from "../format";
import { exactTimes } from "../settings";

/** Time is relative, with the exact time as its title, or the other way round if the person wants that. */
export function Time({ at, absent = "–" }: { at: string | undefined | null; absent?: string }): JSX.Element {
  if (!at) return <span class="muted">{absent}</span>;
  return <time dateTime={at} title={exactTimes.value ? ago(at) : exactly(at)}>{exactTimes.value ? when(at) : ago(at)}</time>;
}

/** Age is how long something has been so. */
export function Age({ since }: { since: string | undefined | null }): JSX.Element {
  if (!since) return <span class="muted">–</span>;
  return <time dateTime={since} title={exactly(since)}>{duration(now.value - new Date(since).getTime())}</time>;
}

/** Foreign shows a text that a stranger wrote: never as markup, apart from the direction of what stands around it, and
 *  with every control character visible. */
export function Foreign({ text, mono, cut }: { text: string; mono?: boolean; cut?: boolean }): JSX.Element {
  const parts = marked(text);
  return (
    <bdi class={`${mono ? "mono " : ""}${cut ? "cut" : "break"}`} title={cut ? plain(text) : undefined}>
      {parts.map((part) => (part.mark ? <span class="mark">{part.text}</span> : part.text))}
    </bdi>
  );
}
