import { language } from "../settings";
import { en, type Text } from "./en";
import { zh } from "./zh";

/** t returns the words of the chosen language; a component that calls it follows the choice. */
export const t = (): Text => (language.value === "zh" ? zh : en);
