// The frame of every page: the rail, the top bar, and the band that appears when something is wrong.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { path, type Schemas } from "./api";
import { clockTime, number, roughly } from "./format";
import { Help } from "./help";
import { useKeys } from "./keys";
import { holding, refreshed, stopped, trouble, useLive, wake } from "./live";
import { overview } from "./overview";
import { Button, Menu, type MenuItem } from "./parts/controls";
import { Icon, type IconName } from "./parts/icon";
import { problemWords } from "./parts/problem";
import { failed } from "./parts/toast";
import { Foreign } from "./parts/words";
import { go, place } from "./route";
import { SearchBox } from "./searchbox";
import { session, signOut } from "./session";
import { dense, exactTimes, language, nextTheme, shownDark, singleKeys } from "./settings";
import { t } from "./text";

const places: { name: IconName; href: string; key: string }[] = [
  { name: "overview", href: "/", key: "o" },
  { name: "messages", href: "/messages", key: "m" },
  { name: "failures", href: "/failures", key: "f" },
  { name: "subscriptions", href: "/subscriptions", key: "s" },
  { name: "senders", href: "/senders", key: "e" },
  { name: "keys", href: "/keys", key: "k" },
  { name: "jobs", href: "/jobs", key: "j" },
  { name: "audit", href: "/audit", key: "a" },
];

/** Frame stands around every page. */
export function Frame({ children }: { children: ComponentChildren }): JSX.Element {
  const [help, setHelp] = useState(false);
  const live = useLive<Schemas["Overview"]>(path("overview"), {}, place.value.path === "/" ? 2000 : 10_000);
  useEffect(() => { overview.value = { data: live.data, problem: live.problem }; }, [live.data, live.problem]);
  const jobs = useLive<Schemas["PageJob"]>(path("jobs"), { limit: "10" }, 10_000);
  const badges = badgesOf(live.data, jobs.data?.items.filter((job) => job.status === "running").length ?? 0);
  useKeys({
    ...Object.fromEntries(places.map((one) => [`g ${one.key}`, () => go(one.href)])),
    "?": () => setHelp(true),
    r: () => (stopped.value = !stopped.value),
    R: wake,
    t: nextTheme,
    "/": () => document.querySelector<HTMLInputElement>("#search")?.focus(),
  });
  return (
    <div class="shell">
      <a class="skip" href="#content" onClick={(event) => { event.preventDefault(); document.querySelector<HTMLElement>("h1")?.focus(); }}>{t().frame.skip}</a>
      <nav class="rail" aria-label={t().frame.pages}>
        <a class="brand" href="/"><Brand />relay</a>
        {places.map(({ name, href }) => <RailLink key={href} name={name} href={href} badge={badges[name]} />)}
        <div class="rail-foot"><Where /></div>
      </nav>
      <div class="main">
        <header class="topbar">
          <SearchBox />
          <LiveControl />
          <SettingsMenu onHelp={() => setHelp(true)} />
        </header>
        <div class="region" role="status"><Band data={live.data} /></div>
        <main class="page" id="content">{children}</main>
      </div>
      <BottomBar badges={badges} />
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}

export function Brand({ size = 20 }: { size?: number }): JSX.Element {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="currentColor" />
      <path d="M6 16h7m6 0h7M13 9v14l10-7z" fill="none" stroke="var(--on-accent)" stroke-width="2.6" stroke-linejoin="round" stroke-linecap="round" />
    </svg>
  );
}

interface Badge {
  n: number;
  tone: "dead" | "retry" | "run";
}
type Badges = Partial<Record<IconName, Badge>>;

function badgesOf(o: Schemas["Overview"] | undefined, running: number): Badges {
  const badges: Badges = {};
  const needed = (o?.messages.dead.n ?? 0) + (o?.messages.rejected.n ?? 0);
  const blocked = o?.needs.find((need) => need.kind === "keys_blocked")?.count?.n ?? 0;
  if (needed > 0) badges.failures = { n: needed, tone: "dead" };
  if (blocked > 0) badges.keys = { n: blocked, tone: "dead" };
  if (running > 0) badges.jobs = { n: running, tone: "run" };
  return badges;
}

function here(href: string): boolean {
  const at = place.value.path;
  return href === "/" ? at === "/" : at === href || at.startsWith(href + "/");
}

function RailLink({ name, href, badge }: { name: IconName; href: string; badge: Badge | undefined }): JSX.Element {
  return (
    <a class="rail-link" href={href} aria-current={here(href) ? "page" : undefined}>
      <Icon name={name} /><span class="word">{t().frame.places[name as "overview"]}</span>
      {badge && <span class={`badge ${badge.tone}`} title={t().frame.badges[name as "keys"](number(badge.n))}>{roughly(badge.n)}</span>}
    </a>
  );
}

function Where(): JSX.Element | null {
  const who = session.value;
  if (!who?.signed_in) return null;
  return (
    <>
      {who.environment && <p class="strong"><Foreign text={who.environment} /></p>}
      {who.database && <p>{t().frame.database} <Foreign text={who.database} /></p>}
      <p>relay {who.relay}</p>
      <p>{who.role === "operator" ? t().frame.operator : t().frame.viewer}{who.name && <> · <Foreign text={who.name} /></>}</p>
    </>
  );
}

function LiveControl(): JSX.Element {
  const held = holding.value;
  const bad = trouble.value;
  const words = t().live;
  const text = bad ? words.asOf(clockTime(refreshed.value)) : held ? words.held(held) : words.live;
  const title = Number.isFinite(refreshed.value) ? `${words.asOf(clockTime(refreshed.value))} · ${words.help}` : words.help;
  return (
    <button type="button" class={`button quiet live${bad ? " failed" : held ? " paused" : ""}`} title={title} aria-pressed={!stopped.value} aria-label={words.label(text)}
      onClick={() => (stopped.value = !stopped.value)} aria-keyshortcuts="r">
      <span class="dot" /><span class="word">{text}</span>
    </button>
  );
}

function SettingsMenu({ onHelp }: { onHelp: () => void }): JSX.Element {
  const words = t().settings;
  const items: (MenuItem | "line")[] = [
    { words: words.refresh, hint: "R", onPress: wake },
    { words: words.dense, checked: dense.value, onPress: () => (dense.value = !dense.value) },
    { words: words.exact, checked: exactTimes.value, onPress: () => (exactTimes.value = !exactTimes.value) },
    { words: words.keys, checked: singleKeys.value, onPress: () => (singleKeys.value = !singleKeys.value) },
    { words: words.help, hint: "?", onPress: onHelp },
  ];
  if (session.value?.token_required) items.push("line", { words: words.signOut, onPress: () => void signOut().catch(failed) });
  return (
    <>
      <button type="button" class="button quiet lang" onClick={() => (language.value = language.value === "en" ? "zh" : "en")} lang={language.value === "en" ? "zh-Hans" : "en"}>
        {language.value === "en" ? "中文" : "English"}
      </button>
      <Button kind="quiet" icon={shownDark() ? "sun" : "moon"} label={shownDark() ? words.light : words.dark} keys="t" onPress={nextTheme} />
      <Menu icon="settings" label={words.title} kind="quiet" items={items} />
    </>
  );
}

/** Band says what is wrong with the relay itself, in words with the remedy, and nothing when all is well. */
function Band({ data }: { data: Schemas["Overview"] | undefined }): JSX.Element | null {
  const bad = trouble.value;
  if (bad?.problem) {
    const words = problemWords(bad.problem);
    return <div class="band"><Icon name="warn" /><p>{t().live.failed(words.what, clockTime(bad.since), bad.asOf < bad.since ? clockTime(bad.asOf) : "")}</p></div>;
  }
  const need = data?.needs.find((one) => one.kind === "no_relay");
  if (!need) return null;
  return <div class="band dead"><Icon name="warn" /><p>{t().needs[need.kind](need)} {need.fix && <code>{need.fix}</code>}</p></div>;
}

function BottomBar({ badges }: { badges: Badges }): JSX.Element {
  const rest = places.slice(4);
  return (
    <nav class="bottombar" aria-label={t().frame.pages}>
      {places.slice(0, 4).map((one) => (
        <a key={one.href} href={one.href} aria-current={here(one.href) ? "page" : undefined}>
          <Icon name={one.name} size={18} /><span class="word">{t().frame.places[one.name as "overview"]}</span>
          {badges[one.name] && <span class={`badge ${badges[one.name]!.tone}`}>{roughly(badges[one.name]!.n)}</span>}
        </a>
      ))}
      <Menu icon="more" words={<span class="word">{t().frame.more}</span>} plain kind="quiet" items={rest.map((one) => ({ words: t().frame.places[one.name as "overview"], href: one.href }))} />
    </nav>
  );
}
