import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { path, request, type Schemas } from "../api";
import { wake } from "../live";
import { t } from "../text";
import { Button, Field } from "./controls";
import { Dialog } from "./dialog";
import { failed } from "./toast";

/** NoteDialog writes a note at a group of failures; an empty one removes it. */
export function NoteDialog({ group, onClose }: { group: Schemas["FailureGroup"]; onClose: () => void }): JSX.Element {
  const [text, setText] = useState(group.note?.text ?? "");
  const save = (): void => {
    const body = { cause: group.cause, text, ...(group.subscription && { subscription: group.subscription }) };
    request("PUT", path("failures", "note"), { body }).then(onClose, failed).finally(wake);
  };
  return (
    <Dialog title={t().failures.note} onClose={onClose} foot={<><Button onPress={onClose}>{t().common.back}</Button><Button kind="primary" onPress={save}>{t().common.save}</Button></>}>
      <Field label={t().failures.note} help={t().failures.noteHelp}>
        {(id, about) => <textarea id={id} aria-describedby={about} data-first rows={4} maxLength={1000} value={text} onInput={(event) => setText(event.currentTarget.value)} />}
      </Field>
    </Dialog>
  );
}
