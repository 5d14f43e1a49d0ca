// The deliveries of one subscription, with the five stages as the receiver sees them.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { acknowledge, change, OutcomePanel } from "../actions";
import { path, type Query, type Schemas } from "../api";
import { causes, deliveryFilters, filtersOf } from "../filter";
import { duration, number, when } from "../format";
import { useHold, useLive } from "../live";
import { BulkDialog } from "../parts/bulk";
import { copy } from "../parts/clipboard";
import { Button } from "../parts/controls";
import { Empty, Waiting } from "../parts/empty";
import { useFound } from "../parts/announce";
import { FilterBar } from "../parts/filterbar";
import { ErrorWords } from "../parts/messagerows";
import { afterOf, Pager } from "../parts/pager";
import { ProblemNote } from "../parts/problem";
import { Stages } from "../parts/stages";
import { deliveryState, Status } from "../parts/status";
import { Table, type Column } from "../parts/table";
import { Foreign, Time } from "../parts/words";
import { go, place, withQuery } from "../route";
import { mayChange } from "../session";
import { t } from "../text";

type Row = Schemas["Delivery"];

const keyOf = (row: Row): string => `${row.message_id} ${row.instance ?? ""}`;

export function Deliveries({ item }: { item: Schemas["Subscription"] }): JSX.Element {
  const query = place.value.query;
  const stage = query.get("stage") ?? undefined;
  const filters: Query = { ...filtersOf(deliveryFilters), stage };
  const after = afterOf();
  const live = useLive<Schemas["PageDelivery"]>(path("subscriptions", item.name, "deliveries"), { ...filters, after });
  const selected = useSignal(new Set<string>());
  const page = JSON.stringify({ filters, after });
  useEffect(() => { selected.value = new Set(); }, [page]);
  const chosen = selected.value;
  useHold(chosen.size > 0 ? { kind: "selected", n: chosen.size } : undefined);
  const rows = live.data?.items;
  useFound(page, live);
  const ids = [...new Set((rows ?? []).filter((row) => chosen.has(keyOf(row))).map((row) => row.message_id))];
  const act = (what: "retry" | "cancel") => (row: Row): void => {
    if (mayChange.value) void change(what, { ids: ids.length > 0 ? ids : [row.message_id], subscription: item.name }).then((done) => done && (selected.value = new Set()));
  };
  return (
    <>
      <Stages stages={item.standing.stages} value={stage} needsPerson={query.get("status") === "dead"} dead={item.standing.dead} view="receiver" />
      <FilterBar definitions={deliveryFilters} words={["deliveries", "list"]} fixed={{ subscription: item.name }} api={path("subscriptions", item.name, "deliveries")} suggestions={{ causes }} />
      {chosen.size > 0 ? <Selected ids={ids} n={chosen.size} subscription={item.name} waiting={(rows ?? []).some((row) => chosen.has(keyOf(row)) && row.status === "awaiting_ack")} clear={() => (selected.value = new Set())} filters={filters} /> : (
        <p class="result-line">{live.data ? [t().messages.shown(live.data.items.length), live.data.searched_to && t().messages.searched(when(live.data.searched_to)), duration(live.data.took_ms)].filter(Boolean).join(" · ") : " "}</p>
      )}
      <OutcomePanel />
      {live.problem && !rows && <ProblemNote problem={live.problem} />}
      {!rows && !live.problem && <Waiting words={t().common.loading} />}
      {rows && rows.length > 0 && (
        <Table caption={t().subscription.tabs.deliveries} page={page} busy={live.stale} rows={rows} keyOf={keyOf} columns={columns()} href={(row) => `/messages/${row.message_id}`}
          selection={mayChange.value ? { keys: chosen, set: (keys) => (selected.value = keys) } : undefined} labelOf={(row) => `${row.message_id} ${row.topic}`}
          onKey={{ e: act("retry"), c: act("cancel"), y: (row) => void copy(row.message_id, t().common.id) }} />
      )}
      {rows?.length === 0 && !live.stale && (
        <Empty title={live.data?.complete === false ? t().messages.lookedAt(number(live.data.looked_at ?? 0), live.data.searched_to ? when(live.data.searched_to) : "–") : t().subscription.noDeliveries}
          actions={<>{live.data?.next && <a class="button primary" href={withQuery({ after: [live.data.next] })}>{t().messages.searchOn}</a>}{filters.since && <Button onPress={() => go(withQuery({ since: "all", after: [] }))}>{t().messages.widen}</Button>}</>} />
      )}
      <Pager next={live.data?.next} />
    </>
  );
}

function columns(): Column<Row>[] {
  const words = t().messages.columns;
  const own = t().subscription.columns;
  return [
    { id: "status", head: words.status, width: "w-long-status", cell: (row) => <Status state={deliveryState(row)} /> },
    { id: "topic", head: words.topic, width: "w-topic", cell: (row) => <a class="row-link cut" href={`/messages/${row.message_id}`} tabIndex={-1}><Foreign text={row.topic} cut /></a> },
    { id: "key", head: words.key, width: "w-key", cell: (row) => row.key ? <Foreign text={row.key} mono cut /> : <span class="muted">–</span> },
    { id: "created", head: words.created, width: "w-time", title: t().messages.sorted, cell: (row) => <Time at={row.created_at} /> },
    { id: "attempts", head: words.attempts, width: "w-num", number: true, cell: (row) => number(row.attempts) },
    { id: "next", head: own.next, width: "w-time", cell: (row) => <Time at={row.next_attempt_at} /> },
    { id: "duration", head: own.duration, width: "w-num wide", number: true, cell: (row) => row.last_duration_ms == null ? "–" : duration(row.last_duration_ms) },
    { id: "code", head: own.code, width: "w-num", number: true, cell: (row) => row.response_code || "–" },
    { id: "error", head: words.error, width: "w-error", cell: (row) => <ErrorWords cause={row.cause} error={row.error} /> },
  ];
}

function Selected({ ids, n, subscription, waiting, clear, filters }: { ids: string[]; n: number; subscription: string; waiting: boolean; clear: () => void; filters: Query }): JSX.Element {
  const [bulk, setBulk] = useState(false);
  const words = t().messages;
  const act = (what: "retry" | "cancel"): void => void change(what, { ids, subscription }).then((done) => done && clear());
  return (
    <div class="result-line selection-bar" role="toolbar" aria-label={words.selected(n)}>
      <strong>{words.selected(n)}</strong>
      <Button small icon="play" keys="e" onPress={() => act("retry")}>{t().actions.retry}</Button>
      {waiting && <Button small icon="check" onPress={() => void acknowledge(subscription, ids, true).then(clear)}>{t().message.ackHandled}</Button>}
      <Button small icon="copy" onPress={() => void copy(ids.join("\n"), t().common.ids)}>{words.copyIds}</Button>
      <Button small kind="quiet" onPress={() => setBulk(true)}>{words.allThatMatch}</Button>
      <Button small kind="quiet" keys="Escape" onPress={clear}>{words.clear}</Button>
      <span class="grow" />
      <Button small kind="danger" keys="c" onPress={() => act("cancel")}>{t().actions.cancel}</Button>
      {bulk && <BulkDialog request={{ kind: "retry", kinds: ["retry", "cancel"], filter: messageFilter(filters, subscription) }} onClose={() => setBulk(false)} />}
    </div>
  );
}

/** messageFilter says with a message's filters what a list of deliveries shows; a job refuses those that have no equal. */
function messageFilter({ status, stage, ...rest }: Query, subscription: string): Query {
  const byStage: Record<string, string[]> = {
    push_failed: ["push_failed"], handle_failed: ["handle_failed"], committed: ["waiting", "awaiting_ack"], delivered: ["delivered"], handled: ["handled"],
  };
  return { ...rest, subscription, delivery_status: status ?? byStage[String(stage)] ?? ["dead"] };
}

