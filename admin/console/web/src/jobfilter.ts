// What a job takes of a list's filter. The API refuses a job whose filter holds what its kind cannot go by, so the pages
// offer only what it takes, and say why they do not offer the rest.
import type { Query } from "./api";

export type JobKind = "retry" | "cancel" | "replay";

export const jobKinds: JobKind[] = ["retry", "cancel", "replay"];

/** Obstacle is why a filter gives no job of a kind: names are the filters that stand in its way. */
export type Obstacle = { why: "replay" | "unknown"; names: string[] } | { why: "pending" | "ended" };

export interface JobFilter {
  /** What the job is asked for with; it matches nothing that the list does not show. */
  filter: Query;
  obstacle?: Obstacle;
}

/** What may be retried, or cancelled, where the list asks for no status; the API knows the same. */
const usual: Record<string, string[]> = { retry: ["open", "dead", "rejected"], cancel: ["pending", "open", "dead", "rejected"] };
const endedDeliveries = ["delivered", "handled", "cancelled"];
/** The stages of a message that are a status of it; the others go by its deliveries, which no filter of a job tells. */
const statusOfStage: Record<string, string> = { send_failed: "rejected", handled: "done", cancelled: "cancelled" };

const valuesOf = (value: Query[string]): string[] => [value ?? []].flat().flatMap((one) => one.split(",")).filter(Boolean);

/**
 * filterOfJob translates what a list is filtered by. What a job of the kind does not take is left out, such as pending
 * messages of a retry.
 */
export function filterOfJob(kind: JobKind, asked: Query): JobFilter {
  const filter = withoutStage(asked);
  const given = (names: string[]): string[] => names.filter((name) => valuesOf(filter[name]).length > 0);
  const unknown = given(["stage", "reason", "response_code"]);
  if (unknown.length > 0) return { filter, obstacle: { why: "unknown", names: unknown } };
  if (kind === "replay") {
    const names = given(["status", "subscription"]);
    return names.length > 0 ? { filter, obstacle: { why: "replay", names } } : { filter };
  }
  const status = valuesOf(filter.status);
  const deliveries = valuesOf(filter.delivery_status);
  if (status.length > 0) {
    const kept = kind === "retry" ? retried(status) : status.filter((one) => usual.cancel!.includes(one));
    return kept.length > 0 ? { filter: { ...filter, status: kept } } : { filter, obstacle: { why: kind === "retry" ? "pending" : "ended" } };
  }
  if (deliveries.length > 0) {
    const kept = deliveries.filter((one) => !endedDeliveries.includes(one));
    return kept.length > 0 ? { filter: { ...filter, delivery_status: kept } } : { filter, obstacle: { why: "ended" } };
  }
  return { filter: { ...filter, status: usual[kind]! } };
}

/** What is done is sent again only where the list shows nothing else. */
function retried(status: string[]): string[] {
  const kept = status.filter((one) => one !== "pending");
  return kept.length > 1 ? kept.filter((one) => one !== "done") : kept;
}

/** withoutStage puts the status in a stage's place where the two are the same. */
function withoutStage(asked: Query): Query {
  const { stage, ...rest } = asked;
  const status = statusOfStage[String(stage)];
  if (!stage) return rest;
  const wanted = valuesOf(rest.status);
  return status && (wanted.length === 0 || wanted.includes(status)) ? { ...rest, status: [status] } : asked;
}
