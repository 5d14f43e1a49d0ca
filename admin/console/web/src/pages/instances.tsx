// The instances of a broadcast: each live copy of the subscriber, as its newest deliveries show it.
import type { JSX } from "preact";
import { path, type Schemas } from "../api";
import { counted } from "../format";
import { useLive } from "../live";
import { Empty, Waiting } from "../parts/empty";
import { ErrorWords } from "../parts/messagerows";
import { ProblemNote } from "../parts/problem";
import { Bar } from "../parts/status";
import { Table, type Column } from "../parts/table";
import { Foreign, Time } from "../parts/words";
import { t } from "../text";

type Row = Schemas["Instance"];

export function Instances({ name }: { name: string }): JSX.Element {
  const live = useLive<Schemas["PageInstance"]>(path("subscriptions", name, "instances"), {}, 10_000);
  const words = t().subscription;
  const rows = live.data?.items;
  const columns: Column<Row>[] = [
    { id: "instance", head: words.instance, width: "w-error", cell: (row) => <Foreign text={row.instance || "–"} mono cut /> },
    { id: "seen", head: words.tabs.deliveries, width: "w-bar", cell: (row) => <span class="bar-cell"><span class="num">{counted(row.seen)}</span><Bar parts={row.by_status} label={words.tabs.deliveries} /></span> },
    { id: "last", head: words.lastSeen, width: "w-time", cell: (row) => <Time at={row.last_at} /> },
    { id: "error", head: t().messages.columns.error, width: "w-error", cell: (row) => <ErrorWords cause={undefined} error={row.error} /> },
  ];
  return (
    <>
      {live.problem && !rows && <ProblemNote problem={live.problem} />}
      {!rows && !live.problem && <Waiting words={t().common.loading} />}
      {rows && rows.length > 0 && <Table caption={words.tabs.instances} page="instances" rows={rows} keyOf={(row) => row.instance} columns={columns} steady={false} />}
      {rows?.length === 0 && <Empty title={words.noInstances} />}
    </>
  );
}
