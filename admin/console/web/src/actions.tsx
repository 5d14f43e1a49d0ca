// What a person does to chosen messages or deliveries: at once, with a result for each.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { path, request, type Schemas } from "./api";
import { wake } from "./live";
import { Button } from "./parts/controls";
import { failed, toast } from "./parts/toast";
import { t } from "./text";

/** most is how many chosen rows go at once; more go by a job. */
export const most = 500;

export interface Outcome {
  what: "retry" | "cancel" | "acknowledge" | "skip";
  succeeded: number;
  failed: { id: string; words: string; href?: string }[];
}

/** outcome is what became of the last action on several rows; its panel stays until it is closed. */
export const outcome = signal<Outcome | undefined>(undefined);

interface Change {
  ids: string[];
  subscription?: string | undefined;
  force?: boolean;
  reason?: string;
}

/** change retries or cancels chosen messages as a whole, or their deliveries to one subscriber. */
export async function change(what: "retry" | "cancel", { ids, subscription, force, reason }: Change): Promise<boolean> {
  const words = { ids, ...(force && what === "retry" && { force }), ...(reason && { reason }) };
  const where = subscription ? path("deliveries", what) : path("messages", what);
  try {
    const answer = await request<Schemas["Results"]>("POST", where, { body: subscription ? { ...words, subscription } : words });
    report(what, answer.data!);
    return true;
  } catch (error) {
    failed(error);
    return false;
  } finally {
    wake();
  }
}

/** acknowledge gives the consumer's word. */
export async function acknowledge(subscription: string, ids: string[], handled: boolean): Promise<void> {
  try {
    const answer = await request<Schemas["Results"]>("POST", path("deliveries", "acknowledge"), { body: { subscription, ids, outcome: handled ? "handled" : "failed" } });
    report("acknowledge", answer.data!);
  } catch (error) {
    failed(error);
  } finally {
    wake();
  }
}

function report(what: Outcome["what"], results: Schemas["Results"]): void {
  const bad = results.results.filter((one) => !one.succeeded);
  outcome.value = bad.length > 0
    ? { what, succeeded: results.succeeded, failed: bad.map((one) => ({ id: one.id, href: `/messages/${one.id}`, words: effectWords(one) })) }
    : undefined;
  if (results.succeeded > 0 || bad.length === 0) toast(t().actions.done(what, results.succeeded));
}

export function effectWords(result: { effect: string; detail?: string | undefined }): string {
  const words = (t().effects as Record<string, string>)[result.effect];
  return words ?? result.detail ?? result.effect;
}

/** OutcomePanel says of each row that was not changed why. */
export function OutcomePanel(): JSX.Element {
  return <div class="region" role="status">{outcome.value && <Panel shown={outcome.value} />}</div>;
}

function Panel({ shown }: { shown: Outcome }): JSX.Element {
  return (
    <section class="outcome">
      <div class="card-head">
        <h2>{t().actions.outcome(shown.what, shown.succeeded, shown.failed.length)}</h2>
        <Button kind="quiet" small icon="close" label={t().common.close} onPress={() => (outcome.value = undefined)} />
      </div>
      <ul>{shown.failed.slice(0, 50).map((one) => <li key={one.id}>{one.href ? <a class="mono" href={one.href}>{one.id}</a> : <span class="mono">{one.id}</span>} {one.words}</li>)}</ul>
      {shown.failed.length > 50 && <p class="muted">{t().actions.andMore(shown.failed.length - 50)}</p>}
    </section>
  );
}
