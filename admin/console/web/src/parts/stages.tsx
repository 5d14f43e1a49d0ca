// The five stages of a message's way as segments with counts, and beside them what needs a person.
import type { JSX } from "preact";
import type { Schemas } from "../api";
import { counted } from "../format";
import { go, withQuery } from "../route";
import { t } from "../text";
import { Glyph, type State } from "./glyph";

const glyphs: Record<string, State> = {
  send_failed: "rejected", committed: "pending", push_failed: "push_failed", handle_failed: "handle_failed", handled: "handled", delivered: "delivered", cancelled: "cancelled",
};
const shown = {
  sender: ["send_failed", "committed", "push_failed", "handle_failed", "handled"],
  receiver: ["committed", "push_failed", "handle_failed", "delivered", "handled"],
};

export function Stages({ stages, value, view, dead, needsPerson }: {
  stages: Schemas["StageCount"][]; value: string | undefined; view: "sender" | "receiver"; dead?: Schemas["Count"]; needsPerson?: boolean;
}): JSX.Element {
  const words = t().stages;
  const count = (stage: string): string => {
    const found = stages.find((one) => one.stage === stage);
    return found ? counted(found.count) : "0";
  };
  return (
    <div class="stages">
      <div class="segments stage-segments" role="group" aria-label={words.title}>
        <button type="button" aria-pressed={!value} onClick={() => go(withQuery({ stage: undefined, after: [] }))}>{words.all}</button>
        {shown[view].map((stage) => (
          <button type="button" key={stage} aria-pressed={stage === value} title={words.help[stage as "handled"]} onClick={() => go(withQuery({ stage: stage === value ? undefined : stage, after: [] }))}>
            <Glyph state={glyphs[stage]!} />{words.names[stage as "handled"]}<span class="num muted">{count(stage)}</span>
          </button>
        ))}
      </div>
      {dead && (
        <button type="button" class="button" aria-pressed={needsPerson ?? false} onClick={() => go(withQuery({ status: needsPerson ? undefined : "dead", since: needsPerson ? undefined : "all", after: [] }))}>
          <Glyph state="dead" />{words.needsPerson}<span class="num muted">{counted(dead)}</span>
        </button>
      )}
    </div>
  );
}
