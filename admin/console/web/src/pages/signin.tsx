// Signing in: as a page, and over the page on which the session ended.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { asProblem, type Problem } from "../api";
import { Brand } from "../frame";
import { Button, Field } from "../parts/controls";
import { Dialog } from "../parts/dialog";
import { ProblemNote } from "../parts/problem";
import { go, safeReturn } from "../route";
import { session, signIn } from "../session";
import { language, lastName } from "../settings";
import { t } from "../text";

function Form({ onDone }: { onDone: () => void }): JSX.Element {
  const [token, setToken] = useState("");
  const [name, setName] = useState(lastName.value);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const words = t().signIn;
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    try {
      await signIn({ token, ...(name && { name }) });
      onDone();
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
    }
  };
  const after = Number(problem?.parameters.retry_after);
  return (
    <form class="sign-in-form" onSubmit={(event) => void send(event)}>
      {problem && (problem.status === 429 && after > 0 ? <div class="problem" role="alert"><p>{words.slow(after)}</p></div> : problem.status === 401 ? <div class="problem" role="alert"><p>{words.wrong}</p></div> : <ProblemNote problem={problem} />)}
      <Field label={words.token} help={words.tokenHelp}>
        {(id, about) => <input id={id} aria-describedby={about} data-first type="password" required autocomplete="current-password" value={token} onInput={(event) => setToken(event.currentTarget.value)} />}
      </Field>
      <Field label={words.name} optional={t().common.optional} help={words.nameHelp}>
        {(id, about) => <input id={id} aria-describedby={about} autocomplete="name" maxLength={64} value={name} onInput={(event) => setName(event.currentTarget.value)} />}
      </Field>
      <Button type="submit" kind="primary" busy={busy}>{words.send}</Button>
    </form>
  );
}

export function SignInPage({ query }: { query: URLSearchParams }): JSX.Element {
  const to = safeReturn(query.get("to"));
  const once = query.get("once") ?? new URLSearchParams(location.hash.slice(1)).get("once");
  const [problem, setProblem] = useState<Problem>();
  const words = t().signIn;
  useEffect(() => {
    document.title = `${words.title} · relay`;
    if (once) signIn({ once }).then(() => go(to, "replace"), (error: unknown) => { setProblem(asProblem(error)); go("/signin", "replace"); });
    else if (session.value?.signed_in) go(to, "replace");
  }, [once]);
  return (
    <main class="alone">
      <div class="sign-in card">
        <div class="head-line brand-line"><Brand size={28} /><h1 tabIndex={-1}>{words.title}</h1></div>
        {problem && <div class="problem" role="alert"><p>{words.linkUsed}</p></div>}
        {once && !problem ? <p role="status">{t().common.loading}</p> : <Form onDone={() => go(to, "replace")} />}
      </div>
      <button type="button" class="button quiet" lang={language.value === "en" ? "zh-Hans" : "en"} onClick={() => (language.value = language.value === "en" ? "zh" : "en")}>{language.value === "en" ? "中文" : "English"}</button>
    </main>
  );
}

/** SignInOver lies over the page whose session has ended; what was under way goes on after it. */
export function SignInOver(): JSX.Element {
  return (
    <Dialog title={t().signIn.again} firm onClose={() => {}}>
      <p class="text">{t().signIn.againHelp}</p>
      <Form onDone={() => {}} />
    </Dialog>
  );
}
