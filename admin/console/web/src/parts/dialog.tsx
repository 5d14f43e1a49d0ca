// A dialog over the page: the refresh is held, Escape closes it, and the focus returns to where it came from.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { useHold } from "../live";
import { t } from "../text";
import { Button } from "./controls";

export function Dialog({ title, children, foot, onClose, wide, firm }: {
  title: ComponentChildren; children: ComponentChildren; foot?: ComponentChildren; onClose: () => void; wide?: boolean; firm?: boolean;
}): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useHold({ kind: "dialog" });
  useEffect(() => {
    const opener = document.activeElement;
    element.current?.showModal();
    element.current?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return (
    <dialog ref={element} class={wide ? "wide" : ""} aria-labelledby={heading} onCancel={(event) => { event.preventDefault(); if (!firm) onClose(); }}>
      <div class="dialog-head">
        <h2 id={heading}>{title}</h2>
        {!firm && <Button kind="quiet" icon="close" label={t().common.close} onPress={onClose} />}
      </div>
      <div class="dialog-body">{children}</div>
      {foot && <div class="dialog-foot">{foot}</div>}
    </dialog>
  );
}
