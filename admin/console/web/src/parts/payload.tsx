// The viewer of payloads and answers: formatted, as sent, and in hexadecimal.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { bytes as size, marked } from "../format";
import { t } from "../text";
import { copy } from "./clipboard";
import { decode, hexadecimal, indented } from "./content";
import { Button, Segments } from "./controls";

type View = "formatted" | "sent" | "hex";

/** Bytes shows what was sent. Total is its whole size, if only its beginning is here; download is where the whole is. */
export function Bytes({ content, total, download, label }: { content: Uint8Array; total?: number; download?: string; label: string }): JSX.Element {
  const text = decode(cutAtCharacter(content, total));
  const pretty = text === undefined ? undefined : indented(text);
  const [chosen, choose] = useState<View>();
  const view = chosen ?? (pretty !== undefined ? "formatted" : text !== undefined ? "sent" : "hex");
  const words = t().payload;
  const partial = total !== undefined && total > content.length;
  const options = [
    { id: "formatted" as const, words: words.formatted, title: words.formattedHelp },
    { id: "sent" as const, words: words.sent, title: words.sentHelp },
    { id: "hex" as const, words: words.hex },
  ];
  return (
    <div class="bytes">
      <div class="bytes-head">
        <Segments label={label} options={options} value={view} onChange={choose} />
        <span class="muted">{size(total ?? content.length)}</span>
        {partial && <span class="muted">{words.first(size(content.length))}</span>}
        <span class="grow" />
        {text !== undefined && !partial && <Button kind="quiet" small icon="copy" onPress={() => void copy(text, label)}>{words.copy}</Button>}
        {download && <a class="button quiet small" href={download} download>{words.download}</a>}
      </div>
      {view === "formatted" && pretty === undefined && <p class="note">{text === undefined ? words.notText : words.notJSON}</p>}
      {view === "formatted" && pretty !== undefined && pretty !== text && <p class="note">{words.whitespace}</p>}
      {view === "sent" && text === undefined && <p class="note">{words.notText}</p>}
      <pre class="bytes-body" tabIndex={0} aria-label={label}>
        {content.length === 0 ? <span class="muted">{words.empty}</span> : view === "hex" || text === undefined ? hexadecimal(content) : <Marked text={view === "formatted" ? pretty ?? text : text} />}
      </pre>
    </div>
  );
}

/** cutAtCharacter leaves out the half of a character at which the beginning of a payload ends. */
function cutAtCharacter(content: Uint8Array, total: number | undefined): Uint8Array {
  if (total === undefined || total <= content.length) return content;
  let end = content.length;
  while (end > 0 && end > content.length - 4 && (content[end - 1]! & 0xc0) === 0x80) end -= 1;
  return end > 0 && content[end - 1]! >= 0xc0 ? content.subarray(0, end - 1) : content;
}

function Marked({ text }: { text: string }): JSX.Element {
  return <bdi>{marked(text).map((part) => (part.mark ? <span class="mark">{part.text}</span> : part.text))}</bdi>;
}
