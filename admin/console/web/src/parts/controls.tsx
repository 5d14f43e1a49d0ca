// Buttons, menus, fields, tabs and other small things to press.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { useHold } from "../live";
import { Icon, type IconName } from "./icon";

interface ButtonProps {
  onPress?: (() => void) | undefined;
  icon?: IconName;
  kind?: "primary" | "danger" | "quiet" | "plain";
  small?: boolean;
  disabled?: boolean;
  busy?: boolean;
  label?: string;
  keys?: string;
  type?: "button" | "submit";
  expanded?: boolean;
  pressed?: boolean;
  children?: ComponentChildren;
}

/** Button acts. Without words it needs a label. */
export function Button(p: ButtonProps): JSX.Element {
  const classes = ["button", p.kind ?? "plain", p.small ? "small" : "", p.children ? "" : "square"].filter(Boolean).join(" ");
  return (
    <button type={p.type ?? "button"} class={classes} onClick={p.onPress} disabled={p.disabled || p.busy} aria-busy={p.busy || undefined}
      aria-label={p.label} title={p.label && p.keys ? `${p.label} (${p.keys})` : p.label} aria-expanded={p.expanded} aria-pressed={p.pressed}
      aria-keyshortcuts={p.keys}>
      {p.busy ? <span class="spinner" /> : p.icon && <Icon name={p.icon} />}
      {p.children}
    </button>
  );
}

export interface MenuItem {
  words: ComponentChildren;
  hint?: ComponentChildren;
  onPress?: () => void;
  href?: string;
  download?: boolean;
  danger?: boolean;
  checked?: boolean | undefined;
  disabled?: boolean;
}

/** Menu is a button that opens a list of actions: arrows move, Escape closes and returns the focus. */
export function Menu({ words, items, icon, kind, label, small, plain }: {
  words?: ComponentChildren; items: (MenuItem | "line")[]; icon?: IconName; kind?: ButtonProps["kind"]; label?: string; small?: boolean;
  plain?: boolean;
}): JSX.Element {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  useHold(open ? { kind: "dialog" } : undefined);
  useEffect(() => {
    if (!open) return;
    root.current?.querySelector<HTMLElement>("[role^=menuitem]:not([aria-disabled])")?.focus();
    const outside = (event: Event): void => void (event.target instanceof Node && root.current?.contains(event.target) || setOpen(false));
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  const close = (): void => {
    setOpen(false);
    root.current?.querySelector<HTMLElement>(":scope > button")?.focus();
  };
  return (
    <div class="menu" ref={root} onKeyDown={(event) => open && menuKey(event, root.current!, close)}>
      <button type="button" class={`button ${kind ?? "plain"} ${small ? "small" : ""} ${words ? "" : "square"}`} aria-haspopup="menu" aria-expanded={open}
        aria-label={label} title={label} onClick={() => setOpen(!open)}>
        {icon && <Icon name={icon} />}{words}{words && !plain && <Icon name="down" size={12} />}
      </button>
      {open && (
        <ul role="menu" class="menu-list">
          {items.map((item) => item === "line" ? <li role="separator" class="menu-line" /> : <li role="none"><Item item={item} close={close} /></li>)}
        </ul>
      )}
    </div>
  );
}

function Item({ item, close }: { item: MenuItem; close: () => void }): JSX.Element {
  const inner = <><span>{item.words}{item.hint && <span class="menu-hint">{item.hint}</span>}</span>{item.checked && <Icon name="check" />}</>;
  const classes = `menu-item${item.danger ? " danger" : ""}`;
  if (item.href) return <a role="menuitem" tabIndex={-1} class={classes} href={item.href} download={item.download} onClick={close}>{inner}</a>;
  const press = (): void => {
    if (item.disabled) return;
    close();
    item.onPress?.();
  };
  const role = item.checked === undefined ? "menuitem" : "menuitemcheckbox";
  return (
    <button type="button" role={role} tabIndex={-1} class={classes} aria-checked={item.checked} aria-disabled={item.disabled || undefined} onClick={press}>
      {inner}
    </button>
  );
}

function menuKey(event: KeyboardEvent, root: HTMLElement, close: () => void): void {
  const items = [...root.querySelectorAll<HTMLElement>("[role^=menuitem]")];
  const at = items.indexOf(document.activeElement as HTMLElement);
  const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? items.length - 1 : at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (to !== undefined) {
    event.preventDefault();
    items[(to + items.length) % items.length]?.focus();
  } else if (event.key === "Escape" || event.key === "Tab") {
    if (event.key === "Escape") event.preventDefault();
    event.stopPropagation();
    close();
  }
}

/** Field is a labelled control; help stands beneath it, and an error says what is wrong with the value. */
export function Field({ label, help, error, optional, children }: {
  label: string; help?: ComponentChildren; error?: string | undefined; optional?: string; children: (id: string, about: string) => ComponentChildren;
}): JSX.Element {
  const id = useId();
  const about = `${id}-about`;
  return (
    <div class={`field${error ? " wrong" : ""}`}>
      <label for={id}>{label}{optional && <span class="muted"> · {optional}</span>}</label>
      {children(id, about)}
      <p class="help" id={about}>{error ?? help}</p>
    </div>
  );
}

/** Tabs are links: a tab is a place. */
export function Tabs({ label, tabs, current }: { label: string; tabs: { id: string; words: ComponentChildren; href: string }[]; current: string }): JSX.Element {
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map((tab) => <a key={tab.id} href={tab.href} aria-current={tab.id === current ? "page" : undefined}>{tab.words}</a>)}
    </nav>
  );
}

/** Segments choose one of a few. */
export function Segments<T extends string>({ label, options, value, onChange }: {
  label: string; options: { id: T; words: ComponentChildren; title?: string; disabled?: boolean }[]; value: T | undefined; onChange: (value: T) => void;
}): JSX.Element {
  return (
    <div class="segments" role="group" aria-label={label}>
      {options.map((one) => (
        <button type="button" key={one.id} aria-pressed={one.id === value} title={one.title} disabled={one.disabled} onClick={() => onChange(one.id)}>{one.words}</button>
      ))}
    </div>
  );
}

export function Switch({ on, words, onChange }: { on: boolean; words: ComponentChildren; onChange: (on: boolean) => void }): JSX.Element {
  const id = useId();
  return (
    <span class="check-line">
      <input id={id} type="checkbox" checked={on} onChange={(event) => onChange(event.currentTarget.checked)} />
      <label for={id}>{words}</label>
    </span>
  );
}
