// The search box in the top bar, with suggestions from what there is.
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { path, type Schemas } from "./api";
import { useLive } from "./live";
import { subscriptionNames } from "./overview";
import { Icon } from "./parts/icon";
import { Foreign } from "./parts/words";
import { go } from "./route";
import { searchAddress, suggest, type Suggestion } from "./search";
import { t } from "./text";

export function SearchBox(): JSX.Element {
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const closing = useRef(0);
  const senders = useLive<Schemas["PageSender"]>(open ? path("senders") : undefined, {}, 0);
  const topics = [...new Set((senders.data?.items ?? []).flatMap((one) => one.newest_topics))];
  // Rows may name the source that is the relay's own, so that it stands in the list twice.
  const sources = [...new Set((senders.data?.items ?? []).map((one) => one.source))];
  const offers = open ? suggest(text, { subscriptions: subscriptionNames.value, sources, topics }) : [];

  const leave = (): void => {
    setOpen(false);
    setAt(-1);
    input.current?.blur();
  };
  const choose = (offer: Suggestion | undefined): void => {
    if (offer?.put) return setText(offer.put);
    const to = offer?.href ?? searchAddress(text);
    if (!to) return;
    go(to);
    setText("");
    leave();
  };
  const key = (event: KeyboardEvent): void => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setAt((at + (event.key === "ArrowDown" ? 2 : offers.length + 1)) % (offers.length + 1) - 1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      choose(at >= 0 ? offers[at] : undefined);
    } else if (event.key === "Escape") leave();
  };
  return (
    <div class="searchbox">
      <Icon name="search" />
      <input id="search" ref={input} type="text" role="combobox" aria-expanded={offers.length > 0} aria-controls="suggestions" aria-autocomplete="list" autocomplete="off" spellcheck={false}
        aria-activedescendant={at >= 0 ? `suggestion-${at}` : undefined} aria-label={t().search.label} placeholder={t().search.placeholder} value={text}
        onInput={(event) => { setText(event.currentTarget.value); setAt(-1); setOpen(true); }} onFocus={() => { clearTimeout(closing.current); setOpen(true); }} onBlur={() => { closing.current = window.setTimeout(() => setOpen(false), 150); }} onKeyDown={key} />
      <kbd aria-hidden="true">/</kbd>
      {offers.length > 0 && (
        <ul class="suggest" id="suggestions" role="listbox" aria-label={t().search.suggestions}>
          {offers.map((offer, n) => (
            <li key={`${offer.kind} ${offer.text}`} id={`suggestion-${n}`} role="option" aria-selected={n === at} onPointerDown={(event) => { event.preventDefault(); choose(offer); }}>
              <span class="kind">{t().search.kinds[offer.kind]}</span><Foreign text={offer.text} mono cut />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
