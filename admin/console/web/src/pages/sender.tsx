// One sender: the sender's view of its messages.
import type { JSX } from "preact";
import { path, type Schemas } from "../api";
import { causes, filtersOf, messageFilters } from "../filter";
import { counted, rate } from "../format";
import { useLive } from "../live";
import { subscriptionNames } from "../overview";
import { Empty, Waiting } from "../parts/empty";
import { FilterBar } from "../parts/filterbar";
import { PageHead } from "../parts/head";
import { ProblemNote } from "../parts/problem";
import { Stages } from "../parts/stages";
import { Age, Foreign, Time } from "../parts/words";
import { address, place } from "../route";
import { t } from "../text";
import { MessageList } from "./messages";
import { share } from "./senders";

type Item = Schemas["Sender"];

const filters = messageFilters.filter((one) => one.name !== "source");

export function SenderPage({ source }: { source: string }): JSX.Element {
  const live = useLive<Item>(path("senders", source), {}, 10_000);
  const stage = place.value.query.get("stage") ?? undefined;
  const words = t().senders;
  const item = live.data;
  const all = { ...filtersOf(filters), source, stage };
  return (
    <>
      <PageHead crumbs={{ href: "/senders", words: words.title }} title={<Foreign text={source} />} name={source} />
      {live.problem && !item && (live.problem.status === 404 ? <p class="lede">{words.notSeen}</p> : <ProblemNote problem={live.problem} />)}
      {!item && !live.problem && <Waiting words={t().common.loading} rows={2} />}
      {item && <Facts item={item} />}
      {item && (item.topic_list?.length ?? 0) > 0 && <Topics item={item} />}
      <h2>{t().messages.title}</h2>
      <Stages stages={item?.stages ?? []} value={stage} view="sender" />
      <FilterBar definitions={filters} words={["messages", "list"]} fixed={{ source }} api={path("messages")} suggestions={{ subscriptions: subscriptionNames.value, causes, topics: item?.topic_list?.map((one) => one.topic) ?? [] }} />
      <MessageList filters={all} />
    </>
  );
}

function Facts({ item }: { item: Item }): JSX.Element {
  const words = t().senders;
  return (
    <dl class="facts-line">
      <div><dt>{words.columns.rate}</dt><dd>{rate(item.rate_per_second)}/s</dd></div>
      <div><dt>{words.columns.today}</dt><dd>{counted(item.today)}</dd></div>
      <div><dt>{words.columns.rejected}</dt><dd class={item.rejected.n > 0 ? "tone-reject strong" : ""}>{counted(item.rejected)}</dd></div>
      <div><dt>{words.columns.share}</dt><dd title={words.shareHelp}>{share(item.handled_share)}</dd></div>
      <div><dt>{words.columns.oldest}</dt><dd><Age since={item.oldest_open} /></dd></div>
      <div><dt>{words.columns.last}</dt><dd><Time at={item.last_at} /></dd></div>
    </dl>
  );
}

/** Topics says which topics the sender has, and who receives them. */
function Topics({ item }: { item: Item }): JSX.Element {
  const words = t().senders;
  const topics = item.topic_list ?? [];
  if (topics.length === 0) return <Empty title={words.none} />;
  return (
    <section class="card" aria-labelledby="topics-head">
      <div class="card-head"><h2 id="topics-head">{words.receives}</h2></div>
      <div class="table-scroll short" tabIndex={0} role="region" aria-labelledby="topics-head">
        <table class="plain">
          <thead><tr><th scope="col">{t().messages.columns.topic}</th><th scope="col" class="num">{words.columns.rate}</th><th scope="col" class="num">{words.columns.today}</th><th scope="col" class="num">{words.columns.rejected}</th><th scope="col">{words.columns.last}</th><th scope="col">{words.receivers}</th></tr></thead>
          <tbody>
            {topics.map((one) => (
              <tr key={one.topic}>
                <th scope="row"><a href={address("/messages", { topic: one.topic, source: item.source })}><Foreign text={one.topic} mono /></a></th>
                <td class="num">{rate(one.rate_per_second)}</td><td class="num">{counted(one.today)}</td><td class="num">{counted(one.rejected)}</td><td><Time at={one.last_at} /></td>
                <td>{one.unheard ? <a class="tone-reject" href={address("/subscriptions", { new: "yes", topics: one.topic })}>{words.noSubscriber}</a> : one.subscriptions.map((name) => <a key={name} class="topic" href={`/subscriptions/${encodeURIComponent(name)}`}><Foreign text={name} /></a>)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
