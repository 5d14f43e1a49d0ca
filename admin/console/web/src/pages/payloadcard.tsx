// The payload and the headers of a message. The payload never changes, so it is asked for once.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { asProblem, path, request, type Problem, type Schemas } from "../api";
import { CopyButton } from "../parts/clipboard";
import { Bytes } from "../parts/payload";
import { ProblemNote } from "../parts/problem";
import { Foreign } from "../parts/words";
import { t } from "../text";

const most = 64 * 1024;

export function PayloadCard({ m }: { m: Schemas["Message"] }): JSX.Element {
  const [content, setContent] = useState<Uint8Array>();
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    if (m.hidden) return;
    const abort = new AbortController();
    request<Uint8Array>("GET", path("messages", m.id, "payload"), { raw: true, query: { first: String(most) }, signal: abort.signal })
      .then((answer) => setContent(answer.data))
      .catch((error: unknown) => { if (!abort.signal.aborted) setProblem(asProblem(error)); });
    return () => abort.abort();
  }, [m.id, m.hidden]);
  const words = t().payload;
  return (
    <section class="card" aria-labelledby="payload-head">
      <div class="card-head"><h2 id="payload-head">{words.title}</h2><span class="muted"><Foreign text={m.content_type} mono /></span></div>
      {m.hidden ? <p class="note">{words.hidden}</p> : problem ? <ProblemNote problem={problem} /> : content && <Bytes content={content} total={m.size} download={path("messages", m.id, "payload")} label={words.title} />}
      <h3 class="sub-head">{words.headers}</h3>
      {m.hidden ? null : m.headers_cut ? <p class="note">{words.headersCut}</p> : <Headers m={m} />}
    </section>
  );
}

/** Headers are the row's own, and what is sent besides. */
function Headers({ m }: { m: Schemas["Message"] }): JSX.Element {
  const words = t().payload;
  const sent: [string, string][] = [
    ["webhook-id", m.id], ["webhook-timestamp", words.atSending], ["webhook-signature", words.ifSigned], ["ce-specversion", "1.0"], ["ce-id", m.id], ["ce-type", m.topic],
    ...(m.source ? [["ce-source", m.source] as [string, string]] : []), ["relay-attempt", words.number],
  ];
  return (
    <table class="plain headers">
      <caption class="only-read">{words.headers}</caption>
      <tbody>
        {m.headers.map((one, n) => <tr key={`${one.name} ${n}`}><th scope="row"><Foreign text={one.name} mono /></th><td><Foreign text={one.value} mono /> <CopyButton text={one.value} what={one.name} /></td></tr>)}
        {m.headers.length === 0 && <tr><td colSpan={2} class="muted">{words.noHeaders}</td></tr>}
        {sent.map(([name, value]) => <tr key={name} class="muted"><th scope="row" class="mono">{name}</th><td><Foreign text={value} mono /> <span class="note-inline">{words.added}</span></td></tr>)}
      </tbody>
    </table>
  );
}
