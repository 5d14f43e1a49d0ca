// Blocked keys: which keys wait, what holds them, and how many messages stand behind.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { effectWords, outcome, OutcomePanel } from "../actions";
import { path, request, type Schemas } from "../api";
import { command, curl } from "../filter";
import { counted } from "../format";
import { useHold, useLive, wake } from "../live";
import { subscriptionNames } from "../overview";
import { copy } from "../parts/clipboard";
import { Button, Field, Menu } from "../parts/controls";
import { Dialog } from "../parts/dialog";
import { Empty, Waiting } from "../parts/empty";
import { Glyph } from "../parts/glyph";
import { PageHead } from "../parts/head";
import { ErrorWords } from "../parts/messagerows";
import { afterOf, Pager } from "../parts/pager";
import { ProblemNote } from "../parts/problem";
import { deliveryState, Status } from "../parts/status";
import { Table, type Column } from "../parts/table";
import { failed, toast } from "../parts/toast";
import { Age, Foreign, Time } from "../parts/words";
import { address, go, place, withQuery } from "../route";
import { mayChange } from "../session";
import { t } from "../text";

type Row = Schemas["BlockedKey"];

const keyOf = (row: Row): string => JSON.stringify([row.subscription, row.instance ?? "", row.key]);

export function KeysPage(): JSX.Element {
  const subscription = place.value.query.get("subscription") ?? undefined;
  const after = afterOf();
  const live = useLive<Schemas["PageBlockedKey"]>(path("keys"), { subscription, after });
  const selected = useSignal(new Set<string>());
  const [skipping, setSkipping] = useState<Row[]>();
  const page = `${subscription} ${after}`;
  useEffect(() => { selected.value = new Set(); }, [page]);
  useHold(selected.value.size > 0 ? { kind: "selected", n: selected.value.size } : undefined);
  const rows = live.data?.items;
  const chosen = (rows ?? []).filter((row) => selected.value.has(keyOf(row)));
  const words = t().keys;
  const clear = (): void => void (selected.value = new Set());
  const retry = (some: Row[]): void => void changeKeys("retry", some, "").then(clear);
  return (
    <>
      <PageHead title={words.title} name={words.title} lede={words.lede}>
        <select aria-label={t().filter.names.subscription} value={subscription ?? ""} onChange={(event) => go(withQuery({ subscription: event.currentTarget.value, after: [] }))}>
          <option value="">{t().failures.everySubscriber}</option>
          {[...new Set([...subscriptionNames.value, ...(subscription ? [subscription] : [])])].map((one) => <option key={one}>{one}</option>)}
        </select>
        <Menu words={t().common.copyAs} icon="copy" kind="quiet" items={[
          { words: "relay …", onPress: () => void copy(command(["keys", "list"], { subscription }), t().common.command) },
          { words: "curl", onPress: () => void copy(curl(address(path("keys"), { subscription })), t().common.command) },
        ]} />
      </PageHead>
      {chosen.length > 0 && (
        <div class="result-line selection-bar" role="toolbar" aria-label={t().messages.selected(chosen.length)}>
          <strong>{t().messages.selected(chosen.length)}</strong>
          <Button small icon="play" onPress={() => retry(chosen)}>{words.retry}</Button>
          <Button small kind="quiet" onPress={clear}>{t().messages.clear}</Button>
          <span class="grow" />
          <Button small kind="danger" disabled={!chosen.some((row) => row.head.status === "dead")} onPress={() => setSkipping(chosen.filter((row) => row.head.status === "dead"))}>{words.skip}</Button>
        </div>
      )}
      <OutcomePanel />
      {live.problem && !rows && <ProblemNote problem={live.problem} />}
      {!rows && !live.problem && <Waiting words={t().common.loading} />}
      {rows && rows.length > 0 && (
        <Table caption={words.title} page={page} busy={live.stale} rows={rows} keyOf={keyOf} columns={columns(retry, (row) => setSkipping([row]))} href={(row) => `/messages/${row.head.message_id}`}
          selection={mayChange.value ? { keys: selected.value, set: (keys) => (selected.value = keys) } : undefined} labelOf={(row) => `${row.key} ${row.subscription}`}
          onKey={{ e: (row) => mayChange.value && retry([row]), y: (row) => void copy(row.key, words.key) }} />
      )}
      {rows?.length === 0 && !live.stale && <Empty glyph={<Glyph state="handled" />} title={words.none}><p>{words.noneHelp}</p></Empty>}
      <Pager next={live.data?.next} />
      {skipping && <SkipDialog rows={skipping} onClose={() => setSkipping(undefined)} onDone={clear} />}
    </>
  );
}

function columns(retry: (rows: Row[]) => void, skip: (row: Row) => void): Column<Row>[] {
  const words = t().keys;
  return [
    { id: "key", head: words.key, width: "w-key", cell: (row) => <a class="row-link cut" href={`/messages/${row.head.message_id}`} tabIndex={-1}><Foreign text={row.key} mono cut /></a> },
    { id: "to", head: words.subscriber, width: "w-name", cell: (row) => <span class="cut"><a href={`/subscriptions/${encodeURIComponent(row.subscription)}`} tabIndex={-1}><Foreign text={row.subscription} /></a>{row.instance && <span class="muted"> <Foreign text={row.instance} /></span>}</span> },
    { id: "waiting", head: words.waiting, width: "w-num", number: true, cell: (row) => <a href={address("/messages", { key: row.key, subscription: row.subscription, since: "all" })} tabIndex={-1}>{counted(row.waiting)}</a> },
    { id: "head", head: words.head, width: "w-status", cell: (row) => <Status state={deliveryState(row.head)} /> },
    { id: "since", head: words.since, width: "w-time", cell: (row) => <Age since={row.since} /> },
    { id: "next", head: t().subscription.columns.next, width: "w-time", cell: (row) => <Time at={row.head.next_attempt_at} /> },
    { id: "error", head: t().messages.columns.error, width: "w-error", cell: (row) => <ErrorWords cause={row.head.cause} error={row.head.error} /> },
    ...(mayChange.value ? [{ id: "act", head: <span class="only-read">{t().actions.title}</span>, width: "w-act", cell: (row: Row) => (
      <span class="row-actions">
        <Button small onPress={() => retry([row])}>{t().actions.retry}</Button>
        {row.head.status === "dead" && <Button small kind="danger" onPress={() => skip(row)}>{words.skipOne}</Button>}
      </span>
    ) }] : []),
  ];
}

/** changeKeys retries or skips the heads of keys, subscriber by subscriber. */
async function changeKeys(what: "retry" | "skip", rows: Row[], reason: string): Promise<void> {
  const bySubscription = Map.groupBy(rows, (row) => row.subscription);
  let done = 0;
  const bad: { id: string; words: string }[] = [];
  try {
    for (const [subscription, some] of bySubscription) {
      const keys = [...new Set(some.map((row) => row.key))].slice(0, 100);
      const answer = await request<Schemas["KeyResults"]>("POST", path("keys", what), { body: { subscription, keys, ...(reason && { reason }) } });
      done += answer.data!.succeeded;
      for (const one of answer.data!.results) if (!one.succeeded) bad.push({ id: one.key, words: effectWords(one) });
    }
    outcome.value = bad.length > 0 ? { what, succeeded: done, failed: bad } : undefined;
    if (done > 0) toast(t().actions.done(what, done));
  } catch (error) {
    failed(error);
  } finally {
    wake();
  }
}

function SkipDialog({ rows, onClose, onDone }: { rows: Row[]; onClose: () => void; onDone: () => void }): JSX.Element {
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const words = t().keys;
  const behind = rows.reduce((sum, row) => sum + row.waiting.n, 0);
  const skip = (): void => {
    setBusy(true);
    void changeKeys("skip", rows, reason).then(() => { onDone(); onClose(); });
  };
  return (
    <Dialog title={words.skipTitle(rows.length)} onClose={onClose} foot={<><Button onPress={onClose}>{t().common.back}</Button><Button kind="danger" busy={busy} onPress={skip}>{words.skipOne}</Button></>}>
      <p class="text">{words.skipHelp(behind)}</p>
      <ul class="samples">{rows.slice(0, 5).map((row) => <li key={keyOf(row)}><Status state={deliveryState(row.head)} /><span class="mono cut"><Foreign text={row.key} cut /></span><Foreign text={row.subscription} /></li>)}</ul>
      <Field label={t().common.reason} optional={t().common.optional} help={t().common.reasonHelp}>{(id, about) => <input id={id} aria-describedby={about} data-first maxLength={1000} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />}</Field>
    </Dialog>
  );
}
