// A message beside its list.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { MessageView } from "../pages/message";
import { t } from "../text";
import { Button } from "./controls";

export function Aside({ id, onClose }: { id: string; onClose: () => void }): JSX.Element {
  const root = useRef<HTMLElement>(null);
  useEffect(() => {
    const opener = document.activeElement;
    root.current?.focus();
    return () => { if (opener instanceof HTMLElement && opener.isConnected) opener.focus(); };
  }, []);
  return (
    <aside class="aside" ref={root} tabIndex={-1} aria-label={t().message.title} onKeyDown={(event) => { if (event.key === "Escape") { event.stopPropagation(); onClose(); } }}>
      <div class="aside-head">
        <a class="button small" href={`/messages/${id}`}>{t().messages.openPage}</a>
        <Button kind="quiet" icon="close" label={t().common.close} onPress={onClose} />
      </div>
      <MessageView key={id} id={id} narrow />
    </aside>
  );
}
