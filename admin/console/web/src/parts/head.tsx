import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";
import { plain } from "../format";
import { session } from "../session";

/** useTitle sets the window's title. */
export function useTitle(name: string): void {
  const where = session.value?.environment;
  useEffect(() => {
    document.title = `${plain(name)} · relay${where ? ` ${plain(where)}` : ""}`;
  }, [name, where]);
}

/** PageHead is the heading of a page, with its actions; it sets the window's title too. */
export function PageHead({ title, name, lede, children, crumbs }: {
  title: ComponentChildren; name: string; lede?: ComponentChildren; children?: ComponentChildren; crumbs?: { href: string; words: string };
}): JSX.Element {
  useTitle(name);
  return (
    <>
      {crumbs && <nav class="crumbs"><a href={crumbs.href}>{crumbs.words}</a></nav>}
      <div class="page-head">
        <h1 tabIndex={-1}>{title}</h1>
        {children && <div class="actions">{children}</div>}
      </div>
      {lede && <p class="lede">{lede}</p>}
    </>
  );
}
