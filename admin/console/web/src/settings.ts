// What a person chose for this browser. Storage may be forbidden: a choice then holds until the page is left.
import { effect, signal } from "@preact/signals";

function stored(name: string): string | null {
  try {
    return localStorage.getItem(`relay.${name}`);
  } catch {
    return null;
  }
}

function store(name: string, value: string): void {
  try {
    if (value) localStorage.setItem(`relay.${name}`, value);
    else localStorage.removeItem(`relay.${name}`);
  } catch {
    // See above.
  }
}

export type Theme = "system" | "light" | "dark";
export type Language = "en" | "zh";

function firstLanguage(): Language {
  const chosen = stored("language");
  if (chosen === "en" || chosen === "zh") return chosen;
  for (const language of navigator.languages) {
    if (language.startsWith("zh")) return "zh";
    if (language.startsWith("en")) return "en";
  }
  return "en";
}

const chosenTheme = stored("theme");
export const theme = signal<Theme>(chosenTheme === "light" || chosenTheme === "dark" ? chosenTheme : "system");
export const language = signal<Language>(firstLanguage());
export const dense = signal(stored("dense") === "yes");
export const exactTimes = signal(stored("exact") === "yes");
export const singleKeys = signal(stored("keys") !== "no");
export const hiddenColumns = signal(new Set((stored("columns") ?? "").split(",").filter(Boolean)));
export const lastName = signal(stored("name") ?? "");

/** nextTheme walks through system, light and dark. */
export function nextTheme(): void {
  theme.value = theme.value === "system" ? (prefersDark() ? "light" : "dark") : theme.value === "dark" ? "light" : "dark";
}

function prefersDark(): boolean {
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

/** shownDark says whether the pages are dark now. */
export function shownDark(): boolean {
  return theme.value === "dark" || (theme.value === "system" && prefersDark());
}

export function startSettings(): void {
  const root = document.documentElement;
  effect(() => {
    if (theme.value === "system") delete root.dataset.theme;
    else root.dataset.theme = theme.value;
    store("theme", theme.value === "system" ? "" : theme.value);
  });
  effect(() => {
    root.lang = language.value === "zh" ? "zh-Hans" : "en";
    if (language.value !== firstLanguage() || stored("language")) store("language", language.value);
  });
  effect(() => {
    root.dataset.density = dense.value ? "dense" : "normal";
    store("dense", dense.value ? "yes" : "");
  });
  effect(() => store("exact", exactTimes.value ? "yes" : ""));
  effect(() => store("keys", singleKeys.value ? "" : "no"));
  effect(() => store("columns", [...hiddenColumns.value].join(",")));
  effect(() => store("name", lastName.value));
}
