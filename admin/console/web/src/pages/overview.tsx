// Overview: is anything stuck, and what do I do?
import type { ComponentChildren, JSX } from "preact";
import type { Schemas } from "../api";
import { bytes, counted, duration, number, rate } from "../format";
import { overview } from "../overview";
import { CopyButton } from "../parts/clipboard";
import { Empty, Waiting } from "../parts/empty";
import { Glyph, type State } from "../parts/glyph";
import { PageHead } from "../parts/head";
import { Icon } from "../parts/icon";
import { ProblemNote } from "../parts/problem";
import { Sparkline } from "../parts/sparkline";
import { Age, Foreign, Time } from "../parts/words";
import { address } from "../route";
import { t } from "../text";
import { FirstRun } from "./firstrun";
import { PulseCharts } from "./pulse";
import { SubscriptionTable } from "./subscriptions";

type Overview = Schemas["Overview"];

export function OverviewPage(): JSX.Element {
  const { data: o, problem } = overview.value;
  const words = t().overview;
  const head = <PageHead title={words.title} name={words.title} />;
  if (!o) return <>{head}{problem ? <ProblemNote problem={problem} /> : <Waiting words={t().common.loading} />}</>;
  return (
    <>
      {head}
      <Needs o={o} />
      {o.first_run ? <FirstRun /> : (
        <>
          <Tiles o={o} />
          <PulseCharts />
          <section aria-labelledby="subscriptions-head" class="stack">
            <h2 id="subscriptions-head">{t().frame.places.subscriptions}</h2>
            {o.subscriptions.length > 0 ? <SubscriptionTable items={o.subscriptions} page="overview" /> : <Empty title={t().subscriptions.none} />}
          </section>
        </>
      )}
      <Transport o={o} />
    </>
  );
}

function Needs({ o }: { o: Overview }): JSX.Element {
  const words = t().overview;
  if (o.needs.length === 0) {
    return <section class="needs calm"><Glyph state="handled" /><p><strong>{words.nothing}</strong> <span class="muted">{words.counted} <Time at={o.counted_at} /></span></p></section>;
  }
  const shown = o.needs.slice(0, 5);
  return (
    <section class="needs" aria-labelledby="needs-head">
      <h2 id="needs-head">{words.needs}</h2>
      <ul>
        {shown.map((need, n) => <NeedRow key={`${need.kind} ${need.subscription} ${need.cause} ${need.topic} ${n}`} need={need} />)}
      </ul>
      {o.needs.length > shown.length && <p class="muted more-line"><a href="/failures">{words.more(o.needs.length - shown.length)}</a></p>}
    </section>
  );
}

const needGlyphs: Record<string, State> = { dead: "dead", rejected: "rejected", keys_blocked: "key_blocked", circuit_open: "circuit_open", paused: "paused", overdue: "pending" };

function NeedRow({ need }: { need: Schemas["Need"] }): JSX.Element {
  const glyph = needGlyphs[need.kind];
  const words = t().needs[need.kind](need);
  const [href, label] = needLink(need);
  return (
    <li class={`need ${need.severity}`}>
      <span class={need.severity === "critical" ? "tone-dead" : "tone-retry"}>{glyph ? <Glyph state={glyph} /> : <Icon name="warn" />}</span>
      <p class="need-words">
        <Foreign text={words} />
        {need.since && <span class="muted"> · <Age since={need.since} /></span>}
        {need.condition && <Original condition={need.condition} />}
        {need.fix && <span class="fix"><code>{need.fix}</code><CopyButton text={need.fix} what={t().common.command} /></span>}
      </p>
      {href && <a class="button small" href={href}>{label}</a>}
    </li>
  );
}

function needLink(need: Schemas["Need"]): [string, string] | [undefined, undefined] {
  const words = t().overview;
  switch (need.kind) {
    case "dead":
      return [address("/failures", { subscription: need.subscription, cause: need.cause }), words.look];
    case "rejected":
      return need.topic ? ["/subscriptions?new=yes&topics=" + encodeURIComponent(need.topic), words.subscribe] : ["/failures?state=rejected", words.look];
    case "keys_blocked":
      return [address("/keys", { subscription: need.subscription }), words.look];
    case "circuit_open":
      return need.subscription ? [`/subscriptions/${encodeURIComponent(need.subscription)}`, words.look] : ["/subscriptions", words.look];
  }
  return [undefined, undefined];
}

function Tile({ words, value, unit, href, children, tone }: { words: string; value: ComponentChildren; unit?: string; href?: string; children?: ComponentChildren; tone?: string }): JSX.Element {
  const inner = <><span class="tile-words">{words}</span><span class={`tile-number ${tone ?? ""}`}>{value}{unit && <span class="tile-unit"> {unit}</span>}</span>{children}</>;
  return href ? <a class="tile" href={href}>{inner}</a> : <div class="tile">{inner}</div>;
}

function Tiles({ o }: { o: Overview }): JSX.Element {
  const words = t().overview.tiles;
  const { traffic, messages } = o;
  const ms = (value: number | undefined): string => (value === undefined || value === null ? "–" : duration(value));
  const toned = (count: Schemas["Count"], tone: string): string => (count.n > 0 ? tone : "");
  return (
    <section class="tiles" aria-label={t().overview.numbers}>
      <Tile words={words.received} value={rate(traffic.received_per_second)} unit={words.perSecond} href="/messages?since=1h"><Sparkline values={traffic.received_spark} label={words.received} /></Tile>
      <Tile words={words.accepted} value={rate(traffic.accepted_per_second)} unit={words.perSecond} href="/messages?delivery_status=delivered,handled&since=1h"><Sparkline values={traffic.accepted_spark} label={words.accepted} /></Tile>
      <Tile words={words.latency} value={ms(traffic.p50_ms)} href="/subscriptions"><span class="tile-sub">p99 {ms(traffic.p99_ms)}</span></Tile>
      <Tile words={words.oldest} value={messages.oldest ? <Age since={messages.oldest} /> : "–"} href="/messages?status=pending,open&since=all"><span class="tile-sub">{messages.next_due && <>{words.nextDue} <Time at={messages.next_due} /></>}</span></Tile>
      <Tile words={words.inFlight} value={number(traffic.in_flight)} href="/messages?status=open&since=all"><span class="tile-sub">{bytes(traffic.in_flight_bytes)}</span></Tile>
      <Tile words={words.waiting} value={counted(messages.pending)} href="/messages?status=pending&since=all"><span class="tile-sub">{words.delayed(counted(messages.delayed))}</span></Tile>
      <Tile words={words.open} value={counted(messages.open)} href="/messages?status=open&since=all" />
      <Tile words={words.dead} value={counted(messages.dead)} tone={toned(messages.dead, "tone-dead")} href="/messages?status=dead&since=all" />
      <Tile words={words.rejected} value={counted(messages.rejected)} tone={toned(messages.rejected, "tone-reject")} href="/messages?status=rejected&since=all" />
      <Tile words={words.done} value={counted(messages.done)} href="/messages?status=done&since=all" />
    </section>
  );
}

function ConditionWords({ condition }: { condition: Schemas["Condition"] }): JSX.Element {
  return <><Foreign text={t().condition(condition)} />{!condition.well && <Original condition={condition} />}</>;
}

/** Original holds what the relay said, where the page says less in another language. */
function Original({ condition }: { condition: Schemas["Condition"] }): JSX.Element | null {
  if (t().condition(condition) === condition.text) return null;
  return <details class="original"><summary>{t().common.original}</summary><p lang="en"><Foreign text={condition.text} /></p></details>;
}

function Transport({ o }: { o: Overview }): JSX.Element {
  const words = t().overview;
  return (
    <section class="card" aria-labelledby="transport-head">
      <div class="card-head"><h2 id="transport-head">{words.transport}</h2></div>
      <ul class="conditions">
        {o.transport.map((one) => (
          <li key={one.name} class={one.well ? "" : "bad"}>
            <Glyph state={one.well ? "delivered" : one.decides ? "dead" : "handle_failed"} label={one.well ? words.well : words.unwell} />
            <span class="strong">{(words.conditions as Record<string, string>)[one.name] ?? one.name}</span>
            <span class="break"><ConditionWords condition={one} />{one.fix && <span class="fix"><code>{one.fix}</code><CopyButton text={one.fix} what={t().common.command} /></span>}</span>
          </li>
        ))}
        {o.relays.map((one, n) => <RelayLine key={`${one.name} ${n}`} relay={one} />)}
        <li>
          <Glyph state={o.database.reachable ? "delivered" : "dead"} label={o.database.reachable ? words.well : words.unwell} />
          <span class="strong">{words.database}</span>
          <span class="break"><Foreign text={o.database.name} />{Math.abs(o.database.skew_ms) > 500 && ` · ${words.skew(duration(Math.abs(o.database.skew_ms)))}`}</span>
        </li>
      </ul>
    </section>
  );
}

/** RelayLine judges a relay as relay status does: one that is silent does not run, whatever became of its shards. */
function RelayLine({ relay }: { relay: Schemas["RunningRelay"] }): JSX.Element {
  const words = t().overview;
  const state = relay.silent ? "dead" : relay.expired_shards > 0 ? "handle_failed" : "delivered";
  const facts = [
    relay.silent ? <>{words.silent} <Time at={relay.seen_at} /></> : words.shards(relay.shards),
    relay.expired_shards > 0 && words.orphans(relay.expired_shards), !relay.silent && relay.streaming && words.streaming, relay.this && words.thisOne, relay.version && <Foreign text={relay.version} />,
  ].filter(Boolean);
  return (
    <li class={state === "delivered" ? "" : "bad"}>
      <Glyph state={state} label={state === "delivered" ? words.well : words.unwell} />
      <span class="strong">{words.relay}</span>
      <span class="break"><Foreign text={relay.name} />{facts.map((fact) => <> · {fact}</>)}</span>
    </li>
  );
}
