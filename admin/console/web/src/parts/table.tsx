// Tables of things: a real table whose rows are keyed and take the focus one at a time. Arrows or j and k move, Enter
// opens, x selects.
import type { ComponentChildren, JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { useKeys } from "../keys";
import { go } from "../route";
import { hiddenColumns } from "../settings";
import { t } from "../text";
import { useChange } from "./change";
import { useRows, useScrollHold } from "./rows";

export interface Column<T> {
  id: string;
  head: ComponentChildren;
  cell: (row: T) => ComponentChildren;
  /** The class sets the width, so that nothing jumps. */
  width?: string;
  number?: boolean;
  /** May be hidden by the person. */
  optional?: boolean;
  title?: string;
}

export interface Selection {
  keys: Set<string>;
  set: (keys: Set<string>) => void;
}

interface TableProps<T> {
  caption: string;
  /** Names the list: another page or filter is another list. */
  page: string;
  columns: Column<T>[];
  rows: T[] | undefined;
  keyOf: (row: T) => string;
  href?: (row: T) => string | undefined;
  selection?: Selection | undefined;
  labelOf?: (row: T) => string;
  onKey?: Record<string, (row: T) => void>;
  onAside?: (row: T) => void;
  /** What a row opens beneath itself. */
  beneath?: (row: T) => ComponentChildren;
  busy?: boolean;
  /** New rows wait behind a bar; otherwise they take their place at once. */
  steady?: boolean;
}

export function Table<T>(p: TableProps<T>): JSX.Element {
  const scope = useRef<HTMLDivElement>(null);
  const { rows, gone, fresh, show } = useRows(p.rows, p.keyOf, p.steady === false ? p.page + rowsOf(p) : p.page, scope);
  const [at, setAt] = useState<string>();
  const anchor = useRef<string | undefined>(undefined);
  useScrollHold();
  const columns = p.columns.filter((column) => !column.optional || !hiddenColumns.value.has(column.id));
  const current = rows.some((row) => p.keyOf(row) === at) ? at : rows[0] && p.keyOf(rows[0]);
  const focus = (index: number): void => {
    const row = rows[Math.max(0, Math.min(index, rows.length - 1))];
    if (!row) return;
    setAt(p.keyOf(row));
    rowElement(scope.current, p.keyOf(row))?.focus();
  };
  useTableKeys({ p, rows, scope, focus, anchor, show });

  return (
    <div class="table-frame" ref={scope}>
      {fresh > 0 && <button type="button" class="fresh" onClick={show}>{t().table.fresh(fresh)}<kbd>.</kbd></button>}
      <div class="table-scroll">
        <table class={p.busy ? "busy" : ""} aria-busy={p.busy || undefined}>
          <caption class="only-read">{p.caption}</caption>
          <thead>
            <tr>
              {p.selection && <th scope="col" class="w-check"><PageCheck rows={rows} p={p} /></th>}
              {columns.map((column) => <th key={column.id} scope="col" title={column.title} class={`${column.width ?? ""}${column.number ? " num" : ""}`}>{column.head}</th>)}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => {
              const key = p.keyOf(row);
              return <Row key={key} {...{ p, row, columns }} id={key} first={key === current} gone={gone.has(key)} onFocus={() => setAt(key)}
                onCheck={(range) => { check(p, rows, key, range ? anchor.current : undefined); anchor.current = key; }} />;
            })}
          </tbody>
        </table>
      </div>
    </div>
  );
}

const rowsOf = <T,>(p: TableProps<T>): string => (p.rows ?? []).map(p.keyOf).join("\n");

function rowElement(scope: HTMLElement | null, key: string): HTMLElement | null {
  return scope?.querySelector(`tr[data-key="${CSS.escape(key)}"]`) ?? null;
}

function check<T>(p: TableProps<T>, rows: T[], key: string, from?: string): void {
  if (!p.selection) return;
  const keys = new Set(p.selection.keys);
  const all = rows.map(p.keyOf);
  const a = from === undefined ? -1 : all.indexOf(from);
  const b = all.indexOf(key);
  if (a >= 0) for (const one of all.slice(Math.min(a, b), Math.max(a, b) + 1)) keys.add(one);
  else if (!keys.delete(key)) keys.add(key);
  p.selection.set(keys);
}

function PageCheck<T>({ rows, p }: { rows: T[]; p: TableProps<T> }): JSX.Element {
  const keys = rows.map(p.keyOf);
  const n = keys.filter((key) => p.selection!.keys.has(key)).length;
  const toggle = (): void => p.selection!.set(new Set(n === keys.length ? [] : keys));
  return <input type="checkbox" aria-label={t().table.selectPage} checked={n > 0 && n === keys.length} indeterminate={n > 0 && n < keys.length}
    disabled={keys.length === 0} onChange={toggle} />;
}

interface RowProps<T> {
  p: TableProps<T>; row: T; columns: Column<T>[]; id: string; first: boolean; gone: boolean; onFocus: () => void; onCheck: (range: boolean) => void;
}

function Row<T>({ p, row, columns, id, first, gone, onFocus, onCheck }: RowProps<T>): JSX.Element {
  const selected = p.selection?.keys.has(id) ?? false;
  const href = p.href?.(row);
  const elsewhere = (event: MouseEvent): boolean => !!(event.target as HTMLElement).closest("a, button, input, label, [role=menu]");
  const tab = (): void => void window.open(href, "_blank", "noopener");
  const open = (event: MouseEvent): void => {
    if (elsewhere(event) || String(getSelection())) return;
    if (href && event.button === 0) event.shiftKey && p.onAside ? p.onAside(row) : event.metaKey || event.ctrlKey ? tab() : go(href);
  };
  // The middle button opens a tab from the whole row, as it does from the link; without this it would scroll.
  const middle = (event: MouseEvent): boolean => event.button === 1 && !!href && !elsewhere(event);
  const beneath = p.beneath?.(row);
  return (
    <>
      <tr data-key={id} tabIndex={first ? 0 : -1} class={`${selected ? "selected " : ""}${gone ? "gone " : ""}${href ? "opens" : ""}`}
        aria-selected={p.selection ? selected : undefined} onClick={open} onMouseDown={(event) => { if (middle(event)) event.preventDefault(); }} onAuxClick={(event) => { if (middle(event)) tab(); }} onFocus={onFocus} title={gone ? t().table.gone : undefined}>
        {p.selection && (
          <td class="w-check"><input type="checkbox" tabIndex={-1} checked={selected} aria-label={t().table.select(p.labelOf?.(row) ?? id)}
            onClick={(event) => onCheck(event.shiftKey)} /></td>
        )}
        {columns.map((column) => <Cell key={column.id} column={column} row={row} />)}
      </tr>
      {beneath && <tr class="beneath"><td colSpan={columns.length + (p.selection ? 1 : 0)}>{beneath}</td></tr>}
    </>
  );
}

function Cell<T>({ column, row }: { column: Column<T>; row: T }): JSX.Element {
  const cell = useRef<HTMLTableCellElement>(null);
  useChange(cell);
  return (
    <td ref={cell} class={`${column.width ?? ""}${column.number ? " num" : ""}`} data-head={typeof column.head === "string" ? column.head : undefined}>
      {column.cell(row)}
    </td>
  );
}

interface KeyParts<T> {
  p: TableProps<T>; rows: T[]; scope: { current: HTMLElement | null }; focus: (index: number) => void; anchor: { current: string | undefined }; show: () => void;
}

/** useTableKeys binds what acts on the row that has the focus. */
function useTableKeys<T>({ p, rows, scope, focus, anchor, show }: KeyParts<T>): void {
  const index = (): number => {
    const key = (document.activeElement?.closest("tr[data-key]") as HTMLElement | null)?.dataset.key;
    return scope.current?.contains(document.activeElement) ? rows.findIndex((row) => p.keyOf(row) === key) : -1;
  };
  const here = (act: (row: T) => void) => (): void => {
    const row = rows[index()];
    if (row !== undefined) act(row);
  };
  const select = (range: boolean) => here((row) => {
    check(p, rows, p.keyOf(row), range ? anchor.current : undefined);
    anchor.current = p.keyOf(row);
  });
  const open = (event: KeyboardEvent): void => {
    const row = rows[index()];
    if ((event.target as HTMLElement).closest("a, button")) return (event.target as HTMLElement).click();
    const href = row && p.href?.(row);
    if (href) go(href);
  };
  useKeys({
    j: () => focus(index() + 1), ArrowDown: () => (index() < 0 ? scrollBy(0, 40) : focus(index() + 1)),
    k: () => focus(index() - 1), ArrowUp: () => (index() < 0 ? scrollBy(0, -40) : focus(index() - 1)),
    Enter: open,
    o: here((row) => void window.open(p.href?.(row) ?? "", "_blank", "noopener")),
    "Shift+Enter": here((row) => p.onAside?.(row)),
    ".": show,
    ...(p.selection && {
      x: select(false), X: select(true),
      "*": () => p.selection!.set(new Set(rows.map(p.keyOf))),
      Escape: () => p.selection!.set(new Set()),
    }),
    ...Object.fromEntries(Object.entries(p.onKey ?? {}).map(([key, act]) => [key, here(act)])),
  });
}
