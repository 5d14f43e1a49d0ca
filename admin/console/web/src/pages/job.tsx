// One job: how far it is, and what it did to each message.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { effectWords } from "../actions";
import { path, request, type Schemas } from "../api";
import { command, curl } from "../filter";
import { counted, exactly, number } from "../format";
import { useLive, wake } from "../live";
import { BulkDialog } from "../parts/bulk";
import { copy } from "../parts/clipboard";
import { Button, Field, Menu, Segments } from "../parts/controls";
import { Dialog } from "../parts/dialog";
import { Empty, Waiting } from "../parts/empty";
import { Glyph } from "../parts/glyph";
import { PageHead } from "../parts/head";
import { afterOf, Pager } from "../parts/pager";
import { ProblemNote } from "../parts/problem";
import { Table } from "../parts/table";
import { failed, toast } from "../parts/toast";
import { Foreign, Time } from "../parts/words";
import { address, go, place, withQuery } from "../route";
import { mayChange } from "../session";
import { t } from "../text";
import { jobFilter, JobProgress, JobStatus, JobWords } from "./jobs";
import { useOpen } from "./subscriptions";

type Job = Schemas["Job"];

export function JobPage({ id }: { id: string }): JSX.Element {
  const live = useLive<Job>(path("jobs", id), {}, (job) => (job?.status === "running" ? 1000 : 10_000));
  const words = t().jobs;
  const crumbs = { href: "/jobs", words: words.title };
  const job = live.data;
  if (!job) {
    return <><PageHead title={words.one} name={words.one} crumbs={crumbs} />{live.problem ? live.problem.status === 404 ? <Empty title={words.notFound} /> : <ProblemNote problem={live.problem} /> : <Waiting words={t().common.loading} />}</>;
  }
  return (
    <>
      <PageHead crumbs={crumbs} name={`${t().bulk.kinds[job.kind]} · ${words.one}`} title={<span class="head-line">{t().bulk.kinds[job.kind]} <JobStatus job={job} /></span>}><Actions job={job} /></PageHead>
      <p class="text job-words"><JobWords job={job} /></p>
      {job.error && <div class="problem"><p><Foreign text={job.error} /></p></div>}
      <section class="card job-card">
        <JobProgress job={job} wide />
        <dl class="facts-line">
          <div><dt>{words.changed}</dt><dd>{number(job.done)}</dd></div>
          <div><dt>{words.columns.failed}</dt><dd class={job.failed > 0 ? "tone-dead strong" : ""}>{number(job.failed)}</dd></div>
          <div><dt>{words.remaining}</dt><dd>{job.total ? counted({ ...job.total, n: Math.max(job.total.n - job.done - job.failed, 0) }) : words.notCounted}</dd></div>
          {job.status === "running" && new Date(job.starts_at) > new Date(job.updated_at) && <div><dt>{words.starts}</dt><dd><Time at={job.starts_at} /></dd></div>}
          {job.status === "running" && job.ends_at && <div><dt>{words.ends}</dt><dd><Time at={job.ends_at} /></dd></div>}
          <div><dt>{words.columns.rate}</dt><dd>{job.rate == null ? t().bulk.fast : `${number(job.rate)}/s`}</dd></div>
          <div><dt>{words.columns.by}</dt><dd><Foreign text={job.by || "–"} /></dd></div>
          {job.reason && <div><dt>{words.columns.reason}</dt><dd><Foreign text={job.reason} /></dd></div>}
          <div><dt>{words.columns.started}</dt><dd title={exactly(job.created_at)}><Time at={job.created_at} /></dd></div>
          {job.finished_at && <div><dt>{words.finished}</dt><dd><Time at={job.finished_at} /></dd></div>}
        </dl>
      </section>
      <Results job={job} />
    </>
  );
}

function Actions({ job }: { job: Job }): JSX.Element {
  const [asked, ask, close] = useOpen<"rate" | "again">();
  const words = t().jobs;
  const list = address("/messages", { since: "all", ...jobFilter(job) });
  const turn = (what: "stop" | "resume", body: object): void => {
    request("POST", path("jobs", job.id, what), { body }).then(() => toast(what === "stop" ? t().bulk.stopped : words.resumed), failed).finally(wake);
  };
  return (
    <>
      {mayChange.value && job.status === "running" && <Button icon="pause" onPress={() => turn("stop", {})}>{words.stop}</Button>}
      {mayChange.value && (job.status === "stopped" || job.status === "failed") && <Button icon="play" kind="primary" onPress={() => turn("resume", {})}>{words.resume}</Button>}
      {mayChange.value && job.status !== "done" && <Button onPress={() => ask("rate")}>{words.changeRate}</Button>}
      {mayChange.value && job.status === "done" && <Button onPress={() => ask("again")}>{words.again}</Button>}
      <a class="button" href={list}>{words.list}</a>
      <Menu words={t().common.copyAs} icon="copy" kind="quiet" items={[
        { words: "relay jobs show", onPress: () => void copy(command(["jobs", "show", job.id]), t().common.command) },
        { words: "curl", onPress: () => void copy(curl(path("jobs", job.id)), t().common.command) },
      ]} />
      {asked === "rate" && <RateDialog job={job} onClose={close} />}
      {asked === "again" && <BulkDialog request={{ kind: job.kind, kinds: [job.kind], filter: jobFilter(job), ...(job.replay_to && { replayTo: job.replay_to }) }} onClose={close} />}
    </>
  );
}

/** RateDialog changes the rate: a running job goes on with the new one, and one that was stopped or failed is resumed. */
function RateDialog({ job, onClose }: { job: Job; onClose: () => void }): JSX.Element {
  const [rate, setRate] = useState(job.rate == null ? "" : String(job.rate));
  const [busy, setBusy] = useState(false);
  const words = t().jobs;
  const wrong = rate !== "" && !(Number(rate) > 0);
  const save = async (): Promise<void> => {
    setBusy(true);
    try {
      if (job.status === "failed") await request("POST", path("jobs", job.id, "resume"), { body: {} });
      const changed = await request<Job>("POST", path("jobs", job.id, "rate"), { body: { rate: rate ? Number(rate) : 0 } });
      if (changed.data!.status === "stopped") await request("POST", path("jobs", job.id, "resume"), { body: {} });
      onClose();
    } catch (error) {
      failed(error);
      setBusy(false);
    } finally {
      wake();
    }
  };
  return (
    <Dialog title={words.changeRate} onClose={onClose} foot={<><Button onPress={onClose}>{t().common.back}</Button><Button kind="primary" busy={busy} disabled={wrong} onPress={() => void save()}>{words.goOn}</Button></>}>
      <Field label={t().bulk.rate} help={t().bulk.rateHelp} error={wrong ? t().bulk.rateWrong : undefined}>{(id, about) => <input id={id} aria-describedby={about} data-first inputMode="decimal" placeholder={t().bulk.fast} value={rate} onInput={(event) => setRate(event.currentTarget.value)} />}</Field>
    </Dialog>
  );
}

function Results({ job }: { job: Job }): JSX.Element {
  const onlyFailed = place.value.query.get("failed") === "true";
  const after = afterOf();
  const live = useLive<Schemas["PageJobResult"]>(path("jobs", job.id, "results"), { failed: onlyFailed ? "true" : undefined, after }, job.status === "running" ? 2000 : 15_000);
  const words = t().jobs;
  const rows = live.data?.items;
  return (
    <section class="stack" aria-labelledby="results-head">
      <div class="chart-head">
        <h2 id="results-head">{words.results}</h2>
        <Segments label={words.results} value={onlyFailed ? "failed" : "all"} options={[{ id: "all", words: t().stages.all }, { id: "failed", words: words.onlyFailed }]} onChange={(id) => go(withQuery({ failed: id === "failed" ? "true" : undefined, after: [] }), "replace")} />
      </div>
      {live.problem && !rows && <ProblemNote problem={live.problem} />}
      {rows && rows.length > 0 && (
        <Table caption={words.results} page={`${onlyFailed} ${after}`} rows={rows} busy={live.stale} keyOf={(row) => row.id} href={(row) => `/messages/${row.id}`} columns={[
          { id: "ok", head: <span class="only-read">{t().messages.columns.status}</span>, width: "w-check", cell: (row) => <Glyph state={row.succeeded ? "delivered" : "handle_failed"} label={row.succeeded ? words.did : words.didNot} /> },
          { id: "effect", head: words.effect, width: "w-long-status", cell: (row) => <span class="cut">{effectWords(row)}{row.detail && <span class="muted"> <Foreign text={row.detail} /></span>}</span> },
          { id: "id", head: t().messages.columns.id, width: "w-error", cell: (row) => <a class="mono row-link" href={`/messages/${row.id}`} tabIndex={-1}>{row.id}</a> },
          { id: "at", head: words.when, width: "w-time", cell: (row) => <Time at={row.at} /> },
        ]} />
      )}
      {rows?.length === 0 && !live.stale && <Empty title={words.noResults} />}
      <Pager next={live.data?.next} />
    </section>
  );
}
