// A test message, and the end of a subscription.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { path, request, type Schemas } from "../api";
import { counted } from "../format";
import { useLive, wake } from "../live";
import { go } from "../route";
import { t } from "../text";
import { Button, Field, Switch } from "./controls";
import { Dialog } from "./dialog";
import { deliverySentence, deliveryState, messageState, Status } from "./status";
import { failed, toast } from "./toast";

/** TrialDialog sends a test message and follows it to its end. */
export function TrialDialog({ name, onClose }: { name: string; onClose: () => void }): JSX.Element {
  const [topic, setTopic] = useState("relay.test");
  const [id, setID] = useState<string>();
  const [busy, setBusy] = useState(false);
  const words = t().subscription;
  const send = async (): Promise<void> => {
    setBusy(true);
    try {
      const answer = await request<Schemas["Inserted"]>("POST", path("subscriptions", name, "test"), { body: topic ? { topic } : {} });
      setID(answer.data!.id);
    } catch (error) {
      failed(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={words.testTitle(name)} onClose={onClose} foot={<><Button onPress={onClose}>{t().common.close}</Button><Button kind="primary" busy={busy} onPress={() => void send()}>{id ? words.testAgain : words.testSend}</Button></>}>
      <p class="text">{words.testHelp}</p>
      <Field label={t().messages.columns.topic}>{(field) => <input id={field} data-first class="mono" value={topic} onInput={(event) => setTopic(event.currentTarget.value)} />}</Field>
      {id && <TrialProgress key={id} id={id} />}
    </Dialog>
  );
}

function TrialProgress({ id }: { id: string }): JSX.Element {
  const live = useLive<Schemas["Message"]>(path("messages", id), {}, 0);
  const m = live.data;
  const ended = m && m.status !== "pending" && m.status !== "open";
  usePoll(live.reload, !ended);
  return (
    <div class="trial" role="status">
      {m ? <Status state={messageState(m)} chip /> : <span class="muted">{t().common.loading}</span>}
      {m?.deliveries.map((one) => <p key={one.subscription + (one.instance ?? "")}><Status state={deliveryState(one)} /> {deliverySentence(one)} {one.error && <span class="muted break">{one.error}</span>}</p>)}
      <a href={`/messages/${id}`}>{t().messages.openPage}</a>
    </div>
  );
}

/** usePoll asks once a second, although the dialog holds what lies beneath it. */
function usePoll(ask: () => void, on: boolean): void {
  useEffect(() => {
    if (!on) return;
    const timer = setInterval(ask, 1000);
    return () => clearInterval(timer);
  }, [ask, on]);
}

/** DeleteDialog deletes a subscription; what is outstanding is cancelled only if a person types its name. */
export function DeleteDialog({ item, onClose }: { item: Schemas["Subscription"]; onClose: () => void }): JSX.Element {
  const [typed, setTyped] = useState("");
  const [cancel, setCancel] = useState(false);
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const words = t().subscription;
  const waiting = item.standing.outstanding.n;
  const remove = async (): Promise<void> => {
    setBusy(true);
    try {
      for (let done = false; !done;) {
        const answer = await request<Schemas["SubscriptionDeleted"]>("DELETE", path("subscriptions", item.name), {
          ifMatch: `"${item.version}"`, query: { ...(cancel && { cancel_outstanding: "true" }), ...(reason && { reason }) },
        });
        done = answer.data!.deleted;
      }
      onClose();
      toast(words.removed(item.name));
      go("/subscriptions");
    } catch (error) {
      failed(error);
      setBusy(false);
    } finally {
      wake();
    }
  };
  return (
    <Dialog title={words.removeTitle(item.name)} onClose={onClose} foot={<><Button onPress={onClose}>{t().common.back}</Button><Button kind="danger" busy={busy} disabled={typed !== item.name || (waiting > 0 && !cancel)} onPress={() => void remove()}>{words.remove}</Button></>}>
      <p class="text">{words.removeHelp}</p>
      {waiting > 0 && <Switch on={cancel} onChange={setCancel} words={words.cancelOutstanding(counted(item.standing.outstanding))} />}
      <Field label={words.typeName(item.name)}>{(id) => <input id={id} data-first class="mono" autocomplete="off" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />}</Field>
      <Field label={t().common.reason} optional={t().common.optional}>{(id) => <input id={id} maxLength={1000} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />}</Field>
    </Dialog>
  );
}
