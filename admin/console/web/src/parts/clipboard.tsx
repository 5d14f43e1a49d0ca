// Copying. Over plain HTTP the browser's clipboard is absent; the fallback selects a field and copies that, and if that
// fails too, the text is shown to be copied by hand.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { t } from "../text";
import { Button } from "./controls";
import { Dialog } from "./dialog";
import { toast } from "./toast";

const byHand = signal<string | undefined>(undefined);

export async function copy(text: string, what: string): Promise<void> {
  if (await toClipboard(text)) toast(t().common.copied(what));
  else byHand.value = text;
}

async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return oldWay(text);
  }
}

function oldWay(text: string): boolean {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "only-read";
  const focused = document.activeElement;
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return copied;
}

export function CopyByHand(): JSX.Element | null {
  if (byHand.value === undefined) return null;
  return (
    <Dialog title={t().common.copyByHand} onClose={() => (byHand.value = undefined)}>
      <textarea class="mono" rows={6} readOnly data-first aria-label={t().common.copyByHand} value={byHand.value} onFocus={(event) => event.currentTarget.select()} />
    </Dialog>
  );
}

export function CopyButton({ text, what }: { text: string; what: string }): JSX.Element {
  return <Button kind="quiet" small icon="copy" label={t().common.copy(what)} onPress={() => void copy(text, what)} />;
}
