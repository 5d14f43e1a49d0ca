// Subscriptions: who gets what, and how it stands there.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { path, type Schemas } from "../api";
import { command, curl } from "../filter";
import { counted, duration, rate } from "../format";
import { useLive } from "../live";
import { copy } from "../parts/clipboard";
import { Menu } from "../parts/controls";
import { Empty, Waiting } from "../parts/empty";
import { PageHead } from "../parts/head";
import { afterOf, Pager } from "../parts/pager";
import { ProblemNote } from "../parts/problem";
import { Sparkline } from "../parts/sparkline";
import { Bar, Status } from "../parts/status";
import { Table, type Column } from "../parts/table";
import { Age, Foreign } from "../parts/words";
import { Icon } from "../parts/icon";
import { address, go, place, withQuery } from "../route";
import { mayChange } from "../session";
import { t } from "../text";
import { SubscriptionForm } from "./subscriptionform";

type Item = Schemas["Subscription"];

export function SubscriptionsPage(): JSX.Element {
  const after = afterOf();
  const live = useLive<Schemas["PageSubscription"]>(path("subscriptions"), { after });
  const query = place.value.query;
  const words = t().subscriptions;
  const items = live.data?.items;
  const fresh = mayChange.value && query.has("new");
  return (
    <>
      <PageHead title={words.title} name={words.title} lede={words.lede}>
        {mayChange.value && <a class="button primary" href="/subscriptions?new=yes"><Icon name="plus" />{words.create}</a>}
        <Menu words={t().common.copyAs} icon="copy" kind="quiet" items={[
          { words: "relay …", hint: "relay subscriptions list", onPress: () => void copy(command(["subscriptions", "list"]), t().common.command) },
          { words: "curl", onPress: () => void copy(curl(path("subscriptions")), t().common.command) },
        ]} />
      </PageHead>
      {fresh && <SubscriptionForm topics={query.get("topics") ?? ""} onDone={(name) => go(name ? `/subscriptions/${encodeURIComponent(name)}` : withQuery({ new: undefined, topics: undefined }))} />}
      {live.problem && !items && <ProblemNote problem={live.problem} />}
      {!items && !live.problem && <Waiting words={t().common.loading} />}
      {items && items.length > 0 && <SubscriptionTable items={items} page={`list ${after ?? ""}`} full />}
      {items?.length === 0 && !fresh && (
        <Empty title={words.none} actions={mayChange.value ? <a class="button primary" href="/subscriptions?new=yes">{words.create}</a> : undefined}>
          <p>{words.noneHelp}</p>
          <pre class="left">{"relay subscriptions set stock --topics 'order.*' --target https://example.com/hook"}</pre>
        </Empty>
      )}
      <Pager next={live.data?.next} />
    </>
  );
}

/** stateWords is how a subscription is, in one word with its glyph. */
export function SubscriptionState({ item }: { item: Item }): JSX.Element {
  const words = t().subscriptions.states;
  if (item.state === "invalid") return <Status state="rejected" words={words.invalid} />;
  if (item.state === "paused") return <Status state="paused" words={words.paused} />;
  if (item.standing.circuit === "open") return <Status state="circuit_open" words={words.circuit} />;
  if (item.standing.dead.n > 0) return <Status state="dead" words={words.dead} />;
  if (item.standing.by_status.some((one) => one.status === "push_failed" || one.status === "handle_failed")) return <Status state="push_failed" words={words.failing} />;
  return <Status state="delivered" words={words.active} />;
}

export function SubscriptionTable({ items, page, full }: { items: Item[]; page: string; full?: boolean }): JSX.Element {
  const words = t().subscriptions.columns;
  const link = (row: Item): string => `/subscriptions/${encodeURIComponent(row.name)}`;
  const columns: Column<Item>[] = [
    { id: "name", head: words.name, width: "w-name", cell: (row) => <a class="row-link cut" href={link(row)} tabIndex={-1}><Foreign text={row.name} cut /></a> },
    { id: "state", head: words.state, width: "w-state", cell: (row) => <SubscriptionState item={row} /> },
    ...(full ? [
      { id: "topics", head: words.topics, width: "w-topic", cell: (row: Item) => row.settings ? <Foreign text={row.settings.topics.join(", ")} mono cut /> : <span class="muted">{t().subscriptions.builtIn}</span> },
      { id: "target", head: words.target, width: "w-error", cell: (row: Item) => row.settings ? <Foreign text={row.settings.target} mono cut /> : <span class="muted">–</span> },
    ] : []),
    { id: "rate", head: words.rate, width: "w-num", number: true, cell: (row) => rate(row.standing.rate_per_second) },
    { id: "p99", head: "p99", width: "w-num", number: true, cell: (row) => row.standing.p99_ms == null ? "–" : duration(row.standing.p99_ms) },
    { id: "outstanding", head: words.outstanding, width: "w-bar", cell: (row) => <OutstandingCell item={row} /> },
    { id: "oldest", head: words.oldest, width: "w-age", cell: (row) => <Age since={row.standing.oldest_at} /> },
    { id: "dead", head: words.dead, width: "w-num", number: true, cell: (row) => row.standing.dead.n > 0 ? <a class="tone-dead strong" href={address("/failures", { subscription: row.name })}>{counted(row.standing.dead)}</a> : "0" },
    { id: "spark", head: words.spark, width: "w-spark wide", cell: (row) => <Sparkline values={row.standing.spark} label={words.spark} /> },
  ];
  return <Table caption={t().subscriptions.title} page={page} columns={columns} rows={items} keyOf={(row) => row.name} href={link} steady={false} />;
}

function OutstandingCell({ item }: { item: Item }): JSX.Element {
  const { outstanding, by_status: parts } = item.standing;
  return <span class="bar-cell"><span class="num">{counted(outstanding)}</span>{outstanding.n > 0 && <Bar parts={parts} label={t().subscriptions.columns.outstanding} />}</span>;
}

/** useOpen keeps which of several parts is open. */
export function useOpen<T>(): [T | undefined, (value: T) => void, () => void] {
  const [value, set] = useState<T>();
  return [value, (next) => set(() => next), () => set(undefined)];
}
