// How a message looks as a row.
import type { Schemas } from "../api";
import { number } from "../format";
import { t } from "../text";
import { CopyButton } from "./clipboard";
import { causeWords, messageState, Progress, Status } from "./status";
import type { Column } from "./table";
import { Foreign, Time } from "./words";

type Item = Schemas["MessageItem"];

/** messageColumns are the columns of a list of messages. */
export function messageColumns(): Column<Item>[] {
  const words = t().messages.columns;
  return [
    { id: "status", head: words.status, width: "w-status", cell: (row) => <Status state={messageState(row)} /> },
    { id: "created", head: words.created, width: "w-time", title: t().messages.sorted, cell: (row) => <Time at={row.status === "pending" && row.deliver_at ? row.deliver_at : row.created_at} /> },
    { id: "topic", head: words.topic, width: "w-topic", cell: (row) => <a class="row-link cut" href={`/messages/${row.id}`} tabIndex={-1}><Foreign text={row.topic} cut /></a> },
    { id: "key", head: words.key, width: "w-key", optional: true, cell: (row) => row.key ? <Foreign text={row.key} mono cut /> : <span class="muted">–</span> },
    { id: "source", head: words.source, width: "w-source", optional: true, cell: (row) => row.source ? <Foreign text={row.source} cut /> : <span class="muted">–</span> },
    { id: "subscribers", head: words.subscribers, width: "w-progress", cell: (row) => <Progress m={row} /> },
    { id: "attempts", head: words.attempts, width: "w-num", number: true, optional: true, cell: (row) => number(row.attempt_count) },
    { id: "error", head: words.error, width: "w-error", optional: true, cell: (row) => <ErrorWords cause={row.cause} error={row.error} /> },
    { id: "id", head: words.id, width: "w-id", optional: true, cell: (row) => <span class="id-cell"><span class="mono muted" title={row.id}>…{row.id.slice(-8)}</span><CopyButton text={row.id} what={t().common.id} /></span> },
  ];
}

/** ErrorWords is the cause before the error's text, on one line. */
export function ErrorWords({ cause, error }: { cause: string | undefined; error: string | undefined }) {
  if (!cause && !error) return <span class="muted">–</span>;
  return <span class="error-words cut" title={error}>{cause && <b>{causeWords(cause)}</b>}{cause && error && " · "}{error && <Foreign text={error} />}</span>;
}
