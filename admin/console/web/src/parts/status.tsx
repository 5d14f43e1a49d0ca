// States in words, with their glyphs.
import type { JSX } from "preact";
import type { Schemas } from "../api";
import { ago, now, number } from "../format";
import { t } from "../text";
import { nameCause } from "../text/cause";
import { Glyph, known, toneOf, type State } from "./glyph";

/** messageState is the state of a message as it is drawn. */
export function messageState(m: Pick<Schemas["MessageItem"], "status" | "deliver_at" | "cause">): State {
  if (m.status === "pending") return m.deliver_at && new Date(m.deliver_at).getTime() > now.value ? "scheduled" : "pending";
  if (m.status === "open") return m.cause ? "open_failed" : "open";
  return known(m.status);
}

/** deliveryState is the state of a delivery as it is drawn: one that waits shows why. */
export function deliveryState(d: { status: string; reason?: string | undefined }): State {
  if (d.status !== "waiting" || !d.reason) return known(d.status);
  return d.reason === "no_resources" ? "full" : known(d.reason);
}

/** Status is a glyph and a word; chip gives it a tinted background. */
export function Status({ state, chip, words }: { state: State; chip?: boolean; words?: string }): JSX.Element {
  return (
    <span class={`status tone-${toneOf(state)}${chip ? ` chip tint-${toneOf(state)}` : ""}${state === "cancelled" ? " struck" : ""}`}>
      <Glyph state={state} /><span class="word">{words ?? t().state[state]}</span>
    </span>
  );
}

/** Progress is how far a message's subscribers are: the number in words, and a mark for each. */
export function Progress({ m }: { m: Schemas["MessageItem"] }): JSX.Element {
  if (m.progress.total === 0) return <span class="muted">–</span>;
  const words = t().messages.progress(m.progress.well, m.progress.total);
  const title = m.progress.by_status.map((one) => `${t().state[known(one.status)]}: ${number(one.n)}`).join("\n");
  const marks = m.progress.by_status.flatMap((one) => Array.from({ length: Math.min(one.n, 8) }, () => one.status));
  return (
    <span class="progress" title={title}>
      <span>{m.progress.well}/{m.progress.total}<span class="only-read"> {words}</span></span>
      <span class="marks" aria-hidden="true">{marks.slice(0, 8).map((status, n) => <i key={n} class={`seg tone-${toneOf(known(status))} seg-${status}`} />)}</span>
    </span>
  );
}

/** Bar divides a number of deliveries by their states; the words stand in the title and in the label. */
export function Bar({ parts, label }: { parts: { status: string; n: number }[]; label: string }): JSX.Element {
  const total = parts.reduce((sum, part) => sum + part.n, 0);
  const words = parts.map((part) => `${t().state[known(part.status)]}: ${number(part.n)}`).join(", ");
  return (
    <span class="bar" role="img" aria-label={`${label}: ${words || "0"}`} title={words}>
      {parts.map((part) => <i key={part.status} class={`seg tone-${toneOf(known(part.status))} seg-${part.status}`} ref={(element) => { if (element) element.style.flexGrow = String(Math.max(part.n / (total || 1), 0.04)); }} />)}
    </span>
  );
}

/** deliverySentence says how a delivery stands, in one sentence. */
export function deliverySentence(d: Schemas["Delivery"]): string {
  const s = t().sentence;
  const next = d.next_attempt_at ? s.next(ago(d.next_attempt_at)) : "";
  switch (d.status) {
    case "push_failed":
      return s.notReached(d.attempts, causeWords(d.cause), next);
    case "handle_failed":
      return s.notHandled(Math.max(d.handle_attempts, 1), causeWords(d.cause), next);
    case "waiting":
      return s.waits(t().reason[(d.reason ?? "") as "paused"] ?? t().step.waiting);
    case "awaiting_ack":
      return s.awaits(d.attempts);
    case "dead":
      return s.dead(d.attempts, causeWords(d.cause));
    case "handled":
      return s.handled(d.attempts);
    case "delivered":
      return s.delivered(d.attempts);
  }
  return s.cancelled;
}

/** causeWords names a cause class in the chosen language. */
export function causeWords(cause: string | undefined): string {
  return cause ? nameCause(cause, t().cause, t().causeCode) : t().cause.unknown;
}
