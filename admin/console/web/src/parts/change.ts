// A cell whose words have changed is tinted for a moment, so that the eye finds what a refresh has brought.
import { useEffect, useRef } from "preact/hooks";
import { language } from "../settings";

const lasts = 600;

/** useChange tints an element when its words differ from those before. Times, which pass by themselves, do not count. */
export function useChange(element: { current: HTMLElement | null }): void {
  const before = useRef<string | undefined>(undefined);
  useEffect(() => {
    const now = `${language.peek()} ${wordsOf(element.current!)}`;
    const known = before.current;
    before.current = now;
    if (known === undefined || known === now || known.slice(0, 2) !== now.slice(0, 2)) return;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    element.current!.animate([{ backgroundColor: "var(--changed)" }, { backgroundColor: "transparent" }], { duration: lasts, id: "changed" });
  });
}

function wordsOf(node: Node): string {
  if (node instanceof HTMLTimeElement) return "";
  return node.nodeType === Node.TEXT_NODE ? node.nodeValue ?? "" : [...node.childNodes].map(wordsOf).join("");
}
