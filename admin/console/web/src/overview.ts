// The newest overview: the frame asks for it, and pages read it for their suggestions.
import { computed, signal } from "@preact/signals";
import type { Problem, Schemas } from "./api";

export const overview = signal<{ data: Schemas["Overview"] | undefined; problem: Problem | undefined }>({ data: undefined, problem: undefined });
export const subscriptionNames = computed(() => overview.value.data?.subscriptions.map((one) => one.name) ?? []);
