// The filter bar: the range, and a chip for each filter that can be changed in place. It edits the address and nothing
// else, so the address reproduces the list.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Query } from "../api";
import { skew, when } from "../format";
import { command, curl, filtersOf, ranges, usualRange, type FilterDefinition } from "../filter";
import { useHold } from "../live";
import { address, go, place, withQuery } from "../route";
import { t } from "../text";
import { copy } from "./clipboard";
import { Button, Menu } from "./controls";
import { Icon } from "./icon";
import { Foreign } from "./words";

interface FilterBarProps {
  definitions: FilterDefinition[];
  /** The words of the command line that shows the same, and its filters. */
  words: string[];
  /** The API's path. */
  api: string;
  suggestions?: Partial<Record<NonNullable<FilterDefinition["suggest"]>, string[]>>;
  /** Filters that the page itself sets, for the command. */
  fixed?: Query;
  children?: ComponentChildren;
}

export function FilterBar(p: FilterBarProps): JSX.Element {
  const query = place.value.query;
  const [adding, setAdding] = useState<string>();
  const active = p.definitions.filter((one) => query.has(one.name) || one.name === adding);
  const rest = p.definitions.filter((one) => !active.includes(one));
  const filters = filtersOf(p.definitions);
  const any = active.length > 0 || query.has("since") || query.has("until");
  return (
    <div class="filterbar" role="search" aria-label={t().filter.bar}>
      <Range />
      {active.map((one) => <Chip key={one.name} definition={one} suggestions={one.suggest ? p.suggestions?.[one.suggest] ?? [] : []} open={one.name === adding} onClose={() => setAdding(undefined)} />)}
      {rest.length > 0 && <Menu words={t().filter.add} icon="plus" kind="quiet" plain items={rest.map((one) => ({ words: t().filter.names[one.name as "key"], onPress: () => setAdding(one.name) }))} />}
      {any && <Button kind="quiet" onPress={() => go(place.value.path)}>{t().filter.clear}</Button>}
      <span class="grow" />
      {p.children}
      <Menu words={t().common.copyAs} icon="copy" kind="quiet" items={[
        { words: t().filter.link, onPress: () => void copy(location.href, t().filter.link) },
        ...(filters.since && ranges.includes(filters.since as string) ? [{ words: t().filter.pin, hint: t().filter.pinHelp, onPress: pin }] : []),
        { words: "relay …", hint: command(p.words), onPress: () => void copy(command(p.words, { ...p.fixed, ...filters }), t().common.command) },
        { words: "curl", hint: p.api, onPress: () => void copy(curl(address(p.api, { ...p.fixed, ...filters })), t().common.command) },
      ]} />
    </div>
  );
}

/** pin makes a relative range absolute by the server's clock, so that a shared link shows the same tomorrow. */
function pin(): void {
  const since = place.value.query.get("since") ?? usualRange;
  const scale: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
  const ms = Number(since.slice(0, -1)) * (scale[since.slice(-1)] ?? 0);
  const end = Date.now() + skew.peek();
  go(withQuery({ since: new Date(end - ms).toISOString(), until: new Date(end).toISOString(), after: [] }));
}

function Range(): JSX.Element {
  const query = place.value.query;
  const [custom, setCustom] = useState(false);
  const since = query.get("since") ?? (query.has("until") || query.has("id") ? "all" : usualRange);
  const until = query.get("until");
  const known = (ranges.includes(since) || since === "all") && !until;
  const choose = (value: string): void => go(withQuery({ since: value === usualRange && !query.has("id") ? undefined : value, until: undefined, after: [] }));
  const own = `${known || since === "all" ? "…" : moment(since)} – ${until ? moment(until) : t().filter.now}`;
  return (
    <>
      <div class="segments range" role="group" aria-label={t().filter.range}>
        {[...ranges, "all"].map((one) => (
          <button type="button" key={one} aria-pressed={known && one === since} onClick={() => choose(one)}>{t().filter.ranges[one as "1h"]}</button>
        ))}
        <button type="button" aria-pressed={!known} onClick={() => setCustom(true)}>{known ? t().filter.custom : own}</button>
      </div>
      {custom && <Popover onClose={() => setCustom(false)}><CustomRange onClose={() => setCustom(false)} since={known ? "" : since} until={until ?? ""} /></Popover>}
    </>
  );
}

const moment = (text: string): string => (Number.isNaN(Date.parse(text)) ? text : when(text));

function CustomRange({ since, until, onClose }: { since: string; until: string; onClose: () => void }): JSX.Element {
  const from = useRef<HTMLInputElement>(null);
  const to = useRef<HTMLInputElement>(null);
  const ids = [useId(), useId()];
  const local = (text: string): string => (Number.isNaN(Date.parse(text)) ? "" : new Date(Date.parse(text) - new Date(text).getTimezoneOffset() * 60_000).toISOString().slice(0, 19));
  const apply = (event: Event): void => {
    event.preventDefault();
    const iso = (value: string | undefined): string | undefined => (value ? new Date(value).toISOString() : undefined);
    go(withQuery({ since: iso(from.current?.value) ?? "all", until: iso(to.current?.value), after: [] }));
    onClose();
  };
  return (
    <form class="pop-form" onSubmit={apply}>
      <label for={ids[0]}>{t().filter.from}</label>
      <input id={ids[0]} ref={from} type="datetime-local" step="1" defaultValue={local(since)} data-first />
      <label for={ids[1]}>{t().filter.to}</label>
      <input id={ids[1]} ref={to} type="datetime-local" step="1" defaultValue={local(until)} />
      <Button type="submit" kind="primary">{t().filter.apply}</Button>
    </form>
  );
}

/** Popover stands beneath what opened it, closes by Escape and by a press elsewhere, and returns the focus. */
function Popover({ children, onClose }: { children: ComponentChildren; onClose: () => void }): JSX.Element {
  const root = useRef<HTMLDivElement>(null);
  useHold({ kind: "dialog" });
  useEffect(() => {
    const opener = document.activeElement;
    root.current?.querySelector<HTMLElement>("[data-first], input, button")?.focus();
    const outside = (event: Event): void => void (event.target instanceof Node && root.current?.contains(event.target) || onClose());
    document.addEventListener("pointerdown", outside);
    return () => {
      document.removeEventListener("pointerdown", outside);
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return <div class="popover" ref={root} onKeyDown={(event) => { if (event.key === "Escape") { event.stopPropagation(); onClose(); } }}>{children}</div>;
}

function Chip({ definition, suggestions, open, onClose }: { definition: FilterDefinition; suggestions: string[]; open: boolean; onClose: () => void }): JSX.Element {
  const [editing, setEditing] = useState(open);
  useEffect(() => { if (open) setEditing(true); }, [open]);
  const values = place.value.query.getAll(definition.name).flatMap((value) => (definition.kind === "text" ? [value] : value.split(",")));
  const name = t().filter.names[definition.name as "key"];
  const close = (): void => {
    setEditing(false);
    onClose();
  };
  const set = (next: string[]): void => {
    go(withQuery({ [definition.name]: next, after: [] }));
    close();
  };
  const shown = values.map((value) => (definition.options ? optionWords(definition.name, value) : value)).join(", ");
  return (
    <span class="chip-frame">
      <span class="filter-chip">
        <button type="button" class="chip-edit" onClick={() => setEditing(!editing)} aria-expanded={editing} aria-label={t().filter.edit(name, shown)}>
          <span class="muted">{name}</span> <Foreign text={shown || "…"} cut />
        </button>
        <button type="button" class="chip-drop" aria-label={t().filter.drop(name)} onClick={() => set([])}><Icon name="close" size={12} /></button>
      </span>
      {editing && <Popover onClose={close}><Editor definition={definition} values={values} suggestions={suggestions} name={name} set={set} /></Popover>}
    </span>
  );
}

/** optionWords names a value of a closed list. */
export function optionWords(name: string, value: string): string {
  const states = t().state as Record<string, string>;
  const reasons = t().reason as Record<string, string>;
  const kinds = t().audit.kinds as Record<string, string>;
  return (name === "reason" ? reasons[value] : name === "object_kind" || name === "role" ? kinds[value] : states[value]) ?? value;
}

function Editor({ definition, values, suggestions, name, set }: { definition: FilterDefinition; values: string[]; suggestions: string[]; name: string; set: (next: string[]) => void }): JSX.Element {
  const [chosen, setChosen] = useState(new Set(values));
  const field = useRef<HTMLInputElement>(null);
  const id = useId();
  const apply = (event: Event): void => {
    event.preventDefault();
    set(definition.kind === "text" ? [field.current?.value.trim() ?? ""] : [...chosen]);
  };
  if (definition.options && definition.kind === "one") {
    return <div class="pop-form" role="group" aria-label={name}>{definition.options.map((one) => <Button key={one} kind="quiet" pressed={chosen.has(one)} onPress={() => set([one])}>{optionWords(definition.name, one)}</Button>)}</div>;
  }
  const toggle = (one: string): void => {
    const next = new Set(chosen);
    if (!next.delete(one)) next.add(one);
    setChosen(next);
  };
  return (
    <form class="pop-form" onSubmit={apply}>
      {definition.options ? (
        <fieldset>
          <legend class="only-read">{name}</legend>
          {definition.options.map((one) => (
            <label key={one} class="check-line"><input type="checkbox" checked={chosen.has(one)} onChange={() => toggle(one)} />{optionWords(definition.name, one)}</label>
          ))}
        </fieldset>
      ) : (
        <>
          <label for={id}>{name}</label>
          <input id={id} ref={field} defaultValue={values[0] ?? ""} list={`${id}-list`} autocomplete="off" spellcheck={false} data-first class="mono" />
          <datalist id={`${id}-list`}>{suggestions.map((one) => <option key={one} value={one} />)}</datalist>
          <p class="help">{t().filter.help[definition.name as "topic"] ?? ""}</p>
        </>
      )}
      <Button type="submit" kind="primary">{t().filter.apply}</Button>
    </form>
  );
}
