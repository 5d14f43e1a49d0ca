// One subscription: the receiver's view.
import type { JSX } from "preact";
import { path, request, type Schemas } from "../api";
import { command, curl } from "../filter";
import { counted, duration, list, rate } from "../format";
import { useLive, wake } from "../live";
import { BulkDialog } from "../parts/bulk";
import { copy } from "../parts/clipboard";
import { Button, Menu, Tabs } from "../parts/controls";
import { DeleteDialog, TrialDialog } from "../parts/subscriptiondialogs";
import { Empty, Waiting } from "../parts/empty";
import { PageHead } from "../parts/head";
import { ProblemNote } from "../parts/problem";
import { failed, toast } from "../parts/toast";
import { Age, Foreign } from "../parts/words";
import { address } from "../route";
import { mayChange } from "../session";
import { t } from "../text";
import { Deliveries } from "./deliveries";
import { Instances } from "./instances";
import { PulseCharts } from "./pulse";
import { SubscriptionForm } from "./subscriptionform";
import { SubscriptionState, useOpen } from "./subscriptions";

type Item = Schemas["Subscription"];

export function SubscriptionPage({ name, tab }: { name: string; tab: string }): JSX.Element {
  const live = useLive<Item>(path("subscriptions", name), {}, tab === "settings" ? 15_000 : 5000);
  const words = t().subscription;
  const crumbs = { href: "/subscriptions", words: t().frame.places.subscriptions };
  if (!live.data) {
    return (
      <>
        <PageHead title={<Foreign text={name} />} name={name} crumbs={crumbs} />
        {!live.problem ? <Waiting words={t().common.loading} /> : live.problem.status === 404 ? <Empty title={words.notFound}><p>{words.notFoundHelp}</p></Empty> : <ProblemNote problem={live.problem} />}
      </>
    );
  }
  const item = live.data;
  const base = `/subscriptions/${encodeURIComponent(name)}`;
  const tabs = [
    { id: "", words: words.tabs.deliveries, href: base }, { id: "charts", words: words.tabs.charts, href: `${base}/charts` },
    ...(item.settings?.broadcast ? [{ id: "instances", words: words.tabs.instances, href: `${base}/instances` }] : []),
    ...(item.built_in ? [] : [{ id: "settings", words: words.tabs.settings, href: `${base}/settings` }]),
  ];
  return (
    <>
      <PageHead crumbs={crumbs} name={name} title={<span class="head-line"><Foreign text={name} /> <SubscriptionState item={item} /></span>}><Actions item={item} /></PageHead>
      {item.invalid && <div class="problem"><div><p class="strong">{words.invalid}</p><p><Foreign text={item.invalid} /></p></div></div>}
      <Facts item={item} />
      <Tabs label={name} tabs={tabs} current={tab} />
      {tab === "charts" ? <PulseCharts subscription={name} /> : tab === "instances" ? <Instances name={name} /> : tab === "settings" && item.settings ? <SubscriptionForm item={item} onDone={live.reload} /> : <Deliveries item={item} />}
    </>
  );
}

function Facts({ item }: { item: Item }): JSX.Element {
  const words = t().subscriptions.columns;
  const s = item.standing;
  return (
    <dl class="facts-line">
      {item.settings && <div><dt>{words.topics}</dt><dd><Foreign text={item.settings.topics.join(", ")} mono /></dd></div>}
      {item.settings && <div><dt>{words.target}</dt><dd><Foreign text={item.settings.target} mono /></dd></div>}
      <div><dt>{words.rate}</dt><dd>{rate(s.rate_per_second)}</dd></div>
      <div><dt>p99</dt><dd>{s.p99_ms == null ? "–" : duration(s.p99_ms)}</dd></div>
      <div><dt>{words.outstanding}</dt><dd>{counted(s.outstanding)}</dd></div>
      {s.circuit === "open" && <CircuitFact item={item} />}
      {s.oldest_at && <div><dt>{words.oldest}</dt><dd><Age since={s.oldest_at} /></dd></div>}
      {s.blocked_keys.n > 0 && <div><dt>{t().frame.places.keys}</dt><dd><a href={address("/keys", { subscription: item.name })}>{counted(s.blocked_keys)}</a></dd></div>}
    </dl>
  );
}

/** CircuitFact says since when the circuit is open, and how often the receiver is probed: as often as retries are due. */
function CircuitFact({ item }: { item: Item }): JSX.Element {
  const own = item.settings?.backoff_ms ?? [];
  const usual = useLive<Schemas["Settings"]>(own.length > 0 ? undefined : path("settings"), {}, 0).data?.backoff_ms ?? [];
  const intervals = (own.length > 0 ? own : usual).slice(0, 8).map(duration);
  const words = t().subscriptions;
  return <div><dt>{words.states.circuit}</dt><dd><span><Age since={item.standing.circuit_since} /> · {words.circuit(list(intervals))}</span></dd></div>;
}

function Actions({ item }: { item: Item }): JSX.Element {
  const [asked, ask, close] = useOpen<"test" | "replay" | "delete">();
  const words = t().subscription;
  const paused = item.state === "paused";
  const turn = (): void => {
    request<Schemas["SubscriptionChanged"]>("POST", path("subscriptions", item.name, paused ? "resume" : "pause"), { body: {} })
      .then((answer) => toast(paused ? words.resumedNow(counted(answer.data!.waiting)) : words.pausedNow), failed).finally(wake);
  };
  const copies = (
    <Menu words={t().common.copyAs} icon="copy" kind="quiet" items={[
      { words: "relay subscriptions list", onPress: () => void copy(command(["subscriptions", "list"]), t().common.command) },
      { words: paused ? "relay subscriptions resume" : "relay subscriptions pause", onPress: () => void copy(command(["subscriptions", paused ? "resume" : "pause", item.name]), t().common.command) },
      { words: "curl", onPress: () => void copy(curl(path("subscriptions", item.name)), t().common.command) },
    ]} />
  );
  if (!mayChange.value || item.built_in) return copies;
  return (
    <>
      <Button icon={paused ? "play" : "pause"} kind={paused ? "primary" : "plain"} onPress={turn}>{paused ? words.resume(item.standing.outstanding.n > 0 ? counted(item.standing.outstanding) : "") : words.pause}</Button>
      <Button onPress={() => ask("test")}>{words.test}</Button>
      <Button onPress={() => ask("replay")}>{words.replay}</Button>
      {copies}
      <Menu icon="more" label={t().common.more} kind="quiet" items={[{ words: words.remove, danger: true, onPress: () => ask("delete") }]} />
      {asked === "test" && <TrialDialog name={item.name} onClose={close} />}
      {asked === "replay" && <BulkDialog request={{ kind: "replay", kinds: ["replay"], filter: { since: "24h" }, replayTo: item.name }} onClose={close} />}
      {asked === "delete" && <DeleteDialog item={item} onClose={close} />}
    </>
  );
}
