// Icons of the frame and of buttons, drawn with one line in a square of 16.
import type { JSX } from "preact";

const paths = {
  overview: "M2 9.5 8 3l6 6.5M4 8v5.5h8V8",
  messages: "M2 3.5h12v9H2zM2 4l6 5 6-5",
  failures: "M5.3 2h5.4L14 5.3v5.4L10.7 14H5.3L2 10.7V5.3zM8 5v3.5M8 11v.1",
  subscriptions: "M2 8h5M7 8l4-4.5h3M7 8h7M7 8l4 4.5h3",
  senders: "M14 2 7 9M14 2 9.5 14 7 9 2 6.5z",
  keys: "M9.5 6.5a3.5 3.5 0 1 1-1-2.4 3.5 3.5 0 0 1 1 2.4zM8.8 8.5l5 5m-2-2 1.5-1.5",
  jobs: "M8 2v2.5M8 11.5V14M2 8h2.5M11.5 8H14M3.8 3.8l1.7 1.7M10.5 10.5l1.7 1.7M12.2 3.8l-1.7 1.7M5.5 10.5l-1.7 1.7",
  audit: "M4 2h6l3 3v9H4zM6.5 8h4M6.5 11h4M10 2v3h3",
  search: "M11.5 7a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0zM10.3 10.3 14 14",
  close: "M4 4l8 8M12 4l-8 8",
  down: "M4 6l4 4 4-4",
  right: "M6 4l4 4-4 4",
  left: "M10 4 6 8l4 4",
  more: "M3.5 8h.1M8 8h.1M12.5 8h.1",
  copy: "M6 6h8v8H6zM10 6V2H2v8h4",
  sun: "M8 5.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z",
  out: "M9 2H3v12h6M7 8h7m-2.5-2.5L14 8l-2.5 2.5",
  plus: "M8 3v10M3 8h10",
  settings: "M2 5h7m3 0h2M2 11h2m3 0h7M10.5 3v4M5.5 9v4",
  warn: "M8 2.2 14.3 13.3H1.7ZM8 6.4v3M8 11.3v.1",
  play: "M4 3l9 5-9 5z",
  pause: "M5 3v10M11 3v10",
  download: "M8 2v8m-3-3 3 3 3-3M2.5 13.5h11",
  link: "M6.5 9.5l3-3M7 4.5l1.5-1.5a3 3 0 0 1 4.3 4.3L11.3 8.8M9 11.5 7.5 13a3 3 0 0 1-4.3-4.3l1.5-1.5",
  check: "m3 8.4 3.4 3.4L13 4.6",
  terminal: "M2 3h12v10H2zM4.5 6l2 2-2 2M8.5 10h3",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }): JSX.Element {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      <path d={paths[name]} fill="none" stroke="currentColor" stroke-width={name === "more" ? 2.4 : 1.5} stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}
