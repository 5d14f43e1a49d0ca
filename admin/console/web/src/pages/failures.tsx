// Failures: put it right by the hundred.
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { change, OutcomePanel } from "../actions";
import { path, request, type Query, type Schemas } from "../api";
import { command, curl } from "../filter";
import { counted, number, skew } from "../format";
import { useLive, wake } from "../live";
import { subscriptionNames } from "../overview";
import { BulkDialog, type BulkRequest } from "../parts/bulk";
import { copy } from "../parts/clipboard";
import { fromBase64 } from "../parts/content";
import { Button, Menu, Tabs } from "../parts/controls";
import { Empty, Waiting } from "../parts/empty";
import { Glyph } from "../parts/glyph";
import { optionWords } from "../parts/filterbar";
import { PageHead } from "../parts/head";
import { NoteDialog } from "../parts/note";
import { Bytes } from "../parts/payload";
import { ProblemNote } from "../parts/problem";
import { Sparkline } from "../parts/sparkline";
import { causeWords, messageState, Status } from "../parts/status";
import { failed, toast } from "../parts/toast";
import { Foreign, Time } from "../parts/words";
import { address, go, place, withQuery } from "../route";
import { mayChange } from "../session";
import { t } from "../text";

type Group = Schemas["FailureGroup"];
const states = ["dead", "failing", "rejected"] as const;
type State = (typeof states)[number];

export function FailuresPage(): JSX.Element {
  const query = place.value.query;
  const state: State = states.find((one) => one === query.get("state")) ?? "dead";
  const subscription = query.get("subscription") ?? undefined;
  const filters: Query = { state, subscription, cause: query.get("cause") ?? undefined };
  const live = useLive<Schemas["PageFailureGroup"]>(path("failures"), filters);
  const words = t().failures;
  return (
    <>
      <PageHead title={words.title} name={words.title} lede={words.lede[state]}>
        <select aria-label={t().filter.names.subscription} value={subscription ?? ""} onChange={(event) => go(withQuery({ subscription: event.currentTarget.value }))}>
          <option value="">{words.everySubscriber}</option>
          {[...new Set([...subscriptionNames.value, ...(subscription ? [subscription] : [])])].map((one) => <option key={one}>{one}</option>)}
        </select>
        <Menu words={t().common.copyAs} icon="copy" kind="quiet" items={[
          { words: "relay …", hint: "relay failures list", onPress: () => void copy(command(["failures", "list"], filters), t().common.command) },
          { words: "curl", onPress: () => void copy(curl(address(path("failures"), filters)), t().common.command) },
        ]} />
      </PageHead>
      <Tabs label={words.title} current={state} tabs={states.map((id) => ({ id, words: words.tabs[id], href: withQuery({ state: id === "dead" ? undefined : id, cause: undefined }) }))} />
      <OutcomePanel />
      {live.problem && !live.data && <ProblemNote problem={live.problem} />}
      {!live.data && !live.problem && <Waiting words={t().common.loading} />}
      {live.data?.items.length === 0 && !live.stale && <NoFailures state={state} />}
      {live.data && live.data.items.length > 0 && (
        <ul class={`groups${live.stale ? " busy" : ""}`}>
          {live.data.items.map((group) => <GroupRow key={`${group.state} ${group.subscription} ${group.cause}`} group={group} />)}
        </ul>
      )}
    </>
  );
}

function NoFailures({ state }: { state: State }): JSX.Element {
  const words = t().failures;
  const last = useLive<Schemas["PageAuditEntry"]>(state === "dead" ? path("audit") : undefined, { action: "message.", limit: "1" }, 10_000).data?.items[0];
  return (
    <Empty glyph={<Glyph state="handled" />} title={words.none[state]} actions={state === "dead" ? <a class="button" href={address("/audit", { action: "message.", since: "all" })}>{words.lastCleared}</a> : undefined}>
      {last && <p><Foreign text={last.name || optionWords("role", last.role)} /> {(t().audit.actions as Record<string, string>)[last.action] ?? last.action} · <Time at={last.at} /></p>}
    </Empty>
  );
}

/** filterOf is what the messages of a group have in common, as jobs and lists take it. */
function filterOf(group: Group): Query {
  if (group.state === "rejected") return { status: "rejected", cause: group.cause || undefined };
  return {
    delivery_status: group.state === "dead" ? "dead" : ["push_failed", "handle_failed"], subscription: group.subscription, cause: group.cause || undefined,
  };
}

function GroupRow({ group }: { group: Group }): JSX.Element {
  const [open, setOpen] = useState(false);
  const [bulk, setBulk] = useState<BulkRequest>();
  const [noting, setNoting] = useState(false);
  const [tried, setTried] = useState<string>();
  const words = t().failures;
  const glyph = group.state === "dead" ? "dead" : group.state === "rejected" ? "rejected" : group.class === "handle" ? "handle_failed" : "push_failed";
  const name = group.subscription ?? words.noSubscriber;
  return (
    <li class="group">
      <div class="group-head">
        <button type="button" class="group-open" aria-expanded={open} onClick={() => setOpen(!open)} aria-label={words.expand(name, causeWords(group.cause))}>
          <Glyph state={glyph} />
        </button>
        <div class="group-words">
          <p class="group-title"><strong class="num">{counted(group.count)}</strong> <button type="button" class="link-button" onClick={() => setOpen(!open)}><Foreign text={name} /> · {causeWords(group.cause)}</button> <span class="muted small-words">{words.classes[group.class]}</span></p>
          {group.error && <p class="cut muted"><Foreign text={group.error} cut /></p>}
          <p class="muted small-words">{group.first_at && <>{words.since} <Time at={group.first_at} /></>}{group.last_at && <> · {words.last} <Time at={group.last_at} /></>}</p>
          {group.note && <p class="group-note">“<Foreign text={group.note.text} />” <span class="muted">{group.note.by && <><Foreign text={group.note.by} /> · </>}<Time at={group.note.at} /></span></p>}
          {group.job && <JobLine job={group.job} />}
          {tried && <FirstTry key={tried} id={tried} group={group} rest={() => setBulk({ kind: "retry", filter: filterOf(group), kinds: ["retry"] })} />}
        </div>
        <Sparkline values={group.trend} label={words.trend} tone={group.state === "dead" ? "dead" : "retry"} width={120} height={28} />
        <GroupActions group={group} ask={setBulk} note={() => setNoting(true)} tried={setTried} />
      </div>
      {open && <GroupMore group={group} />}
      {bulk && <BulkDialog request={bulk} onClose={() => setBulk(undefined)} />}
      {noting && <NoteDialog group={group} onClose={() => setNoting(false)} />}
    </li>
  );
}

function JobLine({ job }: { job: Schemas["JobReference"] }): JSX.Element {
  return (
    <p class="job-line">
      <progress value={job.done} max={Math.max(job.total?.n ?? 0, job.done, 1)} aria-label={t().bulk.kinds[job.kind]} />
      <a href={`/jobs/${job.id}`}>{t().bulk.kinds[job.kind]}: {number(job.done)}{job.total && ` / ${counted(job.total)}`}</a>
    </p>
  );
}

/** FirstTry follows the one message that was retried first, and offers the rest once it has ended well. */
function FirstTry({ id, group, rest }: { id: string; group: Group; rest: () => void }): JSX.Element {
  const live = useLive<Schemas["Message"]>(path("messages", id), {}, 1000);
  const began = useRef(Date.now() + skew.peek());
  const words = t().failures;
  const of = live.data?.deliveries.filter((one) => !group.subscription || one.subscription === group.subscription) ?? [];
  const well = of.length > 0 && of.every((one) => one.status === "handled" || one.status === "delivered");
  const again = live.data?.attempts.some((one) => one.error && new Date(one.started_at).getTime() > began.current - 2000) ?? false;
  return (
    <p class="first-try" role="status">
      <Glyph state={well ? "handled" : again ? "dead" : "open"} /> <a href={`/messages/${id}`}>{well ? words.firstWell : again ? words.firstFailed : words.firstGoes}</a>
      {well && <Button small kind="primary" onPress={rest}>{words.retryRest}</Button>}
    </p>
  );
}

function GroupActions({ group, ask, note, tried }: { group: Group; ask: (bulk: BulkRequest) => void; note: () => void; tried: (id: string) => void }): JSX.Element {
  const words = t().failures;
  const list = address("/messages", { ...filterOf(group), since: "all" });
  const filter = filterOf(group);
  if (!mayChange.value) return <div class="group-actions"><a class="button small" href={list}>{words.asList}</a></div>;
  const pause = (): void => {
    request("POST", path("subscriptions", group.subscription!, "pause"), { body: {} }).then(() => toast(t().subscription.pausedNow), failed).finally(wake);
  };
  return (
    <div class="group-actions">
      {group.oldest_id && <Button small icon="play" onPress={() => void change("retry", { ids: [group.oldest_id!], subscription: group.subscription }).then((done) => done && tried(group.oldest_id!))}>{words.retryFirst}</Button>}
      <Button small kind={group.state === "dead" ? "primary" : "plain"} onPress={() => ask({ kind: "retry", filter, kinds: ["retry"] })}>{words.retryAll}</Button>
      <Menu small icon="more" kind="quiet" label={t().common.more} items={[
        { words: words.asList, href: list },
        { words: group.note ? words.editNote : words.addNote, onPress: note },
        ...(group.subscription && group.subscription !== "direct" && group.subscription !== "default" ? [{ words: <>{words.pause} <Foreign text={group.subscription} /></>, onPress: pause }] : []),
        "line",
        { words: `${words.cancelAll}…`, danger: true, onPress: () => ask({ kind: "cancel", filter, kinds: ["cancel"] }) },
      ]} />
    </div>
  );
}

/** GroupMore is a closer look: what to do, finer groups, the newest messages, and how it looked at the receiver. */
function GroupMore({ group }: { group: Group }): JSX.Element {
  const live = useLive<Schemas["FailureSample"]>(path("failures", "sample"), { state: group.state, subscription: group.subscription, cause: group.cause }, 10_000);
  const words = t().failures;
  const sample = live.data;
  return (
    <div class="group-more">
      <section><h3>{words.whatToDo}</h3><p class="text">{t().guide(group.cause, group.class)}</p></section>
      {live.problem && !sample && <ProblemNote problem={live.problem} />}
      {sample && sample.patterns.length > 0 && (
        <section>
          <h3>{words.patterns} <span class="muted">{words.sampled(number(sample.sampled))}</span></h3>
          <ul class="patterns">{sample.patterns.slice(0, 12).map((one) => <li key={one.pattern}><span class="num">{number(one.n)}</span><a href={`/messages/${one.message_id}`} title={one.example}><Foreign text={one.pattern} /></a></li>)}</ul>
        </section>
      )}
      {sample && sample.messages.length > 0 && (
        <section>
          <h3>{words.newest}</h3>
          <ul class="samples">{sample.messages.map((one) => <li key={one.id}><Status state={messageState(one)} /><a href={`/messages/${one.id}`} class="cut"><Foreign text={one.topic} cut /></a><span class="mono muted cut"><Foreign text={one.key ?? ""} cut /></span><Time at={one.created_at} /></li>)}</ul>
        </section>
      )}
      {sample?.answer && (
        <section>
          <h3>{words.atReceiver} <span class="muted">{sample.answer.response_code} · <Time at={sample.answer.at} /></span></h3>
          <Bytes content={fromBase64(sample.answer.response)} label={words.atReceiver} />
        </section>
      )}
    </div>
  );
}
