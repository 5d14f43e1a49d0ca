// The search box: it understands what is written by its shape, and edits the address's filters.
import { address } from "./route";

const uuid = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const names: Record<string, string> = {
  key: "key", topic: "topic", source: "source", from: "source", to: "subscription", subscription: "subscription", status: "status",
  cause: "cause", id: "id", text: "text", delivery_status: "delivery_status", stage: "stage", since: "since", until: "until",
};

/** searchWords names the shapes, for suggestions. */
export const searchWords = ["key:", "topic:", "source:", "to:", "status:", "cause:"];

/** searchAddress is where a search leads; undefined if nothing was written. */
export function searchAddress(written: string): string | undefined {
  const text = written.trim();
  if (!text) return undefined;
  if (uuid.test(text)) return `/messages/${dashed(text)}`;
  const filters: Record<string, string> = {};
  const words: string[] = [];
  for (const [, quoted, name, value, quotedValue, word] of text.matchAll(/"([^"]*)"|([a-z_]+):(?:([^\s"]+)|"([^"]*)")|(\S+)/g)) {
    if (quoted !== undefined) filters.text = quoted;
    else if (name && names[name]) filters[names[name]] = value ?? quotedValue ?? "";
    else words.push(name ? `${name}:${value ?? quotedValue}` : word ?? "");
  }
  if (words.length > 0) {
    const plain = words.join(" ");
    if (words.length === 1 && !filters.key) filters.key = plain;
    else filters.text = plain;
  }
  return address("/messages", filters);
}

function dashed(id: string): string {
  const hex = id.replaceAll("-", "").toLowerCase();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

export interface Suggestion {
  kind: "message" | "key" | "text" | "subscriptions" | "topics" | "sources" | "shape";
  text: string;
  /** Where it leads, or what it puts into the box. */
  href?: string;
  put?: string;
}

/** suggest says what the written text may mean. */
export function suggest(written: string, lists: { subscriptions: string[]; topics: string[]; sources: string[] }): Suggestion[] {
  const text = written.trim();
  if (!text) return searchWords.map((word) => ({ kind: "shape", text: word, put: word }));
  if (uuid.test(text)) return [{ kind: "message", text, href: searchAddress(text)! }];
  const out: Suggestion[] = [];
  const last = /([a-z_]+):(\S*)$/.exec(text);
  const part = (last?.[2] ?? text).toLowerCase();
  const before = last ? text.slice(0, last.index) : "";
  const offer = (kind: "subscriptions" | "topics" | "sources", name: string): void => {
    if (last && names[last[1]!] !== names[name]) return;
    for (const one of lists[kind].filter((value) => value.toLowerCase().includes(part)).slice(0, 4)) {
      const put = `${before}${name}:${/\s/.test(one) ? `"${one}"` : one}`;
      out.push({ kind, text: one, href: searchAddress(put)! });
    }
  };
  offer("subscriptions", "to");
  offer("topics", "topic");
  offer("sources", "source");
  if (!last) {
    if (!/\s/.test(text)) out.unshift({ kind: "key", text, href: address("/messages", { key: text }) });
    out.push({ kind: "text", text, href: address("/messages", { text }) });
  }
  return out;
}
