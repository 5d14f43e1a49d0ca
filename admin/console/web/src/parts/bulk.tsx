// The dialog in which everything that matches a filter is retried, cancelled or replayed, as a job.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { path, request, asProblem, type Problem, type Query, type Schemas } from "../api";
import { counted, duration, number } from "../format";
import { filterBody } from "../filter";
import { filterOfJob, jobKinds, type JobKind, type Obstacle } from "../jobfilter";
import { subscriptionNames } from "../overview";
import { wake } from "../live";
import { t } from "../text";
import { optionWords } from "./filterbar";
import { Button, Field, Segments } from "./controls";
import { Dialog } from "./dialog";
import { known } from "./glyph";
import { ProblemNote } from "./problem";
import { messageState, Status } from "./status";
import { failed, toast } from "./toast";
import { Foreign, Time } from "./words";

export interface BulkRequest {
  kind: JobKind;
  /** What the list is filtered by. */
  filter: Query;
  /** Only these kinds may be chosen; absent: all three. */
  kinds?: JobKind[];
  replayTo?: string;
}

const typedAbove = 1000;

export function BulkDialog({ request: asked, onClose }: { request: BulkRequest; onClose: () => void }): JSX.Element {
  const kinds = asked.kinds ?? jobKinds;
  const refused = kinds.flatMap((id) => { const { obstacle } = filterOfJob(id, asked.filter); return obstacle ? [{ id, obstacle }] : []; });
  const may = (id: JobKind): boolean => !refused.some((one) => one.id === id);
  const [kind, setKind] = useState(may(asked.kind) ? asked.kind : kinds.find(may) ?? asked.kind);
  const [replayTo, setReplayTo] = useState(asked.replayTo ?? "");
  const [rate, setRate] = useState("");
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const once = useRef(crypto.getRandomValues(new Uint32Array(4)).join("-"));
  const { filter } = filterOfJob(kind, asked.filter);
  const body = jobBody(kind, filter, replayTo, rate, reason);
  const ready = may(kind) && (kind !== "replay" || replayTo !== "");
  const { preview, problem } = usePreview(body, ready);
  const words = t().bulk;
  const n = preview?.count.n ?? 0;
  const many = n > typedAbove;
  const sure = !many || typed.replace(/\D/g, "") === String(n);
  const startable = !!preview && n > 0 && sure && !problem && !(rate && !(Number(rate) > 0));

  const start = async (): Promise<void> => {
    setBusy(true);
    try {
      const answer = await request<Schemas["JobAnswer"]>("POST", path("jobs"), { body, once: once.current });
      onClose();
      started(answer.data!.job!);
    } catch (error) {
      failed(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={words.title[kind]} wide onClose={onClose} foot={
      <>
        <Button onPress={onClose}>{t().common.back}</Button>
        <Button kind={kind === "cancel" ? "danger" : "primary"} busy={busy} disabled={!startable} onPress={() => void start()}>{words.start[kind](n)}</Button>
      </>
    }>
      {kinds.length > 1 && <Segments label={words.what} value={kind} onChange={setKind} options={kinds.map((id) => ({ id, words: words.kinds[id], disabled: !may(id) }))} />}
      {refused.map(({ id, obstacle }) => <p key={id} class="muted">{words.not(words.kinds[id], obstacleWords(obstacle))}</p>)}
      <FilterLine filter={filter} />
      {kind === "replay" && asked.replayTo && <p class="chips"><span class="filter-chip still"><span class="muted">{words.replayTo}</span> <Foreign text={asked.replayTo} /></span></p>}
      {kind === "replay" && !asked.replayTo && (
        <Field label={words.replayTo}>{(id) => <select id={id} value={replayTo} onChange={(event) => setReplayTo(event.currentTarget.value)}><option value="">–</option>{subscriptionNames.value.map((one) => <option key={one}>{one}</option>)}</select>}</Field>
      )}
      <div class="region" role="status">{problem ? <ProblemNote problem={problem} /> : preview ? <Preview preview={preview} /> : ready && <p class="muted">{words.counting}</p>}</div>
      <div class="fields">
        <Field label={words.rate} optional={t().common.optional} help={words.rateHelp} error={rate && !(Number(rate) > 0) ? words.rateWrong : undefined}>
          {(id, about) => <input id={id} aria-describedby={about} inputMode="decimal" value={rate} placeholder={words.fast} onInput={(event) => setRate(event.currentTarget.value)} />}
        </Field>
        <Field label={t().common.reason} optional={t().common.optional} help={t().common.reasonHelp}>
          {(id, about) => <input id={id} aria-describedby={about} maxLength={1000} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />}
        </Field>
      </div>
      {many && <Field label={words.type(number(n))}>{(id) => <input id={id} class="mono" value={typed} autocomplete="off" onInput={(event) => setTyped(event.currentTarget.value)} />}</Field>}
    </Dialog>
  );
}

/** obstacleWords says why a filter gives no job of a kind, as the end of a sentence. */
export function obstacleWords(obstacle: Obstacle): string {
  const words = t().bulk.obstacles;
  const names = t().filter.names as Record<string, string>;
  return "names" in obstacle ? words[obstacle.why](obstacle.names.map((one) => names[one] ?? one)) : words[obstacle.why];
}

function jobBody(kind: JobKind, filter: Query, replayTo: string, rate: string, reason: string): Record<string, unknown> {
  return {
    kind, filter: filterBody(filter), ...(kind === "replay" && { replay_to: replayTo }),
    ...(Number(rate) > 0 && { rate: Number(rate) }), ...(reason && { reason }),
  };
}

/** usePreview counts what the job would touch; an answer to an earlier choice is thrown away. */
function usePreview(body: Record<string, unknown>, ready: boolean): { preview: Schemas["JobPreview"] | undefined; problem: Problem | undefined } {
  const [state, setState] = useState<{ preview?: Schemas["JobPreview"]; problem?: Problem }>({});
  const { reason: _reason, ...counts } = body;
  const asked = JSON.stringify(counts);
  useEffect(() => {
    setState({});
    if (!ready) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      request<Schemas["JobAnswer"]>("POST", path("jobs"), { query: { preview: "true" }, body: JSON.parse(asked), signal: abort.signal })
        .then((answer) => setState(answer.data?.preview ? { preview: answer.data.preview } : {}))
        .catch((error: unknown) => { if (!abort.signal.aborted) setState({ problem: asProblem(error) }); });
    }, 150);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [asked, ready]);
  return { preview: state.preview, problem: state.problem };
}

/** started says that a job will begin, with the moment to stop it before it has done anything. */
function started(job: Schemas["Job"]): void {
  const words = t().bulk;
  const stop = (): void => {
    request("POST", path("jobs", job.id, "stop"), { body: {} }).then(() => toast(words.stopped), failed).finally(wake);
  };
  toast(<>{words.started} <a href={`/jobs/${job.id}`}>{words.open}</a></>, { action: { words: words.stop, onPress: stop } });
  wake();
}

function FilterLine({ filter }: { filter: Query }): JSX.Element {
  const names = t().filter.names as Record<string, string>;
  const entries = Object.entries(filter).filter(([, value]) => value && value.length > 0);
  return (
    <p class="chips">
      {entries.map(([name, value]) => (
        <span key={name} class="filter-chip still"><span class="muted">{names[name] ?? name}</span> <Foreign text={[value].flat().map((one) => optionWords(name, one ?? "")).join(", ")} /></span>
      ))}
      {entries.length === 0 && <span class="muted">{t().bulk.everything}</span>}
    </p>
  );
}

function Preview({ preview }: { preview: Schemas["JobPreview"] }): JSX.Element {
  const words = t().bulk;
  return (
    <div class="preview">
      <p class="tile-number">{counted(preview.count)}<span class="muted text"> {words.match}{!preview.complete && ` · ${words.countsOn}`}</span></p>
      {preview.estimated_ms !== undefined && preview.count.n > 0 && <p class="muted">{words.takes(duration(preview.estimated_ms))}</p>}
      <ul class="counts">
        {preview.by_status.map((one) => <li key={one.status}><Status state={known(one.status)} /> {number(one.n)}</li>)}
      </ul>
      {preview.samples.length > 0 && (
        <ul class="samples" aria-label={words.samples}>
          {preview.samples.map((one) => <li key={one.id}><Status state={messageState(one)} /><Foreign text={one.topic} cut /><span class="mono muted"><Foreign text={one.key ?? ""} cut /></span><Time at={one.created_at} /></li>)}
        </ul>
      )}
      {preview.left_out.length > 0 && (
        <p class="muted">{words.leftOut} {preview.left_out.map((one) => `${counted(one.count)} ${t().state[known(one.status)]} (${words.why[one.why]})`).join(" · ")}</p>
      )}
    </div>
  );
}

