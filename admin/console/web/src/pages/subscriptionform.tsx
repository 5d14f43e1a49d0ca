// The settings of a subscription. Saving shows what will be different first.
import type { ComponentChildren, JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { asProblem, path, request, type Problem, type Schemas } from "../api";
import { counted } from "../format";
import { useHold, useLive, wake } from "../live";
import { Button, Field, Switch } from "../parts/controls";
import { Dialog } from "../parts/dialog";
import { ProblemNote } from "../parts/problem";
import { toast } from "../parts/toast";
import { Foreign } from "../parts/words";
import { mayChange } from "../session";
import { t } from "../text";
import { bodyOf, differences, draftOf, ruler, rulerWords, span, wrongFields, type Draft } from "./subscriptiondraft";

type Item = Schemas["Subscription"];
interface Parts {
  draft: Draft;
  set: (change: Partial<Draft>) => void;
  wrong: Set<keyof Draft>;
  usual: Schemas["Settings"] | undefined;
  item: Item | undefined;
}

export function SubscriptionForm({ item, topics, onDone }: { item?: Item; topics?: string; onDone: (name?: string) => void }): JSX.Element {
  const usual = useLive<Schemas["Settings"]>(path("settings"), {}, 0).data;
  const base = useRef({ version: item?.version, draft: draftOf(item, topics ?? "") });
  const [draft, setDraft] = useState(base.current.draft);
  const [tried, setTried] = useState(false);
  const [asking, setAsking] = useState(false);
  const words = t().form;
  const changed = differences(base.current.draft, draft);
  useHold(changed.length > 0 ? { kind: "dialog" } : undefined);
  if (item && changed.length === 0 && item.version !== base.current.version) {
    base.current = { version: item.version, draft: draftOf(item, "") };
    setDraft(base.current.draft);
  }
  const wrong = wrongFields(draft, !item);
  const parts: Parts = { draft, set: (change) => setDraft({ ...draft, ...change }), wrong: tried ? wrong : new Set(), usual, item };
  const save = (event: Event): void => {
    event.preventDefault();
    setTried(true);
    if (wrong.size === 0 && changed.length > 0) setAsking(true);
  };
  const read = !mayChange.value;
  return (
    <form class="card form" onSubmit={save} noValidate aria-label={item ? t().subscription.tabs.settings : t().subscriptions.create}>
      <fieldset disabled={read}>
        <legend class="only-read">{t().subscription.tabs.settings}</legend>
        <Where {...parts} /><Pace {...parts} /><Retries {...parts} /><Order {...parts} /><Acknowledgement {...parts} /><Signing {...parts} /><HeaderFields {...parts} />
      </fieldset>
      {!read && (
        <div class="form-foot">
          {tried && wrong.size > 0 && <span class="tone-dead" role="alert">{words.wrong}</span>}
          <span class="grow" />
          <Button onPress={() => { setDraft(base.current.draft); setTried(false); if (!item) onDone(); }} disabled={!!item && changed.length === 0}>{item ? words.undo : t().common.back}</Button>
          <Button type="submit" kind="primary" disabled={changed.length === 0}>{item ? words.review : words.create}</Button>
        </div>
      )}
      {asking && <SaveDialog draft={draft} before={base.current.draft} version={base.current.version} onClose={() => setAsking(false)} onSaved={() => {
        setAsking(false);
        base.current = { version: undefined, draft };
        onDone(draft.name);
      }} />}
    </form>
  );
}

function SaveDialog({ draft, before, version, onClose, onSaved }: { draft: Draft; before: Draft; version: string | undefined; onClose: () => void; onSaved: () => void }): JSX.Element {
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [now, setNow] = useState({ before, draft, version });
  const words = t().form;
  const save = async (): Promise<void> => {
    setBusy(true);
    try {
      const answer = await request<Schemas["SubscriptionChanged"]>("PUT", path("subscriptions", draft.name), { body: bodyOf(now.draft, now.before, reason), ...(now.version && { ifMatch: `"${now.version}"` }) });
      toast(answer.data!.created ? words.created : words.saved(counted(answer.data!.waiting)));
      onSaved();
    } catch (error) {
      setProblem(asProblem(error));
      if (asProblem(error).status === 412) await meet().catch((other: unknown) => setProblem(asProblem(other)));
      setBusy(false);
    } finally {
      wake();
    }
  };
  // Another person has changed the settings meanwhile: theirs stand beside, and stay where this draft changes nothing.
  const meet = async (): Promise<void> => {
    const item = (await request<Item>("GET", path("subscriptions", draft.name))).data!;
    const theirs = draftOf(item, "");
    const mine = Object.fromEntries(differences(before, draft).map(({ field }) => [field, draft[field]]));
    setNow({ before: theirs, draft: { ...theirs, ...mine }, version: item.version });
  };
  return (
    <Dialog title={version ? words.reviewTitle : words.createTitle} wide onClose={onClose} foot={<><Button onPress={onClose}>{t().common.back}</Button><Button kind="primary" busy={busy} onPress={() => void save()}>{version ? t().common.save : words.create}</Button></>}>
      {problem && <ProblemNote problem={problem} />}
      <table class="plain diff">
        <caption class="only-read">{words.reviewTitle}</caption>
        <tbody>
          {differences(now.before, now.draft).map((one) => (
            <tr key={one.field}><th scope="row">{words.fields[one.field]}</th><td class="was">{one.before ? <Foreign text={one.before} mono /> : <span class="muted">{words.unset}</span>}</td><td class="is">{one.after ? <Foreign text={one.after} mono /> : <span class="muted">{words.unset}</span>}</td></tr>
          ))}
        </tbody>
      </table>
      <Field label={t().common.reason} optional={t().common.optional} help={t().common.reasonHelp}>{(id, about) => <input id={id} aria-describedby={about} maxLength={1000} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />}</Field>
    </Dialog>
  );
}

function Section({ title, lede, children }: { title: string; lede: string; children: ComponentChildren }): JSX.Element {
  return <section class="form-section"><div><h2>{title}</h2><p class="muted">{lede}</p></div><div class="form-fields">{children}</div></section>;
}

type TextField = "name" | "target" | "ackTimeout" | "timeout" | "concurrency" | "rateLimit" | "maxAttempts" | "maxHandleAttempts" | "backoff" | "addSecret";

function TextInput({ field, placeholder, parts, secret, still }: { field: TextField; placeholder?: string | undefined; parts: Parts; secret?: boolean; still?: boolean }): JSX.Element {
  const words = t().form;
  return (
    <Field label={words.fields[field]} help={words.help[field]} error={parts.wrong.has(field) ? words.errors[field] : undefined}>
      {(id, about) => (
        <input id={id} aria-describedby={about} aria-invalid={parts.wrong.has(field) || undefined} class={secret ? "mono secret" : "mono"} autocomplete="off" spellcheck={false} readOnly={still}
          value={parts.draft[field]} placeholder={placeholder} onInput={(event) => parts.set({ [field]: event.currentTarget.value })} />
      )}
    </Field>
  );
}

function Where(parts: Parts): JSX.Element {
  const { draft, set, wrong, item } = parts;
  const words = t().form;
  return (
    <Section title={words.sections.where} lede={words.ledes.where}>
      <TextInput field="name" parts={parts} still={!!item} />
      <Field label={words.fields.topics} help={words.help.topics} error={wrong.has("topics") ? words.errors.topics : undefined}>
        {(id, about) => <textarea id={id} aria-describedby={about} class="mono" rows={3} spellcheck={false} value={draft.topics} onInput={(event) => set({ topics: event.currentTarget.value })} />}
      </Field>
      {item && item.matches.length > 0 && <p class="help">{words.matches(item.matches.length)} {item.matches.slice(0, 12).map((one) => <span key={one.topic} class="topic"><Foreign text={one.topic} mono /></span>)}</p>}
      <TextInput field="target" parts={parts} placeholder="https://example.com/hook" />
    </Section>
  );
}

function Pace(parts: Parts): JSX.Element {
  const { usual } = parts;
  return (
    <Section title={t().form.sections.pace} lede={t().form.ledes.pace}>
      <TextInput field="concurrency" parts={parts} placeholder={usual && String(usual.concurrency)} />
      <TextInput field="rateLimit" parts={parts} placeholder={t().form.noLimit} />
      <TextInput field="timeout" parts={parts} placeholder={usual && span(usual.timeout_ms)} />
    </Section>
  );
}

function Retries(parts: Parts): JSX.Element {
  const { usual, draft } = parts;
  const { at, giveUp, attempts } = ruler(draft, usual);
  const words = t().form;
  const top = Math.log1p(giveUp / 1000) || 1;
  return (
    <Section title={words.sections.retries} lede={words.ledes.retries}>
      <TextInput field="backoff" parts={parts} placeholder={usual?.backoff_ms.slice(0, 8).map(span).join(", ")} />
      <TextInput field="maxAttempts" parts={parts} placeholder={usual && String(usual.max_attempts)} />
      <TextInput field="maxHandleAttempts" parts={parts} placeholder={words.noLimit} />
      <figure class="ruler">
        <svg width="100%" height="18" viewBox="0 0 400 18" preserveAspectRatio="none" aria-hidden="true">
          <line x1="2" x2="398" y1="9" y2="9" />
          {at.slice(0, 200).map((ms) => <line key={ms} x1={2 + (396 * Math.log1p(ms / 1000)) / top} x2={2 + (396 * Math.log1p(ms / 1000)) / top} y1="3" y2="15" class="tick" />)}
        </svg>
        <figcaption>{words.ruler(attempts, rulerWords(giveUp))}</figcaption>
      </figure>
    </Section>
  );
}

function Order({ draft, set }: Parts): JSX.Element {
  const words = t().form;
  return (
    <Section title={words.sections.order} lede={words.ledes.order}>
      <Switch on={draft.ordered} words={words.fields.ordered} onChange={(ordered) => set({ ordered })} />
      <Switch on={draft.onDead === "block"} words={words.block} onChange={(block) => set({ onDead: block ? "block" : "continue" })} />
      <Switch on={draft.broadcast} words={words.broadcast} onChange={(broadcast) => set({ broadcast })} />
    </Section>
  );
}

function Acknowledgement(parts: Parts): JSX.Element {
  const { draft, set } = parts;
  const words = t().form;
  return (
    <Section title={words.sections.ack} lede={words.ledes.ack}>
      <Switch on={draft.ack === "consumer"} words={words.consumer} onChange={(consumer) => set({ ack: consumer ? "consumer" : "response" })} />
      {draft.ack === "consumer" && <TextInput field="ackTimeout" parts={parts} placeholder="1m" />}
    </Section>
  );
}

function Signing(parts: Parts): JSX.Element {
  const { draft, set, item } = parts;
  const words = t().form;
  const toggle = (n: number): void => set({ removeSecrets: draft.removeSecrets.includes(n) ? draft.removeSecrets.filter((one) => one !== n) : [...draft.removeSecrets, n].sort() });
  return (
    <Section title={words.sections.signing} lede={words.ledes.signing}>
      {Array.from({ length: item?.settings?.secrets ?? 0 }, (_, n) => <Switch key={n} on={draft.removeSecrets.includes(n)} words={words.removeSecret(n)} onChange={() => toggle(n)} />)}
      <TextInput field="addSecret" parts={parts} secret placeholder="whsec_…" />
    </Section>
  );
}

function HeaderFields({ draft, set }: Parts): JSX.Element {
  const words = t().form;
  const change = (n: number, header: { name: string; value: string | undefined }): void => set({ headers: draft.headers.map((one, at) => (at === n ? header : one)) });
  return (
    <Section title={words.sections.headers} lede={words.ledes.headers}>
      {draft.headers.map((one, n) => (
        <div class="header-line" key={n}>
          <input class="mono" aria-label={words.headerName} value={one.name} onInput={(event) => change(n, { name: event.currentTarget.value, value: one.value ?? "" })} />
          <input class="mono" aria-label={words.headerValue} placeholder={one.value === undefined ? words.kept : ""} value={one.value ?? ""} onInput={(event) => change(n, { name: one.name, value: event.currentTarget.value })} />
          <Button kind="quiet" icon="close" label={words.dropHeader} onPress={() => set({ headers: draft.headers.filter((_, at) => at !== n) })} />
        </div>
      ))}
      <div><Button small icon="plus" onPress={() => set({ headers: [...draft.headers, { name: "", value: "" }] })}>{words.addHeader}</Button></div>
    </Section>
  );
}
