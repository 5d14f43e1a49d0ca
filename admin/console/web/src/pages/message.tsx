// One message: what became of it?
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { acknowledge, change, OutcomePanel } from "../actions";
import { path, request, type Schemas } from "../api";
import { command, curl } from "../filter";
import { ago, bytes, exactly, now, number } from "../format";
import { useKeys } from "../keys";
import { useLive, wake } from "../live";
import { copy, CopyButton } from "../parts/clipboard";
import { Button, Field, Menu, type MenuItem } from "../parts/controls";
import { Dialog } from "../parts/dialog";
import { Empty, Waiting } from "../parts/empty";
import { Glyph } from "../parts/glyph";
import { PageHead, useTitle } from "../parts/head";
import { ProblemNote } from "../parts/problem";
import { causeWords, deliverySentence, deliveryState, messageState, Status } from "../parts/status";
import { Timeline } from "../parts/timeline";
import { failed, toast } from "../parts/toast";
import { Foreign, Time } from "../parts/words";
import { address, go } from "../route";
import { mayChange } from "../session";
import { t } from "../text";
import { Attempts } from "./attempts";
import { PayloadCard } from "./payloadcard";

type Message = Schemas["Message"];

export function MessagePage({ id }: { id: string }): JSX.Element {
  return <MessageView id={id} />;
}

/** MessageView is the page, or, narrow, the panel beside a list. */
export function MessageView({ id, narrow }: { id: string; narrow?: boolean }): JSX.Element {
  const live = useLive<Message>(path("messages", id), {}, (data) => (data && ended(data) ? 10_000 : 2000));
  const words = t().message;
  const m = live.data;
  if (!m) {
    if (!live.problem) return <><PageHead title={words.title} name={words.title} /><Waiting words={t().common.loading} /></>;
    if (live.problem.status === 404 || live.problem.status === 422 || live.problem.status === 400) return <NotFound id={id} />;
    return <><PageHead title={words.title} name={words.title} /><ProblemNote problem={live.problem} /></>;
  }
  return (
    <>
      <Head m={m} narrow={narrow ?? false} />
      <OutcomePanel />
      <Timeline message={m} lanes={m.timeline} />
      <Deliveries m={m} />
      <Attempts m={m} />
      <PayloadCard m={m} />
      <Facts m={m} />
    </>
  );
}

const ended = (m: Message): boolean => m.status === "done" || m.status === "cancelled" || m.status === "dead" || m.status === "rejected";

function NotFound({ id }: { id: string }): JSX.Element {
  const words = t().message;
  useTitle(words.notFound.replace(/[.。]$/, ""));
  return (
    <Empty title={<h1 tabIndex={-1}>{words.notFound}</h1>} actions={<a class="button primary" href="/messages">{t().frame.places.messages}</a>}>
      <p><Foreign text={id} mono /></p>
      <p>{words.notFoundWhy}</p>
    </Empty>
  );
}

function Head({ m, narrow }: { m: Message; narrow: boolean }): JSX.Element {
  const state = messageState(m);
  const title = <><Glyph state={state} /> <Foreign text={m.topic} /></>;
  return (
    <>
      {narrow ? <h2 class="head-line">{title}</h2> : (
        <PageHead crumbs={{ href: "/messages", words: t().frame.places.messages }} title={<span class="head-line">{title}</span>} name={`${t().state[state]} · ${m.topic}`}>
          <Actions m={m} />
        </PageHead>
      )}
      <p class="text sentence">{sentence(m)}</p>
      <dl class="facts-line">
        {m.key && (
          <div><dt>{t().messages.columns.key}</dt><dd>
            <a href={address("/messages", { key: m.key, since: "all" })}><Foreign text={m.key} mono /></a>
            {m.previous && <a class="button small quiet" href={`/messages/${m.previous.id}`} title={t().state[m.previous.status]}>← {t().message.previous}</a>}
            {m.next && <a class="button small quiet" href={`/messages/${m.next.id}`} title={t().state[m.next.status]}>{t().message.next} →</a>}
          </dd></div>
        )}
        {m.source && <div><dt>{t().messages.columns.source}</dt><dd><a href={`/senders/${encodeURIComponent(m.source)}`}><Foreign text={m.source} /></a></dd></div>}
        {m.destination && <div><dt>{t().message.destination}</dt><dd><Foreign text={m.destination} mono /></dd></div>}
        <div><dt>{t().messages.columns.created}</dt><dd><Time at={m.created_at} /></dd></div>
        <div><dt>{t().messages.columns.id}</dt><dd><span class="mono">{m.id}</span><CopyButton text={m.id} what={t().common.id} /></dd></div>
      </dl>
    </>
  );
}

/** sentence says in words how the message stands, and what happens next. */
function sentence(m: Message): string {
  const s = t().sentence;
  if (m.status === "pending") return m.deliver_at && new Date(m.deliver_at).getTime() > now.value ? s.scheduled(ago(m.deliver_at)) : s.pending;
  if (m.status === "rejected") return s.rejected(m.error ?? "", causeWords(m.cause));
  if (m.status === "cancelled") return s.cancelledMessage;
  const bad = m.deliveries.filter((one) => one.status !== "handled" && one.status !== "delivered" && one.status !== "cancelled");
  const head = s.progress(m.progress.well, m.progress.total);
  return [head, ...bad.slice(0, 3).map((one) => `${one.subscription}: ${deliverySentence(one)}`)].join(" ");
}

type Ask = { what: "retry" | "cancel"; subscription?: string; force?: boolean } | { what: "copy" };

function Actions({ m }: { m: Message }): JSX.Element {
  const [ask, setAsk] = useState<Ask>();
  const words = t().message;
  const open = m.deliveries.filter((one) => !["handled", "delivered", "cancelled"].includes(one.status));
  const retriable = open.length > 0 || m.status === "rejected" || m.status === "cancelled";
  const retry = (): void => void change("retry", { ids: [m.id] });
  useKeys(mayChange.value ? { e: retry, c: () => setAsk({ what: "cancel" }), y: () => void copy(m.id, t().common.id) } : { y: () => void copy(m.id, t().common.id) });
  const names = [...new Set(m.deliveries.map((one) => one.subscription))];
  const retries: (MenuItem | "line")[] = [
    ...(retriable ? [{ words: words.retryAll, hint: "e", onPress: retry }] : []),
    ...names.filter((name) => open.some((one) => one.subscription === name)).map((name) => ({ words: <>{words.retryOne} <Foreign text={name} /></>, onPress: () => void change("retry", { ids: [m.id], subscription: name }) })),
    "line",
    { words: words.retryEnded, hint: words.retryEndedHelp, onPress: () => setAsk({ what: "retry", force: true }) },
    ...names.slice(0, 8).map((name) => ({ words: <>{words.retryEndedOne} <Foreign text={name} /></>, onPress: () => setAsk({ what: "retry", force: true, subscription: name }) })),
  ];
  const waits = m.deliveries.filter((one) => one.status === "awaiting_ack").map((one) => one.subscription);
  return (
    <>
      {mayChange.value && (
        <>
          <Menu words={t().actions.retry} icon="play" kind={open.some((one) => one.status === "dead") || m.status === "rejected" ? "primary" : "plain"} items={retries} />
          {waits.length > 0 && <Menu words={words.acknowledge} items={waits.flatMap((name) => [
            { words: <>{words.ackHandled} <Foreign text={name} /></>, onPress: () => void acknowledge(name, [m.id], true) },
            { words: <>{words.ackFailed} <Foreign text={name} /></>, onPress: () => void acknowledge(name, [m.id], false) },
          ])} />}
          <Button icon="plus" onPress={() => setAsk({ what: "copy" })}>{words.copyAsNew}</Button>
        </>
      )}
      <CopyMenu m={m} />
      {mayChange.value && (open.length > 0 || m.status === "pending" || m.status === "rejected") && (
        <Menu words={t().actions.cancel} kind="danger" items={[
          { words: words.cancelAll, hint: "c", danger: true, onPress: () => setAsk({ what: "cancel" }) },
          ...names.filter((name) => open.some((one) => one.subscription === name)).map((name) => ({ words: <>{words.cancelOne} <Foreign text={name} /></>, danger: true, onPress: () => setAsk({ what: "cancel" as const, subscription: name }) })),
        ]} />
      )}
      {ask && (ask.what === "copy" ? <CopyDialog m={m} onClose={() => setAsk(undefined)} /> : <AskDialog m={m} ask={ask} onClose={() => setAsk(undefined)} />)}
    </>
  );
}

function CopyMenu({ m }: { m: Message }): JSX.Element {
  const words = t().common.command;
  return (
    <Menu words={t().common.copyAs} icon="copy" items={[
      { words: t().common.id, hint: m.id, onPress: () => void copy(m.id, t().common.id) },
      { words: t().filter.link, onPress: () => void copy(location.origin + `/messages/${m.id}`, t().filter.link) },
      { words: "relay messages show", onPress: () => void copy(command(["messages", "show", m.id]), words) },
      { words: "curl", hint: t().message.curlHelp, onPress: () => void copy(curl(path("messages", m.id)), words) },
      ...m.deliveries.filter((one) => one.target?.startsWith("http")).slice(0, 4).map((one) => ({ words: <>curl → <Foreign text={one.subscription} /></>, hint: t().message.curlReceiver, onPress: () => void copy(receiverCurl(m, one), words) })),
      { words: "INSERT", hint: t().message.insertHelp, onPress: () => void copy(insert(m), "INSERT") },
    ]} />
  );
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** insert is the statement that makes such a message; the payload is to be filled in. */
function insert(m: Message): string {
  const columns = ["topic", "payload"];
  const values = [quoted(m.topic), "'…'"];
  if (m.key) { columns.push("key"); values.push(quoted(m.key)); }
  if (m.source) { columns.push("source"); values.push(quoted(m.source)); }
  return `insert into relay.outbox (${columns.join(", ")})\nvalues (${values.join(", ")});`;
}

/** receiverCurl is the request as the receiver gets it, with the signature left open. */
function receiverCurl(m: Message, d: Schemas["Delivery"]): string {
  const word = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
  const headers: [string, string][] = [
    ["Content-Type", m.content_type], ["webhook-id", m.id], ["webhook-timestamp", "$(date +%s)"], ["webhook-signature", "v1,…"],
    ["ce-specversion", "1.0"], ["ce-id", m.id], ["ce-type", m.topic], ...m.headers.map((one): [string, string] => [one.name, one.value]),
  ];
  const lines = headers.map(([name, value]) => `  -H ${value.startsWith("$(") ? `"${name}: ${value}"` : word(`${name}: ${value}`)} \\`);
  return [`curl -sS -X POST \\`, ...lines, `  --data-binary @payload \\`, `  ${word(d.target ?? "")}`].join("\n");
}

function AskDialog({ m, ask, onClose }: { m: Message; ask: { what: "retry" | "cancel"; subscription?: string; force?: boolean }; onClose: () => void }): JSX.Element {
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const words = t().message;
  const doIt = (): void => {
    setBusy(true);
    void change(ask.what, { ids: [m.id], subscription: ask.subscription, ...(ask.force && { force: true }), reason }).then(onClose);
  };
  const at = ask.subscription ?? "";
  return (
    <Dialog title={ask.what === "cancel" ? words.cancelTitle : words.againTitle} onClose={onClose} foot={
      <>
        <Button onPress={onClose}>{t().common.back}</Button>
        <Button kind={ask.what === "cancel" ? "danger" : "primary"} busy={busy} onPress={doIt}>{ask.what === "cancel" ? t().actions.cancel : words.again}</Button>
      </>
    }>
      <p class="text">{ask.what === "cancel" ? words.cancelWarning(at) : words.againWarning(at)}</p>
      <Field label={t().common.reason} optional={t().common.optional} help={t().common.reasonHelp}>
        {(id, about) => <input id={id} aria-describedby={about} data-first maxLength={1000} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />}
      </Field>
    </Dialog>
  );
}

function CopyDialog({ m, onClose }: { m: Message; onClose: () => void }): JSX.Element {
  const [destination, setDestination] = useState("");
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const words = t().message;
  const doIt = async (): Promise<void> => {
    setBusy(true);
    try {
      const answer = await request<Schemas["Inserted"]>("POST", path("messages", m.id, "copy"), { body: { ...(destination && { destination }), ...(reason && { reason }) } });
      onClose();
      toast(words.copied);
      go(`/messages/${answer.data!.id}`);
    } catch (error) {
      failed(error);
      setBusy(false);
    } finally {
      wake();
    }
  };
  return (
    <Dialog title={words.copyAsNew} onClose={onClose} foot={<><Button onPress={onClose}>{t().common.back}</Button><Button kind="primary" busy={busy} onPress={() => void doIt()}>{words.copyNow}</Button></>}>
      <p class="text">{words.copyHelp}</p>
      <Field label={words.destination} optional={t().common.optional} help={words.copyTo}>
        {(id, about) => <input id={id} aria-describedby={about} data-first class="mono" value={destination} onInput={(event) => setDestination(event.currentTarget.value)} />}
      </Field>
      <Field label={t().common.reason} optional={t().common.optional}>
        {(id) => <input id={id} maxLength={1000} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />}
      </Field>
    </Dialog>
  );
}

function Deliveries({ m }: { m: Message }): JSX.Element | null {
  const words = t().message;
  if (m.deliveries.length === 0) return null;
  return (
    <section class="card" aria-labelledby="deliveries-head">
      <div class="card-head"><h2 id="deliveries-head">{words.deliveries}</h2></div>
      <div class="table-scroll" tabIndex={0} role="region" aria-labelledby="deliveries-head">
        <table class="plain">
          <thead><tr><th scope="col">{words.subscriber}</th><th scope="col">{t().messages.columns.status}</th><th scope="col">{words.target}</th><th scope="col" class="num">{t().messages.columns.attempts}</th><th scope="col">{words.nextAttempt}</th></tr></thead>
          <tbody>
            {m.deliveries.map((one) => (
              <tr key={`${one.subscription} ${one.instance}`}>
                <th scope="row"><a href={`/subscriptions/${encodeURIComponent(one.subscription)}`}><Foreign text={one.subscription} /></a> {one.instance && <span class="muted"><Foreign text={one.instance} mono /></span>}</th>
                <td><Status state={deliveryState(one)} /></td>
                <td class="break"><Foreign text={one.target ?? "–"} mono /></td>
                <td class="num">{number(one.attempts)}</td>
                <td><Time at={one.next_attempt_at} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Facts({ m }: { m: Message }): JSX.Element {
  const words = t().message;
  const twice = (at: string): string => exactly(at).replace(" · ", "\n"); // local and universal time, a line each
  const facts: [string, JSX.Element | string][] = [
    [words.seq, <span class="mono">{m.seq}</span>], [words.shard, String(m.shard)], [words.size, bytes(m.size)],
    [t().messages.columns.created, twice(m.created_at)],
    ...(m.deliver_at ? [[words.deliverAt, twice(m.deliver_at)] as [string, string]] : []),
    ...(m.finished_at ? [[words.finished, twice(m.finished_at)] as [string, string]] : []),
    ...(m.original_id ? [[words.original, <a class="mono" href={`/messages/${m.original_id}`}>{m.original_id}</a>] as [string, JSX.Element]] : []),
    ...(m.copies.length > 0 ? [[words.copies, <>{m.copies.map((id) => <a key={id} class="mono block" href={`/messages/${id}`}>{id}</a>)}</>] as [string, JSX.Element]] : []),
    ...(m.jobs.length > 0 ? [[t().frame.places.jobs, <>{m.jobs.map((one) => <a key={one.job_id} class="block" href={`/jobs/${one.job_id}`}>{t().bulk.kinds[one.kind]} · <Time at={one.at} /></a>)}</>] as [string, JSX.Element]] : []),
    [t().frame.places.audit, <a href={address("/audit", { object: m.id, since: "all" })}>{words.auditLink}</a>],
  ];
  return (
    <section class="card" aria-labelledby="facts-head">
      <div class="card-head"><h2 id="facts-head">{words.facts}</h2></div>
      <dl class="facts">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
    </section>
  );
}
