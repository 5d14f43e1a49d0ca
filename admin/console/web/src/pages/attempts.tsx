// The attempts of a message, with what the receivers answered.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Schemas } from "../api";
import { duration, number } from "../format";
import { fromBase64 } from "../parts/content";
import { Button } from "../parts/controls";
import { known } from "../parts/glyph";
import { ErrorWords } from "../parts/messagerows";
import { Bytes } from "../parts/payload";
import { Status } from "../parts/status";
import { Foreign, Time } from "../parts/words";
import { t } from "../text";

type Attempt = Schemas["Attempt"];

const keyOf = (one: Attempt): string => `${one.subscription} ${one.instance ?? ""} ${one.attempt} ${one.started_at}`;

export function Attempts({ m }: { m: Schemas["Message"] }): JSX.Element | null {
  const [open, setOpen] = useState(new Set<string>());
  const [all, setAll] = useState(false);
  const words = t().attempts;
  if (m.attempts.length === 0) return null;
  const newest = [...m.attempts].reverse();
  const shown = all ? newest : newest.slice(0, 20);
  const toggle = (key: string): void => {
    const next = new Set(open);
    if (!next.delete(key)) next.add(key);
    setOpen(next);
  };
  return (
    <section class="card" aria-labelledby="attempts-head">
      <div class="card-head"><h2 id="attempts-head">{words.title} <span class="muted">{number(m.attempts.length)}</span></h2></div>
      <div class="table-scroll" tabIndex={0} role="region" aria-labelledby="attempts-head">
        <table class="plain">
          <thead><tr><th scope="col" class="num">{words.n}</th><th scope="col">{t().message.subscriber}</th><th scope="col">{words.started}</th><th scope="col" class="num">{words.duration}</th><th scope="col">{words.outcome}</th><th scope="col" class="num">{words.code}</th><th scope="col">{words.error}</th><th scope="col">{words.answer}</th></tr></thead>
          <tbody>
            {shown.map((one) => <AttemptRow key={keyOf(one)} one={one} open={open.has(keyOf(one))} hidden={m.hidden} toggle={() => toggle(keyOf(one))} />)}
          </tbody>
        </table>
      </div>
      {shown.length < newest.length && <Button kind="quiet" small onPress={() => setAll(true)}>{words.all(newest.length)}</Button>}
    </section>
  );
}

function AttemptRow({ one, open, hidden, toggle }: { one: Attempt; open: boolean; hidden: boolean; toggle: () => void }): JSX.Element {
  const words = t().attempts;
  return (
    <>
      <tr>
        <th scope="row" class="num">{one.attempt}</th>
        <td><Foreign text={one.subscription} />{one.instance && <span class="muted"> <Foreign text={one.instance} /></span>}</td>
        <td><Time at={one.started_at} /></td>
        <td class="num">{duration(one.duration_ms)}</td>
        <td><Status state={known(one.outcome)} /></td>
        <td class="num">{one.response_code || "–"}</td>
        <td class="attempt-error"><ErrorWords cause={one.cause} error={one.error} /></td>
        <td>{one.response ? <Button kind="quiet" small expanded={open} onPress={toggle}>{open ? words.hide : words.show}</Button> : <span class="muted">{hidden ? t().payload.hiddenShort : words.none}</span>}</td>
      </tr>
      {open && one.response && <tr class="beneath"><td colSpan={8}>{one.error && <p class="break"><Foreign text={one.error} /></p>}<Bytes content={fromBase64(one.response)} label={words.answer} /></td></tr>}
    </>
  );
}
