// What to do before the first message: three steps, with the real names.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { path, request, type Schemas } from "../api";
import { shell } from "../filter";
import { useLive, wake } from "../live";
import { CopyButton } from "../parts/clipboard";
import { Button, Segments } from "../parts/controls";
import { failed } from "../parts/toast";
import { go } from "../route";
import { mayChange } from "../session";
import { t } from "../text";

export function FirstRun(): JSX.Element {
  const settings = useLive<Schemas["Settings"]>(path("settings"), {}, 30_000).data;
  const [tab, setTab] = useState<"psql" | "sql">("psql");
  const [busy, setBusy] = useState(false);
  const words = t().firstRun;
  const sql = `insert into relay.outbox (topic, key, payload)\nvalues ('order.created', 'order-1', '{"total": 12.50}');`;
  const [host, port] = (settings?.database_host ?? "").split(":");
  const psql = `psql${host ? ` -h ${shell(host)}` : ""}${port ? ` -p ${shell(port)}` : ""} -d ${shell(settings?.database ?? "app")} -c ${shell(sql.replace("\n", " "))}`;
  const send = async (): Promise<void> => {
    setBusy(true);
    try {
      const answer = await request<Schemas["Inserted"]>("POST", path("messages"), { body: { topic: "hello", payload: `{"from": "the message centre"}` }, once: crypto.getRandomValues(new Uint32Array(4)).join("-") });
      wake();
      go(`/messages/${answer.data!.id}`);
    } catch (error) {
      failed(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <section class="first-run">
      <h2>{words.title}</h2>
      <p class="text muted">{words.lede}</p>
      <ol>
        <li><h3>{words.grant}</h3><p>{words.grantHelp}</p><Code text="relay grant app" /></li>
        <li>
          <h3>{words.route}</h3>
          <p>{settings?.default_destination ? words.hasDefault(settings.default_destination) : words.routeHelp}</p>
          <Code text="relay subscriptions set hello --topics 'order.*' --target https://example.com/hook" />
          <a href="/subscriptions?new=yes">{words.form}</a>
        </li>
        <li>
          <h3>{words.insert}</h3><p>{words.insertHelp}</p>
          <Segments label={words.insert} value={tab} onChange={setTab} options={[{ id: "psql", words: "psql" }, { id: "sql", words: "SQL" }]} />
          <Code text={tab === "psql" ? psql : sql} />
          {mayChange.value && <Button kind="primary" busy={busy} onPress={() => void send()}>{words.send}</Button>}
        </li>
      </ol>
    </section>
  );
}

function Code({ text }: { text: string }): JSX.Element {
  return <div class="code"><pre>{text}</pre><CopyButton text={text} what={t().common.command} /></div>;
}
