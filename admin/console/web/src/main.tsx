// The application: which page stands at which path.
import { render, type JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { asProblem, signedOut, type Problem } from "./api";
import { startClock } from "./format";
import { Frame } from "./frame";
import { startKeys } from "./keys";
import { AuditPage } from "./pages/audit";
import { FailuresPage } from "./pages/failures";
import { JobPage } from "./pages/job";
import { JobsPage } from "./pages/jobs";
import { KeysPage } from "./pages/keys";
import { MessagePage } from "./pages/message";
import { MessagesPage } from "./pages/messages";
import { OverviewPage } from "./pages/overview";
import { SenderPage } from "./pages/sender";
import { SendersPage } from "./pages/senders";
import { SignInOver, SignInPage } from "./pages/signin";
import { SubscriptionPage } from "./pages/subscription";
import { SubscriptionsPage } from "./pages/subscriptions";
import { Announcer } from "./parts/announce";
import { CopyByHand } from "./parts/clipboard";
import { Empty } from "./parts/empty";
import { useTitle } from "./parts/head";
import { ProblemNote } from "./parts/problem";
import { startTips } from "./parts/tip";
import { Toasts } from "./parts/toast";
import { address, go, place, segment, startRouting } from "./route";
import { loadSession, session } from "./session";
import { startSettings } from "./settings";
import { t } from "./text";

function Page(): JSX.Element {
  const { path } = place.value;
  const thing = segment(path, 2);
  switch (segment(path, 1)) {
    case "":
      return <OverviewPage />;
    case "messages":
      return thing ? <MessagePage key={thing} id={thing} /> : <MessagesPage />;
    case "failures":
      return <FailuresPage />;
    case "subscriptions":
      return thing ? <SubscriptionPage key={thing} name={thing} tab={segment(path, 3)} /> : <SubscriptionsPage />;
    case "senders":
      return thing ? <SenderPage key={thing} source={thing} /> : <SendersPage />;
    case "keys":
      return <KeysPage />;
    case "jobs":
      return thing ? <JobPage key={thing} id={thing} /> : <JobsPage />;
    case "audit":
      return <AuditPage />;
  }
  return <NoPage />;
}

function NoPage(): JSX.Element {
  useTitle(t().frame.noPage.replace(/[.。]$/, ""));
  return <Empty title={<h1 tabIndex={-1}>{t().frame.noPage}</h1>} actions={<a class="button" href="/">{t().frame.places.overview}</a>} />;
}

function App(): JSX.Element {
  const [problem, setProblem] = useState<Problem>();
  const { path, query } = place.value;
  const start = (): void => {
    setProblem(undefined);
    loadSession().catch((error: unknown) => {
      setProblem(asProblem(error));
      setTimeout(start, 3000);
    });
  };
  useEffect(start, []);
  useEffect(() => { if (path.startsWith("/m/")) go(`/messages/${segment(path, 2)}`, "replace"); }, [path]);
  useEffect(focusHeading, [path]);
  const who = session.value;
  useEffect(() => {
    if (who && !who.signed_in && path !== "/signin") go(address("/signin", { to: path === "/" ? undefined : path + location.search }), "replace");
  }, [who, path]);

  if (!who) return problem ? <main class="alone"><ProblemNote problem={problem} /></main> : <main class="alone" aria-busy="true" />;
  if (path === "/signin" || !who.signed_in) return <SignInPage query={query} />;
  return <Frame><Page /></Frame>;
}

let visited = false;

/** focusHeading moves the focus to the new page's heading, so that a screen reader says where one is. */
function focusHeading(): void {
  if (visited) requestAnimationFrame(() => document.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true }));
  visited = true;
}

startSettings();
startRouting();
startKeys();
startTips();
startClock();
render(
  <>
    <App />
    {/* These stand over whichever page there is. */}
    <Over />
  </>,
  document.getElementById("app")!,
);

function Over(): JSX.Element {
  return <>{signedOut.value && <SignInOver />}<CopyByHand /><Toasts /><Announcer /></>;
}
