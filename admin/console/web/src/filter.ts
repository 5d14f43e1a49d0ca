// Filters as the address has them, which is as the API and the command line name them.
import type { Query } from "./api";
import { place } from "./route";

/** Kind is how a filter's value is given. */
export type FilterKind = "text" | "many" | "one";

export interface FilterDefinition {
  name: string;
  kind: FilterKind;
  /** What may be chosen, where that is a closed list. */
  options?: string[];
  /** Which list of known values helps while typing. */
  suggest?: "subscriptions" | "topics" | "sources" | "causes";
}

const messageStatus = ["pending", "open", "done", "dead", "rejected", "cancelled"];
const deliveryStatus = ["waiting", "push_failed", "handle_failed", "awaiting_ack", "delivered", "handled", "dead", "cancelled"];

export const messageFilters: FilterDefinition[] = [
  { name: "status", kind: "many", options: messageStatus },
  { name: "topic", kind: "text", suggest: "topics" },
  { name: "key", kind: "text" },
  { name: "source", kind: "text", suggest: "sources" },
  { name: "subscription", kind: "text", suggest: "subscriptions" },
  { name: "delivery_status", kind: "many", options: deliveryStatus },
  { name: "cause", kind: "text", suggest: "causes" },
  { name: "text", kind: "text" },
  { name: "id", kind: "text" },
];

export const deliveryFilters: FilterDefinition[] = [
  { name: "status", kind: "many", options: deliveryStatus },
  { name: "reason", kind: "one", options: ["key_blocked", "paused", "circuit_open", "full", "no_resources"] },
  { name: "topic", kind: "text", suggest: "topics" },
  { name: "key", kind: "text" },
  { name: "cause", kind: "text", suggest: "causes" },
  { name: "response_code", kind: "text" },
];

export const auditFilters: FilterDefinition[] = [
  { name: "name", kind: "text" },
  { name: "action", kind: "text" },
  { name: "role", kind: "one", options: ["viewer", "operator", "cli", "none"] },
  { name: "object_kind", kind: "one", options: ["message", "subscription", "key", "job", "failure", "session", "database"] },
  { name: "object", kind: "text" },
];

/** The causes that a person may look for; answers by their code come on top. */
export const causes = [
  "timeout", "refused", "reset", "dns", "tls", "egress", "redirect", "unroutable", "nack", "no confirm", "broker down", "no ack",
  "consumer said no", "gave up", "no address", "settings", "http 400", "http 401", "http 403", "http 404", "http 410", "http 429",
  "http 500", "http 502", "http 503", "http 504",
];

export const ranges = ["15m", "1h", "6h", "24h", "7d"];
export const usualRange = "24h";

/** rangeOf is the time that the address asks for; without a word it is the last day, unless an id says it all. */
export function rangeOf(query: URLSearchParams): { since?: string; until?: string } {
  const since = query.get("since") ?? (query.has("id") || query.has("until") ? "all" : usualRange);
  const until = query.get("until") ?? "";
  return { ...(since !== "all" && { since }), ...(until && { until }) };
}

/** filtersOf is what the address says of the given filters, as the API takes it. */
export function filtersOf(definitions: FilterDefinition[], query = place.value.query): Query {
  const out: Query = { ...rangeOf(query) };
  for (const { name, kind } of definitions) {
    const values = query.getAll(name).flatMap((value) => (kind === "text" && name !== "id" ? [value] : value.split(","))).filter(Boolean);
    if (values.length > 0) out[name] = kind === "text" && name !== "id" ? values[0] : values;
  }
  return out;
}

/** filterBody is the same as a job's filter wants it: lists as lists. */
export function filterBody(filters: Query): Record<string, string | string[]> {
  const lists = new Set(["status", "delivery_status", "id", "cause"]);
  const body: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(filters)) {
    if (value === undefined || value === "") continue;
    body[name] = lists.has(name) ? (Array.isArray(value) ? value : [value]) : Array.isArray(value) ? value[0]! : value;
  }
  return body;
}

/** shell quotes a word for a command line, if it needs that. */
export function shell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** command is the command line that shows the same, such as relay messages list --status dead. */
export function command(words: string[], filters: Query = {}): string {
  const flags = Object.entries(filters).flatMap(([name, value]) => {
    const all = Array.isArray(value) ? value : value ? [value] : [];
    return all.length > 0 ? [`--${name.replaceAll("_", "-")}`, shell(all.join(","))] : [];
  });
  return ["relay", ...words.map(shell), ...flags].join(" ");
}

/** curl is the request that the page makes. */
export function curl(url: string, method = "GET", body?: unknown): string {
  const parts = ["curl", "-sS"];
  if (method !== "GET") parts.push("-X", method);
  parts.push("-H", `"Authorization: Bearer $RELAY_ADMIN_TOKEN"`);
  if (body !== undefined) parts.push("-H", "'Content-Type: application/json'", "-d", shell(JSON.stringify(body)));
  return [...parts, shell(location.origin + url)].join(" ");
}
