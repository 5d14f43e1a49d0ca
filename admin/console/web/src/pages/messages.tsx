// Messages: find it.
import { useComputed, useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { change, most, OutcomePanel } from "../actions";
import { path, type Query, type Schemas } from "../api";
import { counted, duration, number, when } from "../format";
import { causes, filtersOf, messageFilters } from "../filter";
import { filterOfJob, jobKinds, type JobKind } from "../jobfilter";
import { useHold, useLive } from "../live";
import { overview, subscriptionNames } from "../overview";
import { Aside } from "../parts/aside";
import { useFound } from "../parts/announce";
import { BulkDialog, obstacleWords } from "../parts/bulk";
import { copy } from "../parts/clipboard";
import { Button, Menu, type MenuItem } from "../parts/controls";
import { Empty, Waiting } from "../parts/empty";
import { FilterBar } from "../parts/filterbar";
import { PageHead } from "../parts/head";
import { messageColumns } from "../parts/messagerows";
import { afterOf, Pager } from "../parts/pager";
import { ProblemNote } from "../parts/problem";
import { Table } from "../parts/table";
import { go, place, withQuery } from "../route";
import { mayChange } from "../session";
import { hiddenColumns } from "../settings";
import { t } from "../text";
import { FirstRun } from "./firstrun";

export function MessagesPage(): JSX.Element {
  const filters = filtersOf(messageFilters);
  const words = t().messages;
  const status = place.value.query.get("status");
  const name = status && !status.includes(",") ? `${(t().state as Record<string, string>)[status] ?? status} · ${words.title}` : words.title;
  return (
    <>
      <PageHead title={words.title} name={name}>
        <ColumnMenu />
      </PageHead>
      <FilterBar definitions={messageFilters} words={["messages", "list"]} api={path("messages")} suggestions={{ subscriptions: subscriptionNames.value, causes }} />
      <MessageList filters={filters} />
    </>
  );
}

const chosen = ["key", "source", "attempts", "error", "id"];

function ColumnMenu(): JSX.Element {
  const toggle = (id: string): void => {
    const next = new Set(hiddenColumns.value);
    if (!next.delete(id)) next.add(id);
    hiddenColumns.value = next;
  };
  return <Menu icon="settings" words={t().table.columns} kind="quiet" items={chosen.map((id) => ({ words: t().messages.columns[id as "key"], checked: !hiddenColumns.value.has(id), onPress: () => toggle(id) }))} />;
}

/** MessageList is the list with its result line, selection and pages. Other pages show it for one sender. */
export function MessageList({ filters, empty }: { filters: Query; empty?: ComponentChildren }): JSX.Element {
  const after = afterOf();
  const live = useLive<Schemas["PageMessageItem"]>(path("messages"), { ...filters, after });
  const selected = useSignal(new Set<string>());
  const [bulk, setBulk] = useState<JobKind>();
  const [aside, setAside] = useState<string>();
  const page = JSON.stringify({ filters, after });
  useEffect(() => { selected.value = new Set(); }, [page]);
  const n = useComputed(() => selected.value.size).value;
  useHold(n > 0 ? { kind: "selected", n } : undefined);
  const items = live.data?.items;
  useFound(page, live);
  const act = (what: "retry" | "cancel") => (row: Schemas["MessageItem"]): void => {
    const ids = n > 0 ? [...selected.value] : [row.id];
    if (mayChange.value) void change(what, { ids }).then((done) => done && (selected.value = new Set()));
  };
  return (
    <>
      {live.problem && !items && <ProblemNote problem={live.problem}><WhichFilter problem={live.problem.parameters} /></ProblemNote>}
      {n > 0 ? <SelectionBar selected={[...selected.value]} clear={() => (selected.value = new Set())} all={() => setBulk("retry")} filters={filters} /> : <ResultLine page={live.data} filters={filters} />}
      <OutcomePanel />
      {!items && !live.problem && <Waiting words={t().common.loading} rows={10} />}
      {items && items.length > 0 && (
        <Table caption={t().messages.title} page={page} busy={live.stale} rows={items} keyOf={(row) => row.id} href={(row) => `/messages/${row.id}`} columns={messageColumns()}
          selection={mayChange.value ? { keys: selected.value, set: (keys) => (selected.value = keys) } : undefined} labelOf={(row) => `${row.id} ${row.topic}`} onAside={(row) => setAside(row.id)}
          onKey={{ e: act("retry"), c: act("cancel"), y: (row) => void copy(row.id, t().common.id) }} />
      )}
      {items?.length === 0 && !live.stale && (live.data?.complete === false ? <LookFurther page={live.data} /> : <NoMessages filters={filters} empty={empty} />)}
      <Pager next={live.data?.next} />
      {bulk && <BulkDialog request={{ kind: bulk, filter: filters }} onClose={() => setBulk(undefined)} />}
      {aside && <Aside id={aside} onClose={() => setAside(undefined)} />}
    </>
  );
}

function ResultLine({ page, filters }: { page: Schemas["PageMessageItem"] | undefined; filters: Query }): JSX.Element {
  const { after: _after, ...counts } = filters;
  const count = useLive<Schemas["MessageCount"]>(page && page.items.length > 0 && page.next ? path("messages", "count") : undefined, counts, 30_000);
  const words = t().messages;
  if (!page) return <p class="result-line">&nbsp;</p>;
  const parts = [words.shown(page.items.length)];
  if (count.data) parts.push(words.match(counted(count.data.count)));
  if (page.searched_to) parts.push(words.searched(when(page.searched_to)));
  parts.push(duration(page.took_ms));
  return (
    <p class="result-line">
      <span class="cut">{parts.join(" · ")}</span>
      {mayChange.value && page.items.length > 0 && <AllMatching filters={filters} words={count.data ? counted(count.data.count) : page.next ? "" : number(page.items.length)} />}
    </p>
  );
}

/** AllMatching opens the dialog for everything that the filter matches, without choosing rows first. */
function AllMatching({ filters, words }: { filters: Query; words: string }): JSX.Element {
  const [kind, setKind] = useState<JobKind>();
  const items = jobKinds.map((one): MenuItem => {
    const { obstacle } = filterOfJob(one, filters);
    return { words: `${t().bulk.kinds[one]}…`, danger: one === "cancel", ...(obstacle && { disabled: true, hint: obstacleWords(obstacle) }), onPress: () => setKind(one) };
  });
  return (
    <>
      <Menu small kind="quiet" words={t().messages.allMatching(words)} items={items} />
      {kind && <BulkDialog request={{ kind, filter: filters }} onClose={() => setKind(undefined)} />}
    </>
  );
}

function SelectionBar({ selected, clear, all, filters }: { selected: string[]; clear: () => void; all: () => void; filters: Query }): JSX.Element {
  const [busy, setBusy] = useState<string>();
  const words = t().messages;
  const subscription = typeof filters.subscription === "string" ? filters.subscription : undefined;
  const act = (what: "retry" | "cancel"): void => {
    setBusy(what);
    void change(what, { ids: selected.slice(0, most), subscription }).then((done) => {
      setBusy(undefined);
      if (done) clear();
    });
  };
  return (
    <div class="result-line selection-bar" role="toolbar" aria-label={words.selected(selected.length)}>
      <strong>{words.selected(selected.length)}</strong>
      {subscription && <span class="muted">{words.onlyAt(subscription)}</span>}
      <Button small icon="play" keys="e" busy={busy === "retry"} onPress={() => act("retry")}>{t().actions.retry}</Button>
      <Button small icon="copy" onPress={() => void copy(selected.join("\n"), t().common.ids)}>{words.copyIds}</Button>
      <Button small kind="quiet" onPress={all}>{words.allThatMatch}</Button>
      <Button small kind="quiet" keys="Escape" onPress={clear}>{words.clear}</Button>
      <span class="grow" />
      <Button small kind="danger" keys="c" busy={busy === "cancel"} onPress={() => act("cancel")}>{t().actions.cancel}</Button>
    </div>
  );
}

function WhichFilter({ problem }: { problem: Record<string, unknown> }): JSX.Element | null {
  const names = String(problem.narrow_by ?? "").split(",").filter(Boolean);
  if (names.length === 0) return null;
  return <p>{t().messages.narrow(names.map((one) => t().filter.names[one as "key"] ?? one))}</p>;
}

/** LookFurther stands where a search found nothing yet: it looks for a moment only, and says how far it came. */
function LookFurther({ page }: { page: Schemas["PageMessageItem"] }): JSX.Element {
  const words = t().messages;
  const narrow = (page.narrow_by ?? []).map((one) => t().filter.names[one as "key"] ?? one);
  return (
    <Empty title={words.lookedAt(number(page.looked_at ?? 0), page.searched_to ? when(page.searched_to) : "–")} actions={page.next ? <a class="button primary" href={withQuery({ after: [...place.value.query.getAll("after"), page.next] })}>{words.searchOn}</a> : undefined}>
      {narrow.length > 0 && <p>{words.narrow(narrow)}</p>}
    </Empty>
  );
}

/** Without drops one filter, and says how many messages that would bring. */
function Without({ name, filters }: { name: string; filters: Query }): JSX.Element {
  const { [name]: _dropped, ...rest } = filters;
  const count = useLive<Schemas["MessageCount"]>(path("messages", "count"), rest, 30_000).data?.count;
  return (
    <Button disabled={count?.n === 0 && count.precision === "exact"} onPress={() => go(withQuery({ [name]: undefined, after: [] }))}>
      {t().messages.without(t().filter.names[name as "key"])}{count && <span class="num muted">{counted(count)}</span>}
    </Button>
  );
}

function NoMessages({ filters, empty }: { filters: Query; empty?: ComponentChildren }): JSX.Element {
  const words = t().messages;
  if (empty) return <>{empty}</>;
  if (overview.value.data?.first_run) return <FirstRun />;
  const others = Object.keys(filters).filter((name) => name !== "since" && name !== "until");
  return (
    <Empty title={words.none} actions={
      <>
        {filters.since && <Button kind="primary" onPress={() => go(withQuery({ since: "all", until: undefined, after: [] }))}>{words.widen}</Button>}
        {others.map((name) => <Without key={name} name={name} filters={filters} />)}
      </>
    }>
      <p>{filters.since ? words.noneRange : words.noneHelp}</p>
    </Empty>
  );
}
