// The glyphs of states: the shape carries the state, the colour repeats it.
import type { JSX } from "preact";

export type State =
  | "pending" | "scheduled" | "open" | "open_failed" | "done" | "dead" | "rejected" | "cancelled"
  | "waiting" | "paused" | "key_blocked" | "circuit_open" | "full"
  | "push_failed" | "handle_failed" | "awaiting_ack" | "delivered" | "handled";

export type Tone = "ok" | "wait" | "retry" | "dead" | "reject" | "ack";

const line = { fill: "none", stroke: "currentColor", "stroke-width": 1.6, "stroke-linecap": "round", "stroke-linejoin": "round" } as const;
const solid = { fill: "currentColor" } as const;
const ring = <circle cx="8" cy="8" r="5.7" {...line} />;

/** shapes are drawn in a square of 16. */
const shapes: Record<State, { tone: Tone; shape: JSX.Element }> = {
  pending: { tone: "wait", shape: ring },
  scheduled: { tone: "wait", shape: <>{ring}<path d="M8 4.8V8l2.2 1.5" {...line} /></> },
  open: { tone: "wait", shape: <>{ring}<path d="M8 2.3a5.7 5.7 0 0 1 0 11.4z" {...solid} /></> },
  open_failed: { tone: "retry", shape: <>{ring}<path d="M8 2.3a5.7 5.7 0 0 1 0 11.4z" {...solid} /></> },
  done: { tone: "ok", shape: <path fill-rule="evenodd" {...solid} d="M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13Zm3.4 4.3-1-1L7 8.4 5.5 7l-1 1L7 10.5Z" /> },
  dead: { tone: "dead", shape: <path fill-rule="evenodd" {...solid} d="M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3ZM6 4.9 4.9 6l2 2-2 2L6 11.1l2-2 2 2L11.1 10l-2-2 2-2L10 4.9l-2 2Z" /> },
  rejected: { tone: "reject", shape: <>{ring}<path d="m4 12 8-8" {...line} /></> },
  cancelled: { tone: "wait", shape: <>{ring}<path d="M5.3 8h5.4" {...line} /></> },
  waiting: { tone: "wait", shape: ring },
  paused: { tone: "wait", shape: <>{ring}<path d="M6.5 6v4M9.5 6v4" {...line} /></> },
  key_blocked: { tone: "wait", shape: <><rect x="1.7" y="5.4" width="7.4" height="5.2" rx="2.6" {...line} /><rect x="6.9" y="5.4" width="7.4" height="5.2" rx="2.6" {...line} /></> },
  circuit_open: { tone: "wait", shape: <path d="M1.5 10.5h3m7 0h3M4.5 10.5l6-5" {...line} /> },
  full: { tone: "wait", shape: <path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11" {...line} /> },
  push_failed: { tone: "retry", shape: <path d="M1.5 8h2.2m2 0h4m-2.4-2.6L9.9 8l-2.6 2.6M13.6 2.5v11" {...line} /> },
  handle_failed: { tone: "retry", shape: <><path d="M8 2.2 14.3 13.3H1.7Z" {...line} /><path d="M8 6.4v3M8 11.3v.1" {...line} /></> },
  awaiting_ack: { tone: "ack", shape: <path d="M4 2h8M4 14h8M5 2c0 3.4 3 3.6 3 6s-3 2.6-3 6M11 2c0 3.4-3 3.6-3 6s3 2.6 3 6" {...line} /> },
  delivered: { tone: "ok", shape: <path d="m3 8.4 3.4 3.4L13 4.6" {...line} stroke-width="2" /> },
  handled: { tone: "ok", shape: <path d="m1 8.6 3 3 6-7M6.6 10.3l1.4 1.3 6.6-7" {...line} stroke-width="1.9" /> },
};

export const toneOf = (state: State): Tone => shapes[state].tone;

/** known makes a state of what the API says; what this console does not know is shown as waiting. */
export const known = (state: string): State => (state in shapes ? (state as State) : "waiting");

/** GlyphShape is the bare shape, to be placed in another drawing. */
export const GlyphShape = ({ state }: { state: State }): JSX.Element => shapes[state].shape;

export function Glyph({ state, label }: { state: State; label?: string }): JSX.Element {
  return (
    <svg class={`glyph tone-${shapes[state].tone}`} width="16" height="16" viewBox="0 0 16 16"
      role={label ? "img" : undefined} aria-label={label} aria-hidden={label ? undefined : true}>
      {shapes[state].shape}
    </svg>
  );
}
