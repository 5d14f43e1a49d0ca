// As whom the pages ask.
import { computed, signal } from "@preact/signals";
import { path, request, signedInAgain, type Schemas } from "./api";
import { lastName } from "./settings";

export const session = signal<Schemas["Session"] | undefined>(undefined);

/** mayChange says whether the person may change anything: buttons that would fail are not shown to others. */
export const mayChange = computed(() => session.value?.role === "operator");
export const hidesPayloads = computed(() => session.value?.hide_payloads ?? false);

export async function loadSession(): Promise<void> {
  const answer = await request<Schemas["Session"]>("GET", path("session"), { anonymous: true });
  session.value = answer.data;
}

export async function signIn(body: Schemas["SignIn"]): Promise<void> {
  if (body.name !== undefined) lastName.value = body.name;
  const answer = await request<Schemas["Session"]>("POST", path("signin"), { body, anonymous: true });
  session.value = answer.data;
  signedInAgain();
}

export async function signOut(): Promise<void> {
  await request("POST", path("signout"), { anonymous: true });
  await loadSession();
}
