// Senders: which services send, and what becomes of it.
import type { JSX } from "preact";
import { path, type Schemas } from "../api";
import { command, curl } from "../filter";
import { counted, number, rate } from "../format";
import { useLive } from "../live";
import { copy } from "../parts/clipboard";
import { Menu } from "../parts/controls";
import { Empty, Waiting } from "../parts/empty";
import { PageHead } from "../parts/head";
import { afterOf, Pager } from "../parts/pager";
import { ProblemNote } from "../parts/problem";
import { Sparkline } from "../parts/sparkline";
import { Table, type Column } from "../parts/table";
import { Age, Foreign, Time } from "../parts/words";
import { t } from "../text";

type Row = Schemas["Sender"];

export const share = (value: number | undefined | null): string => (value == null ? "–" : `${number(Math.floor(value * 1000) / 10)} %`);

export function SendersPage(): JSX.Element {
  const after = afterOf();
  const live = useLive<Schemas["PageSender"]>(path("senders"), { after });
  const words = t().senders;
  const rows = live.data?.items;
  const link = (row: Row): string => `/senders/${encodeURIComponent(row.source)}`;
  const columns: Column<Row>[] = [
    { id: "source", head: words.columns.source, width: "w-name", cell: (row) => <a class="row-link cut" href={link(row)} tabIndex={-1}><Foreign text={row.source || words.noName} cut /></a> },
    { id: "rate", head: words.columns.rate, width: "w-num", number: true, cell: (row) => rate(row.rate_per_second) },
    { id: "today", head: words.columns.today, width: "w-num", number: true, cell: (row) => counted(row.today) },
    { id: "rejected", head: words.columns.rejected, width: "w-num", number: true, cell: (row) => row.rejected.n > 0 ? <span class="tone-reject strong">{counted(row.rejected)}</span> : "0" },
    { id: "share", head: words.columns.share, width: "w-num", number: true, title: words.shareHelp, cell: (row) => share(row.handled_share) },
    { id: "oldest", head: words.columns.oldest, width: "w-time", cell: (row) => <Age since={row.oldest_open} /> },
    { id: "last", head: words.columns.last, width: "w-time", cell: (row) => <Time at={row.last_at} /> },
    { id: "unheard", head: words.columns.unheard, width: "w-topic", title: words.unheardHelp, cell: (row) => row.unheard.length > 0 ? <span class="tone-reject cut"><Foreign text={row.unheard.join(", ")} mono cut /></span> : <span class="muted">–</span> },
    { id: "spark", head: t().subscriptions.columns.spark, width: "w-spark", cell: (row) => <Sparkline values={row.spark} label={words.columns.rate} /> },
  ];
  return (
    <>
      <PageHead title={words.title} name={words.title} lede={words.lede}>
        <Menu words={t().common.copyAs} icon="copy" kind="quiet" items={[
          { words: "relay …", hint: "relay senders list", onPress: () => void copy(command(["senders", "list"]), t().common.command) },
          { words: "curl", onPress: () => void copy(curl(path("senders")), t().common.command) },
        ]} />
      </PageHead>
      {live.problem && !rows && <ProblemNote problem={live.problem} />}
      {!rows && !live.problem && <Waiting words={t().common.loading} />}
      {rows && rows.length > 0 && <Table caption={words.title} page={`senders ${after ?? ""}`} rows={rows} keyOf={(row) => row.source} href={link} columns={columns} />}
      {rows?.length === 0 && <Empty title={words.none}><p>{words.noneHelp}</p></Empty>}
      <Pager next={live.data?.next} />
    </>
  );
}
