// Errors in words: what happened, and what to do. The API's stable codes choose the words; its own serve for the rest.
import type { ComponentChildren, JSX } from "preact";
import type { Problem } from "../api";
import { language } from "../settings";
import { t } from "../text";
import { Icon } from "./icon";
import { Foreign } from "./words";

export function problemWords(problem: Problem): { what: string; todo: string } {
  const known = t().problems as Record<string, { what: string; todo: string } | undefined>;
  const byStatus: Record<number, string> = { 401: "unauthorized", 403: "forbidden", 409: "conflict", 412: "precondition_failed", 429: "too_many", 503: "unavailable", 504: "timeout" };
  const words = known[problem.code] ?? known[byStatus[problem.status] ?? ""];
  if (speaksRelays()) return { what: words?.what || problem.detail || t().problems.unknown.what, todo: words?.todo || problem.hint };
  const where = placesOf(problem);
  const what = words?.what ?? t().problems.unknown.what;
  return { what: where ? `${what.replace(/。$/, "")}（${where}）。` : what, todo: words?.todo ?? "" };
}

/** speaksRelays says that the page is in the language of the relay's own words, which stand aside in any other. */
const speaksRelays = (): boolean => language.value === "en";

/** placesOf names the parts of the request that were wrong. */
function placesOf(problem: Problem): string {
  const parts = problem.errors.map((one) => one.location ?? "").filter(Boolean);
  return parts.length > 0 ? parts.join(", ") : String(problem.parameters.field ?? "");
}

export function ProblemNote({ problem, children }: { problem: Problem; children?: ComponentChildren }): JSX.Element {
  const words = problemWords(problem);
  return (
    <div class="problem" role="alert">
      <Icon name="warn" />
      <div>
        <p class="strong">{words.what}</p>
        {words.todo && <p>{words.todo}</p>}
        {speaksRelays() && <Mistakes problem={problem} />}
        {children}
        <details>
          <summary>{t().common.details}</summary>
          <p class="mono break">{problem.status || "–"} · {problem.code}{problem.request && ` · ${problem.request}`}</p>
          {problem.detail && <p lang="en"><Foreign text={problem.detail} /></p>}
          {!speaksRelays() && <Mistakes problem={problem} />}
        </details>
      </div>
    </div>
  );
}

function Mistakes({ problem }: { problem: Problem }): JSX.Element | null {
  if (problem.errors.length === 0) return null;
  return <ul class="problem-list" lang="en">{problem.errors.map((one) => <li key={one.location}><code>{one.location}</code> <Foreign text={one.message ?? ""} /></li>)}</ul>;
}
