// Short words on what has just happened, with at most one thing to do about it.
import { signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { asProblem } from "../api";
import { t } from "../text";
import { Button } from "./controls";
import { problemWords } from "./problem";

interface Toast {
  id: number;
  words: ComponentChildren;
  bad: boolean;
  action?: { words: string; onPress: () => void } | undefined;
}

const toasts = signal<Toast[]>([]);
let last = 0;

/** toast says something for ten seconds, and shorter ones for six. */
export function toast(words: ComponentChildren, options: { bad?: boolean; action?: Toast["action"] } = {}): void {
  const id = ++last;
  toasts.value = [...toasts.value.slice(-3), { id, words, bad: options.bad ?? false, action: options.action }];
  setTimeout(() => drop(id), options.action || options.bad ? 10_000 : 6_000);
}

/** failed says what went wrong. */
export function failed(error: unknown): void {
  const words = problemWords(asProblem(error));
  toast(<><strong>{words.what}</strong> {words.todo}</>, { bad: true });
}

function drop(id: number): void {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((one) => (
        <div key={one.id} class={`toast${one.bad ? " bad" : ""}`}>
          <p>{one.words}</p>
          {one.action && <Button small onPress={() => { drop(one.id); one.action!.onPress(); }}>{one.action.words}</Button>}
          <Button kind="quiet" small icon="close" label={t().common.close} onPress={() => drop(one.id)} />
        </div>
      ))}
    </div>
  );
}
