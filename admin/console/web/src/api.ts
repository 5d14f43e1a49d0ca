// The client of /api/v1. Everything the pages know comes through here.
import { signal } from "@preact/signals";
import type { components } from "./api.gen";
import { observeClock } from "./format";
import { address } from "./route";

export type Schemas = components["schemas"];
export type Query = Record<string, string | string[] | undefined>;

/** Answer is what came back. Data is absent where the client has it already (304). */
export interface Answer<T> {
  status: number;
  data: T | undefined;
  etag: string | null;
  headers: Headers;
}

/** Problem is an error of the API (RFC 9457), or one of the way there. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly hint: string = "",
    readonly parameters: Record<string, unknown> = {},
    readonly errors: { message?: string; location?: string }[] = [],
    readonly request: string = "",
  ) {
    super(detail);
  }
}

/** signedOut says that the session has ended: a sign-in lies over the page, and requests wait for it. */
export const signedOut = signal(false);
let waiting: (() => void)[] = [];

export function signedInAgain(): void {
  signedOut.value = false;
  for (const resume of waiting.splice(0)) resume();
}

function signIn(): Promise<void> {
  signedOut.value = true;
  return new Promise((resume) => (waiting = [...waiting, resume]));
}

export interface Options {
  query?: Query | undefined;
  body?: unknown;
  etag?: string | null;
  ifMatch?: string;
  once?: string;
  signal?: AbortSignal;
  raw?: boolean;
  /** Do not wait for a sign-in when the answer is 401. */
  anonymous?: boolean;
}

export const path = (...parts: string[]): string => "/api/v1/" + parts.map(encodeURIComponent).join("/");

/** request sends one request. A change that meets an ended session is sent again after the sign-in. */
export async function request<T>(method: string, url: string, options: Options = {}): Promise<Answer<T>> {
  const response = await send(method, address(url, options.query ?? {}), options);
  observeClock(response.headers.get("Date"));
  if (response.status === 401 && !options.anonymous) {
    await signIn();
    return request(method, url, options);
  }
  const etag = response.headers.get("ETag");
  if (response.status === 304) return { status: 304, data: undefined, etag, headers: response.headers };
  if (!response.ok) throw await problem(response);
  const data = options.raw ? new Uint8Array(await response.arrayBuffer()) : await content(response);
  return { status: response.status, data: data as T, etag, headers: response.headers };
}

async function send(method: string, url: string, options: Options): Promise<Response> {
  const headers: Record<string, string> = { Accept: options.raw ? "*/*" : "application/json" };
  if (options.etag) headers["If-None-Match"] = options.etag;
  if (options.ifMatch) headers["If-Match"] = options.ifMatch;
  if (options.once) headers["Idempotency-Key"] = options.once;
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(url, {
      method, headers, credentials: "same-origin", cache: "no-store", redirect: "error",
      body: options.body === undefined ? null : JSON.stringify(options.body), signal: options.signal ?? null,
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem(0, "unreachable", "");
  }
}

async function content(response: Response): Promise<unknown> {
  const text = await response.text();
  return text ? JSON.parse(text) : undefined;
}

async function problem(response: Response): Promise<Problem> {
  const fields: Record<string, unknown> = await response.json().catch(() => ({}));
  const words = (name: string): string => (typeof fields[name] === "string" ? fields[name] : "");
  return new Problem(
    response.status, words("code") || `http_${response.status}`, words("detail") || words("title"), words("hint"),
    (fields.parameters as Record<string, unknown>) ?? {}, (fields.errors as Problem["errors"]) ?? [],
    words("request_id") || words("instance"),
  );
}

/** asProblem makes a Problem of whatever was thrown. */
export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem(-1, "console", String(error));
}
