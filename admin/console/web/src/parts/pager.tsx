// Pages of a list: the address has the place of this page and, so that one can go back, of those before.
import type { JSX } from "preact";
import { useHold } from "../live";
import { useKeys } from "../keys";
import { go, place, withQuery } from "../route";
import { t } from "../text";
import { Icon } from "./icon";

/** Pager goes through the pages of a list. Next is the API's word for the page after this one. */
export function Pager({ next, more }: { next: string | undefined; more?: string }): JSX.Element | null {
  const after = place.value.query.getAll("after");
  useHold(after.length > 0 ? { kind: "paged" } : undefined);
  const back = after.length > 0 ? withQuery({ after: after.slice(0, -1) }) : undefined;
  const on = next ? withQuery({ after: [...after, next] }) : undefined;
  useKeys({ "[": () => back && go(back), "]": () => on && go(on) });
  if (!back && !on) return null;
  return (
    <nav class="pager" aria-label={t().table.pages}>
      {after.length > 1 && <a class="button" href={withQuery({ after: [] })}>{t().table.first}</a>}
      {back ? <a class="button" href={back}><Icon name="left" />{t().table.previous}</a> : null}
      {on ? <a class="button" href={on}>{more ?? t().table.next}<Icon name="right" /></a> : null}
    </nav>
  );
}

/** afterOf is the place of the page that the address names. */
export const afterOf = (): string | undefined => place.value.query.getAll("after").at(-1);
