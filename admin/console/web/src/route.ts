// Where the person is: the path names a thing, the query its filter. Nothing else is kept but the selection, so a
// page's address reproduces it.
import { signal } from "@preact/signals";

export interface Place {
  path: string;
  query: URLSearchParams;
}

function read(): Place {
  return { path: location.pathname.replace(/\/+$/, "") || "/", query: new URLSearchParams(location.search) };
}

export const place = signal<Place>(read());

/** go opens an address of this application. Replace it while a person types, push it otherwise. */
export function go(url: string, how: "push" | "replace" = "push"): void {
  const to = new URL(url, location.origin);
  if (to.origin !== location.origin) return;
  const before = place.value.path;
  history[how === "push" ? "pushState" : "replaceState"](null, "", to.pathname + to.search);
  place.value = read();
  if (place.value.path !== before) scrollTo(0, 0);
}

/** withQuery returns the present address with some filters changed; empty values are left out. */
export function withQuery(change: Record<string, string | string[] | undefined>, from = place.value): string {
  const query = new URLSearchParams(from.query);
  for (const [name, value] of Object.entries(change)) {
    query.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) if (one) query.append(name, one);
  }
  return address(from.path, query);
}

/** address joins a path and filters, with the characters that people read left as they are. */
export function address(path: string, query: URLSearchParams | Record<string, string | string[] | undefined> = {}): string {
  let pairs: [string, string][] = [];
  if (query instanceof URLSearchParams) pairs = [...query];
  else {
    for (const [name, value] of Object.entries(query)) {
      for (const one of Array.isArray(value) ? value : [value]) if (one) pairs.push([name, one]);
    }
  }
  const text = pairs.map(([name, value]) => `${encodeURIComponent(name)}=${readable(value)}`).join("&");
  return text ? `${path}?${text}` : path;
}

function readable(value: string): string {
  return encodeURIComponent(value).replace(/%(3A|2C|2F|40)/g, decodeURIComponent).replace(/%20/g, "+");
}

/** segment returns one decoded part of the path; a part that cannot be decoded stands as it is. */
export function segment(path: string, n: number): string {
  const part = path.split("/")[n] ?? "";
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** safeReturn returns where to go after signing in: a path of this application and nothing else. */
export function safeReturn(wanted: string | null): string {
  if (!wanted || !wanted.startsWith("/") || wanted.startsWith("//") || wanted.includes("\\")) return "/";
  const url = new URL(wanted, location.origin);
  return url.origin === location.origin ? url.pathname + url.search : "/";
}

/** follow opens plain clicks on links of this application without loading the page anew. */
function follow(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const link = event.composedPath().find((part) => part instanceof HTMLAnchorElement);
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (link.pathname.startsWith("/api/") || link.pathname.startsWith("/assets/")) return;
  if (link.getAttribute("href")?.startsWith("#")) return;
  event.preventDefault();
  go(link.pathname + link.search);
}

export function startRouting(): void {
  document.addEventListener("click", follow);
  addEventListener("popstate", () => (place.value = read()));
}
