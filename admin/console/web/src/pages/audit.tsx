// Audit: who did what to what.
import type { JSX } from "preact";
import { path, type Schemas } from "../api";
import { auditFilters, filtersOf } from "../filter";
import { useLive } from "../live";
import { Empty, Waiting } from "../parts/empty";
import { FilterBar, optionWords } from "../parts/filterbar";
import { PageHead } from "../parts/head";
import { afterOf, Pager } from "../parts/pager";
import { ProblemNote } from "../parts/problem";
import { Table, type Column } from "../parts/table";
import { Foreign, Time } from "../parts/words";
import { address } from "../route";
import { t } from "../text";

type Row = Schemas["AuditEntry"];

export function AuditPage(): JSX.Element {
  const after = afterOf();
  const filters = filtersOf(auditFilters);
  const live = useLive<Schemas["PageAuditEntry"]>(path("audit"), { ...filters, after }, 10_000);
  const words = t().audit;
  const rows = live.data?.items;
  return (
    <>
      <PageHead title={words.title} name={words.title} lede={words.lede} />
      <FilterBar definitions={auditFilters} words={["audit", "list"]} api={path("audit")} />
      {live.problem && !rows && <ProblemNote problem={live.problem} />}
      {!rows && !live.problem && <Waiting words={t().common.loading} />}
      {rows && rows.length > 0 && <Table caption={words.title} page={JSON.stringify({ filters, after })} busy={live.stale} rows={rows} keyOf={(row) => row.id} columns={columns()} href={objectLink} />}
      {rows?.length === 0 && !live.stale && <Empty title={words.none}><p>{words.noneHelp}</p></Empty>}
      <Pager next={live.data?.next} />
    </>
  );
}

/** objectLink is where the object of an entry is shown. */
function objectLink(row: Row): string | undefined {
  const object = row.object ?? "";
  if (!object) return undefined;
  if (row.object_kind === "message" && /^[0-9a-f-]{36}$/.test(object)) return `/messages/${object}`;
  if (row.object_kind === "job") return `/jobs/${encodeURIComponent(object)}`;
  if (row.object_kind === "subscription") return `/subscriptions/${encodeURIComponent(object)}`;
  if (row.object_kind === "key") return address("/messages", { key: object, since: "all" });
  return undefined;
}

function columns(): Column<Row>[] {
  const words = t().audit;
  const action = (row: Row): string => (words.actions as Record<string, string>)[row.action] ?? row.action;
  return [
    { id: "at", head: words.columns.at, width: "w-time", cell: (row) => <Time at={row.at} /> },
    { id: "who", head: words.columns.who, width: "w-who", cell: (row) => <span class="cut"><Foreign text={row.name || optionWords("role", row.role)} /> <span class="muted">{row.name && optionWords("role", row.role)}</span></span> },
    { id: "what", head: words.columns.what, width: "w-action", cell: (row) => <span class="cut" title={row.action}>{action(row)}</span> },
    { id: "object", head: words.columns.object, width: "w-topic", cell: (row) => <ObjectCell row={row} /> },
    { id: "result", head: words.columns.result, width: "w-error", cell: (row) => <span class="cut" title={row.details.map((one) => `${one.name}: ${one.value}`).join("\n")}><Foreign text={row.action === "failure.note" ? row.result ?? "" : t().audit.result(row.result ?? "–")} /></span> },
    { id: "reason", head: words.columns.reason, width: "w-name", cell: (row) => <Foreign text={row.reason ?? "–"} cut /> },
    { id: "address", head: words.columns.address, width: "w-name", cell: (row) => <Foreign text={row.address ?? "–"} mono cut /> },
  ];
}

function ObjectCell({ row }: { row: Row }): JSX.Element {
  const link = objectLink(row);
  const words = <><span class="muted">{row.object_kind && optionWords("object_kind", row.object_kind)}</span> <Foreign text={row.object ?? ""} mono /></>;
  return link ? <a class="row-link cut" href={link} tabIndex={-1}>{words}</a> : <span class="cut">{words}</span>;
}
