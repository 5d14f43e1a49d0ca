import type { ComponentChildren, JSX } from "preact";

/** Empty says that there is nothing, why, and what to do next. */
export function Empty({ title, children, actions, glyph }: { title: ComponentChildren; children?: ComponentChildren; actions?: ComponentChildren; glyph?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      {glyph}
      <h2>{title}</h2>
      {children && <div class="text muted">{children}</div>}
      {actions && <div class="empty-actions">{actions}</div>}
    </div>
  );
}

/** Waiting stands where data will be, once it takes longer than a moment. */
export function Waiting({ words, rows = 6 }: { words: string; rows?: number }): JSX.Element {
  return (
    <div class="waiting" role="status">
      <span class="only-read">{words}</span>
      {Array.from({ length: rows }, (_, n) => <span key={n} class="waiting-row" />)}
    </div>
  );
}
