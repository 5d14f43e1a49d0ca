// The keyboard: single letters act on the page, `g` and a letter go to another. They are off in fields and under a
// dialog, and a person can switch them off, as WCAG 2.1.4 asks.
import { useEffect, useRef } from "preact/hooks";
import { singleKeys } from "./settings";

export type Keys = Record<string, (event: KeyboardEvent) => void>;

const layers: { current: Keys }[] = [];
let prefix = "";
let prefixEnds = 0;

/** useKeys binds keys while the component is shown. A later layer hides an earlier one's keys. */
export function useKeys(keys: Keys): void {
  const layer = useRef(keys);
  layer.current = keys;
  useEffect(() => {
    layers.push(layer);
    return () => void layers.splice(layers.indexOf(layer), 1);
  }, []);
}

function inField(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) &&
    !(target instanceof HTMLInputElement && target.type === "checkbox"));
}

function press(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.isComposing) return;
  if (inField(event.target) || document.querySelector("dialog[open]:not([data-aside])")) return;
  const letter = event.key.length === 1;
  if (letter && !singleKeys.value) return;
  const now = performance.now();
  const name = prefix && now < prefixEnds ? `${prefix} ${event.key}` : event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
  prefix = "";
  if (event.key === "g" && name === "g") {
    prefix = "g";
    prefixEnds = now + 1200;
    return;
  }
  const layer = layers.findLast((one) => one.current[name]);
  if (!layer) return;
  event.preventDefault();
  layer.current[name]?.(event);
}

export function startKeys(): void {
  document.addEventListener("keydown", press);
}
