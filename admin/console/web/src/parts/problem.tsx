// Errors in words: what happened, and what to do. The API's stable codes choose the words; its own serve for the rest.
import type { ComponentChildren, JSX } from "preact";
import type { Problem } from "../api";
import { t } from "../text";
import { Icon } from "./icon";
import { Foreign } from "./words";

export function problemWords(problem: Problem): { what: string; todo: string } {
  const known = t().problems as Record<string, { what: string; todo: string } | undefined>;
  const byStatus: Record<number, string> = { 401: "unauthorized", 403: "forbidden", 409: "conflict", 412: "precondition_failed", 429: "too_many", 503: "unavailable", 504: "timeout" };
  const words = known[problem.code] ?? known[byStatus[problem.status] ?? ""];
  if (words) return { what: words.what, todo: words.todo || problem.hint };
  return { what: problem.detail || t().problems.unknown.what, todo: problem.hint };
}

export function ProblemNote({ problem, children }: { problem: Problem; children?: ComponentChildren }): JSX.Element {
  const words = problemWords(problem);
  return (
    <div class="problem" role="alert">
      <Icon name="warn" />
      <div>
        <p class="strong">{words.what}</p>
        {words.todo && <p>{words.todo}</p>}
        {problem.errors.length > 0 && (
          <ul class="problem-list">{problem.errors.map((one) => <li key={one.location}><code>{one.location}</code> <Foreign text={one.message ?? ""} /></li>)}</ul>
        )}
        {children}
        <details>
          <summary>{t().common.details}</summary>
          <p class="mono break">{problem.status || "–"} · {problem.code}{problem.request && ` · ${problem.request}`}</p>
          {problem.detail && <p><Foreign text={problem.detail} /></p>}
        </details>
      </div>
    </div>
  );
}
