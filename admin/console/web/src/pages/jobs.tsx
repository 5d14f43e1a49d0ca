// Jobs: what goes on in the background, and what it came to.
import type { JSX } from "preact";
import { path, type Query, type Schemas } from "../api";
import { command, curl } from "../filter";
import { counted, number, when } from "../format";
import { useLive } from "../live";
import { copy } from "../parts/clipboard";
import { Menu, Segments } from "../parts/controls";
import { Empty, Waiting } from "../parts/empty";
import { optionWords } from "../parts/filterbar";
import type { State } from "../parts/glyph";
import { PageHead } from "../parts/head";
import { afterOf, Pager } from "../parts/pager";
import { ProblemNote } from "../parts/problem";
import { Status } from "../parts/status";
import { Table, type Column } from "../parts/table";
import { Foreign, Time } from "../parts/words";
import { go, place, withQuery } from "../route";
import { t } from "../text";

type Job = Schemas["Job"];

const glyphs: Record<Job["status"], State> = { running: "open", stopped: "paused", done: "done", failed: "dead" };

export function JobStatus({ job }: { job: Job }): JSX.Element {
  return <Status state={glyphs[job.status]} words={t().jobs.states[job.status]} />;
}

/** jobFilter is a job's filter as an address has it. */
export function jobFilter(job: Job): Query {
  const filter: Query = {};
  for (const [name, value] of Object.entries(job.filter)) if (value && (typeof value === "string" || Array.isArray(value))) filter[name] = value as string | string[];
  return filter;
}

/** valueWords names a value of a filter; a moment is written as people read it. */
function valueWords(name: string, value: string): string {
  return /since|until/.test(name) && !Number.isNaN(Date.parse(value)) ? when(value) : optionWords(name, value);
}

/** JobWords says which messages a job is about. */
export function JobWords({ job }: { job: Job }): JSX.Element {
  const names = t().filter.names as Record<string, string>;
  const parts = Object.entries(jobFilter(job)).map(([name, value]) => `${names[name] ?? name} ${[value].flat().map((one) => valueWords(name, String(one))).join(", ")}`);
  return <span class="cut" title={parts.join("\n")}>{t().bulk.kinds[job.kind]}{job.replay_to && <> → <Foreign text={job.replay_to} /></>}{parts.length > 0 && <span class="muted"> · <Foreign text={parts.join(" · ")} /></span>}</span>;
}

export function JobProgress({ job, wide }: { job: Job; wide?: boolean }): JSX.Element {
  const done = job.done + job.failed;
  const total = Math.max(job.total?.n ?? 0, done, 1);
  return (
    <span class={`job-progress${wide ? " wide" : ""}`}>
      <progress value={job.status === "done" ? total : done} max={total} aria-label={t().jobs.progress} />
      <span class="num">{number(done)}{job.total && ` / ${counted(job.total)}`}</span>
    </span>
  );
}

export function JobsPage(): JSX.Element {
  const status = place.value.query.get("status") ?? undefined;
  const after = afterOf();
  const live = useLive<Schemas["PageJob"]>(path("jobs"), { after }, (data) => (data?.items.some((job) => job.status === "running") ? 1000 : 10_000));
  const words = t().jobs;
  const rows = live.data?.items.filter((job) => !status || job.status === status);
  const options = (["", "running", "stopped", "done", "failed"] as const).map((id) => ({ id, words: id ? words.states[id] : t().stages.all }));
  return (
    <>
      <PageHead title={words.title} name={words.title} lede={words.lede}>
        <Segments label={t().messages.columns.status} value={(status ?? "") as ""} options={options as { id: ""; words: string }[]} onChange={(id) => go(withQuery({ status: id, after: [] }))} />
        <Menu words={t().common.copyAs} icon="copy" kind="quiet" items={[
          { words: "relay …", hint: "relay jobs list", onPress: () => void copy(command(["jobs", "list"]), t().common.command) },
          { words: "curl", onPress: () => void copy(curl(path("jobs")), t().common.command) },
        ]} />
      </PageHead>
      {live.problem && !rows && <ProblemNote problem={live.problem} />}
      {!rows && !live.problem && <Waiting words={t().common.loading} />}
      {rows && rows.length > 0 && <Table caption={words.title} page={`${status} ${after}`} busy={live.stale} rows={rows} keyOf={(row) => row.id} href={(row) => `/jobs/${row.id}`} columns={columns()} />}
      {rows?.length === 0 && !live.stale && <Empty title={words.none} actions={<a class="button primary" href="/failures">{t().frame.places.failures}</a>}><p>{words.noneHelp}</p></Empty>}
      <Pager next={live.data?.next} />
    </>
  );
}

function columns(): Column<Job>[] {
  const words = t().jobs.columns;
  return [
    { id: "state", head: words.state, width: "w-state", cell: (row) => <JobStatus job={row} /> },
    { id: "what", head: words.what, width: "w-error", cell: (row) => <a class="row-link cut" href={`/jobs/${row.id}`} tabIndex={-1}><JobWords job={row} /></a> },
    { id: "progress", head: words.progress, width: "w-bar", cell: (row) => <JobProgress job={row} /> },
    { id: "failed", head: words.failed, width: "w-num", number: true, cell: (row) => row.failed > 0 ? <span class="tone-dead strong">{number(row.failed)}</span> : "0" },
    { id: "rate", head: words.rate, width: "w-num", number: true, cell: (row) => row.rate == null ? "–" : `${number(row.rate)}/s` },
    { id: "by", head: words.by, width: "w-source", cell: (row) => <Foreign text={row.by || "–"} cut /> },
    { id: "reason", head: words.reason, width: "w-source", cell: (row) => <Foreign text={row.reason ?? "–"} cut /> },
    { id: "started", head: words.started, width: "w-time", cell: (row) => <Time at={row.created_at} /> },
  ];
}
