// The words of the pages, in English. The Chinese ones have this file's type, so a word that is missing there does not
// compile.
import type { Schemas } from "../api";
import { duration, list, number } from "../format";
import type { Hold } from "../live";
import { nameCause } from "./cause";
import { causeGuides } from "./guides";

const s = (n: number, one: string, many = one + "s"): string => `${number(n)} ${n === 1 ? one : many}`;
type Need = Schemas["Need"];
const amount = (need: Need): string => (need.count ? number(need.count.n) : "Some");
const at = (subscription: string): string => (subscription ? ` at ${subscription}` : "");

export const en = {
  common: {
    close: "Close", back: "Back", save: "Save", more: "More", details: "Details", loading: "Loading …", optional: "optional", reason: "Reason", original: "In the relay's own words",
    reasonHelp: "The audit keeps it.", copyAs: "Copy as", command: "command", id: "id", ids: "ids", copyByHand: "Copy this by hand",
    copy: (what: string) => `Copy ${what}`, copied: (what: string) => `Copied: ${what}`,
  },
  frame: {
    skip: "Skip to the content", pages: "Pages", more: "More", database: "database", operator: "Operator", viewer: "Viewer", noPage: "There is no such page.",
    places: {
      overview: "Overview", messages: "Messages", failures: "Failures", subscriptions: "Subscriptions", senders: "Senders", keys: "Blocked keys", jobs: "Jobs", audit: "Audit",
    },
    badges: {
      failures: (n: string) => `${n} need a person`, keys: (n: string) => `${n} keys wait`, jobs: (n: string) => `${n} running`,
    },
  },
  settings: {
    title: "Settings", refresh: "Refresh now", dense: "Dense rows", exact: "Exact times", keys: "Single-letter keys", help: "Keys", signOut: "Sign out", light: "Light theme", dark: "Dark theme",
  },
  live: {
    live: "Live", help: "Press r to pause or go on", label: (state: string) => `Refresh: ${state}`, asOf: (time: string) => `As of ${time}`,
    held: (held: Hold): string => {
      switch (held.kind) {
        case "selected":
          return `Paused: ${number(held.n)} selected`;
        case "dialog":
          return "Paused: you are editing";
        case "scrolled":
          return "Paused: you have scrolled";
        case "paged":
          return "Paused: not the first page";
      }
      return "Paused";
    },
    failed: (what: string, since: string, asOf: string) => `${what.replace(/\.$/, "")} since ${since}.${asOf ? ` What you see is from ${asOf}.` : ""} The page keeps trying.`,
  },
  search: {
    label: "Search messages", placeholder: "Search: id, key, topic:order.*, to:stock …", suggestions: "Suggestions",
    kinds: { message: "message", key: "key", text: "text", subscriptions: "subscriber", topics: "topic", sources: "source", shape: "filter" },
  },
  table: {
    fresh: (n: number) => `${number(n)} new · show`, select: (what: string) => `Select message ${what}`, selectPage: "Select this page", gone: "No longer in this list",
    pages: "Pages of the list", first: "First", previous: "Previous", next: "Next", columns: "Columns",
  },
  filter: {
    bar: "Filters", add: "Filter", clear: "Clear", link: "link", pin: "Pin the range", pinHelp: "The address then names absolute times", range: "Time range", now: "now", custom: "Custom", from: "From", to: "To", apply: "Apply",
    ranges: { "15m": "15 min", "1h": "1 h", "6h": "6 h", "24h": "24 h", "7d": "7 d", all: "All" },
    names: {
      since: "Since", until: "Until", updated_since: "Changed since", updated_until: "Changed until", status: "Status", stage: "Stage", topic: "Topic", key: "Key", source: "Source", subscription: "Subscriber", delivery_status: "Delivery",
      cause: "Cause", text: "Text", id: "Id", reason: "Waits because", response_code: "Code", name: "Name", action: "Action", role: "Role", object_kind: "Kind", object: "Object",
    },
    help: {
      topic: "* stands for one word, # for any number of words.", cause: "As timeout or http 500.", text: "Stands in the payload or in the last error.", action: "As message.retry.",
    } as Record<string, string>,
    edit: (name: string, value: string) => `Change filter ${name}: ${value}`, drop: (name: string) => `Remove filter ${name}`,
  },
  state: {
    pending: "Pending", scheduled: "Scheduled", open: "In progress", open_failed: "In progress", done: "Done", dead: "Dead", rejected: "Cannot be sent", cancelled: "Cancelled",
    waiting: "Waiting", paused: "Paused", key_blocked: "Waits for its key", circuit_open: "Circuit open", full: "Waits for room",
    push_failed: "Not reached", handle_failed: "Not handled", awaiting_ack: "Awaiting acknowledgement", delivered: "Delivered", handled: "Handled",
  },
  reason: {
    key_blocked: "waits for an earlier message of its key", paused: "paused", circuit_open: "circuit open: the receiver is down, and a retry that is due probes it", full: "the receiver is slower than messages come", no_resources: "the relay's machine lacks resources",
  },
  step: {
    delayed: "delayed", queued: "not taken up", waiting: "waiting", attempt: "attempt", interval: "next attempt", awaiting_ack: "awaiting acknowledgement", acknowledged: "acknowledged", ended: "ended",
    attemptNo: (n: number) => `Attempt ${n}`,
  },
  sentence: {
    next: (when: string) => ` Next attempt ${when}.`,
    notReached: (n: number, cause: string, next: string) => `Not reached after ${s(n, "attempt")}: ${cause}.${next}`,
    notHandled: (n: number, cause: string, next: string) => `The receiver failed ${n === 1 ? "once" : `${number(n)} times`}: ${cause}.${next}`,
    waits: (reason: string) => `Waits: ${reason}.`, awaits: (n: number) => `Delivered at attempt ${number(n)}, the consumer's word is awaited.`,
    dead: (n: number, cause: string) => `Given up after ${s(n, "attempt")}: ${cause}. Retry it when the cause is mended.`,
    handled: (n: number) => (n > 1 ? `Handled at attempt ${number(n)}.` : "Handled at once."), delivered: (n: number) => (n > 1 ? `Delivered at attempt ${number(n)}.` : "Delivered at once."),
    cancelled: "Cancelled.", cancelledMessage: "A person cancelled this message; it is not sent.",
    scheduled: (when: string) => `Is due ${when}.`, pending: "Committed, and not taken up yet.", rejected: (error: string, cause: string) => `Cannot be sent: ${error || cause}. Mend the cause, then retry.`,
    progress: (well: number, total: number) => (total === 0 ? "Has no subscriber yet." : well === total ? (total === 1 ? "Handled by its subscriber." : `Handled by all ${number(total)} subscribers.`) : `Handled by ${number(well)} of ${number(total)}.`),
  },
  cause: {
    unknown: "cause not known", dns: "host name does not resolve", refused: "connection refused", unreachable: "cannot be reached", timeout: "timeout", reset: "connection closed early", tls: "TLS failed", protocol: "answer is not HTTP", egress: "address not allowed",
    "no address": "no live instance", settings: "settings cannot be used", relay: "the relay failed on it", unroutable: "no queue bound", nack: "broker refused", "no confirm": "broker did not confirm", "broker down": "broker is down", "broker blocked": "broker is full",
    "gave up": "given up", redirect: "redirect", "no ack": "no acknowledgement", "consumer said no": "consumer said no",
    "rejected: route": "no subscription matches", "rejected: header": "bad header", "rejected: size": "too large", "rejected: destination": "bad destination", "rejected: database": "database refused it", rejected: "cannot be sent",
  },
  causeCode: (code: string): string => `answered ${code}`,
  guide: (cause: string, kind: string): string => causeGuides.en(cause, kind),
  stages: {
    title: "Stage", all: "All", needsPerson: "Needs a person",
    names: { send_failed: "Cannot be sent", committed: "Committed", push_failed: "Not reached", handle_failed: "Not handled", delivered: "Delivered", handled: "Handled", cancelled: "Cancelled" },
    help: {
      send_failed: "No route, or something that cannot be sent. It is taken up when a route appears within 24 hours.", committed: "Goes by itself.", push_failed: "Did not reach the receiver; it is tried again.", handle_failed: "The receiver's own logic failed; it is tried again.",
      delivered: "The broker has confirmed it; no acknowledgement is awaited.", handled: "The receiver's own logic succeeded.", cancelled: "A person cancelled it.",
    },
  },
  overview: {
    title: "Overview", needs: "Needs a person", nothing: "Nothing needs you.", counted: "counted", more: (n: number) => `and ${number(n)} more`, look: "Look", subscribe: "Subscribe", numbers: "Numbers", transport: "Transport", well: "well", unwell: "not well",
    relay: "Relay", shards: (n: number) => `owns ${s(n, "shard")}`, orphans: (n: number) => `${s(n, "shard")} of it ${n === 1 ? "waits" : "wait"} for another relay`, silent: "silent, it did not end in order; last seen", streaming: "holds the slot", thisOne: "answers this page", database: "Database", schema: (n: number) => `schema ${n}`, skew: (by: string) => `its clock differs by ${by}`,
    conditions: {
      configuration: "Configuration", database: "Database", identity: "Identity", shards: "Shards", writing: "Writing", circuits: "Circuits", memory: "Memory", stream: "Stream", notify: "Notify", poll: "Polling", broker: "RabbitMQ",
    },
    tiles: {
      received: "Received", accepted: "Accepted", perSecond: "/s", latency: "Commit to accepted, p50", oldest: "Oldest undelivered", nextDue: "next due", inFlight: "In flight", waiting: "Pending", delayed: (n: string) => `${n} scheduled`, open: "In progress", dead: "Dead", rejected: "Cannot be sent", done: "Done",
    },
  },
  /** How a part of the relay is; the relay itself says so in English. */
  condition: (one: Schemas["Condition"]) => one.text,
  needs: {
    not_well: (n: Need) => n.text, no_relay: (_: Need) => "No relay runs: nothing is delivered.",
    dead: (n: Need) => `${amount(n)} dead${at(n.subscription ?? "")}${n.cause ? `: ${nameCause(n.cause, en.cause, en.causeCode)}` : ""}`,
    rejected: (n: Need) => `${amount(n)} cannot be sent${n.topic ? `: no route for ${n.topic}` : ""}`,
    keys_blocked: (n: Need) => `${n.count?.n === 1 ? "1 key is" : `${amount(n)} keys are`} blocked${at(n.subscription ?? "")}${n.behind ? `, ${s(n.behind.n, "message")} behind` : ""}`,
    circuit_open: (n: Need) => `Circuit open${at(n.subscription ?? "")}: ${n.target ?? "the receiver"} is down, and a retry that is due probes it`,
  },
  chart: {
    title: "Over time", span: "Time span", throughput: "Throughput", latency: "Commit to accepted", failures: "Failures by cause", noFailures: "Nothing failed in this time range.", otherCauses: (n: number) => s(n, "other cause"), wait: "Wait before the first attempt", received: "received", accepted: "accepted", failed: "failed", time: "Time", asTable: "As table", asChart: "As chart", empty: "Nothing in this time range.",
    outstanding: "Outstanding", outstandingMessages: "messages that have not ended", outstandingDeliveries: "deliveries that have not ended", notCounted: "Not counted in this time range. A relay counts once a minute while it runs.",
  },
  messages: {
    title: "Messages", sorted: "Newest first; there is no other order",
    columns: { status: "Status", created: "Created", topic: "Topic", key: "Key", source: "Source", subscribers: "Subscribers", attempts: "Attempts", error: "Error", id: "Id" },
    progress: (well: number, total: number) => `${well}/${total} handled`,
    shown: (n: number) => `${number(n)} shown`, match: (n: string) => `${n} match`, searched: (to: string) => `searched back to ${to}`,
    selected: (n: number) => `${number(n)} selected`, onlyAt: (name: string) => `only at ${name}`, copyIds: "Copy ids", allThatMatch: "Everything that matches …", allMatching: (n: string) => (n ? `All that match (${n})` : "All that match"), clear: "Clear",
    lookedAt: (n: string, to: string) => `Nothing found yet: looked at ${n} messages, back to ${to}.`, searchOn: "Search on", narrow: (names: string[]) => `It goes faster with another filter: ${list(names)}.`,
    none: "No message matches.", noneRange: "Nothing in this time range. Widen it, or drop a filter.", noneHelp: "Drop a filter.", widen: "Search all times", without: (name: string) => `Without ${name.toLowerCase()}`, openPage: "Open as page",
  },
  actions: {
    title: "Actions", retry: "Retry", cancel: "Cancel",
    done: (what: "retry" | "cancel" | "acknowledge" | "skip", n: number) => `${number(n)} ${{ retry: "retried", cancel: "cancelled", acknowledge: "acknowledged", skip: "skipped" }[what]}`,
    outcome: (what: "retry" | "cancel" | "acknowledge" | "skip", well: number, bad: number) => `${number(well)} ${{ retry: "retried", cancel: "cancelled", acknowledge: "acknowledged", skip: "skipped" }[what]}, ${number(bad)} not`,
    andMore: (n: number) => `and ${number(n)} more`,
  },
  effects: {
    retried: "retried", replayed: "sent again", under_way: "is being sent right now", cancelled: "cancelled", already_cancelled: "was cancelled before", acknowledged: "acknowledged", skipped: "skipped", not_found: "there is no such message", not_ended: "has not ended: it goes by itself",
    ended_well: "ended well: retry with force sends it again", has_changed: "has changed meanwhile", no_delivery: "has no delivery there", not_dead: "is not dead: it goes by itself", not_waiting: "does not wait", locked: "is being changed right now: try again", refused: "was refused",
  },
  message: {
    title: "Message", notFound: "There is no such message.", notFoundWhy: "Messages that are done are removed after RELAY_RETENTION. Look into the audit, or search by key.", destination: "Destination", previous: "previous", next: "next",
    retryAll: "All that have failed", retryOne: "Only", retryEnded: "All subscribers, also those that have it …", retryEndedHelp: "They get it again under the same id", retryEndedOne: "Again to",
    acknowledge: "Acknowledge", ackHandled: "Handled", ackFailed: "Failed", copyAsNew: "Copy as new", copyNow: "Send the copy", copied: "A copy is on its way.", copyHelp: "The copy has an id of its own, and the header relay-original-id names this message.", copyTo: "Unset: where this message goes. Otherwise a target such as https://… or amqp:…",
    cancelAll: "Whatever has not ended …", cancelOne: "Only", curlHelp: "This page's data", curlReceiver: "As the receiver gets it", insertHelp: "A row like this one",
    cancelTitle: "Cancel the message", againTitle: "Send it again to receivers that have it", again: "Send again",
    cancelWarning: (name: string) => (name ? `The delivery to ${name} ends as cancelled. Other subscribers are not touched. What is being sent right now may still arrive.` : "Every delivery that has not ended ends as cancelled. What has been handled stays so. What is being sent right now may still arrive."),
    againWarning: (name: string) => `${name || "Every subscriber"} gets the message again under the same id. Receivers that drop duplicates ignore it.`,
    deliveries: "Deliveries", subscriber: "Subscriber", target: "Target", nextAttempt: "Next attempt", facts: "Facts", seq: "Sequence", shard: "Shard", size: "Size", deliverAt: "Not before", finished: "Finished", original: "Copy of", copies: "Copies", auditLink: "What people did to it",
  },
  attempts: { title: "Attempts", n: "No.", started: "Started", duration: "Duration", outcome: "Outcome", code: "Code", error: "Error", answer: "Answer", show: "Show", hide: "Hide", none: "none", all: (n: number) => `Show all ${number(n)}` },
  timeline: {
    title: "Timeline", asTable: "As table", asPicture: "As picture", commit: "Commit", now: "now", notTaken: "The message is committed and not taken up yet.", moreLanes: (n: number) => `${s(n, "more subscriber")} · show`, subscriber: "Subscriber", what: "What", after: "After", lasted: "Lasted",
  },
  payload: {
    title: "Payload", formatted: "Formatted", sent: "As sent", hex: "Hex", formattedHelp: "Indentation only; every value as it was sent", sentHelp: "Byte for byte", whitespace: "Differs from what was sent in white space alone.", notJSON: "This is no JSON, so it stands as it was sent.", notText: "This is no text, so it stands in hexadecimal.",
    first: (size: string) => `first ${size}`, copy: "Copy as sent", download: "Download", empty: "Empty.", hidden: "Payload, headers and answers are hidden for viewers (RELAY_HIDE_PAYLOADS).", hiddenShort: "hidden", headers: "Headers", headersCut: "The headers are too large to be shown.", noHeaders: "The row has no headers of its own.",
    added: "added when sent", atSending: "the time of the attempt", ifSigned: "where there is a secret", number: "the attempt, from 1",
  },
  bulk: {
    what: "What to do", title: { retry: "Retry everything that matches", cancel: "Cancel everything that matches", replay: "Send past messages to a subscriber" }, kinds: { retry: "Retry", cancel: "Cancel", replay: "Replay" },
    start: { retry: (n: number) => `Retry ${number(n)}`, cancel: (n: number) => `Cancel ${number(n)}`, replay: (n: number) => `Replay ${number(n)}` },
    replayTo: "To which subscriber", counting: "Counting …", match: "match", countsOn: "still more; the job finds them on its way", takes: (time: string) => `Takes about ${time}.`, at: "at", samples: "The newest that match", leftOut: "Left out:", everything: "everything",
    why: { ended_well: "ended well", not_ended: "goes by itself", cancelled: "cancelled", pending: "not taken up yet", not_asked_for: "not asked for" },
    not: (kind: string, why: string) => `${kind} is not offered: ${why}.`,
    obstacles: {
      replay: (names: string[]) => `a replay takes messages whatever became of them and wherever they went; remove the filter ${list(names)} first`, unknown: (names: string[]) => `no job goes by the filter ${list(names)}; remove it, or filter by status, delivery or cause`,
      pending: "pending messages go by themselves", ended: "what this filter shows has ended",
    },
    rate: "Messages per second, at most", rateHelp: "A rate spares the receiver.", rateWrong: "A number above 0, or nothing.", fast: "as fast as it goes", type: (n: string) => `That is many: type ${n} to go on`, started: "The job begins in 5 seconds.", open: "Open", stop: "Stop", stopped: "Stopped.",
  },
  failures: {
    title: "Failures", tabs: { dead: "Dead", failing: "Failing", rejected: "Cannot be sent" },
    lede: { dead: "Given up: these need a person. Mend the cause, then retry a whole group.", failing: "These are tried again by themselves. Retry to hurry them.", rejected: "No route, or something that cannot be sent. Retry after mending." },
    everySubscriber: "Every subscriber", none: { dead: "Nothing is dead.", failing: "Nothing is failing.", rejected: "Everything can be sent." }, lastCleared: "The last retries and cancellations",
    noSubscriber: "no subscriber", expand: (name: string, cause: string) => `More about ${name}: ${cause}`, classes: { push: "did not reach the receiver", handle: "the receiver's logic failed", send: "never sent", unknown: "" }, since: "since", last: "last", trend: "Failures of the subscriber, 24 hours",
    retryFirst: "Retry one first", firstGoes: "The oldest is tried …", firstWell: "The oldest is handled now.", firstFailed: "The oldest failed again.", retryRest: "Retry the rest", retryAll: "Retry all", cancelAll: "Cancel all", asList: "Open as list", addNote: "Add a note", editNote: "Change the note", note: "Note", noteHelp: "All people who sign in see it. An empty note is removed.", pause: "Pause",
    whatToDo: "What to do", patterns: "Errors alike", sampled: (n: string) => `of the newest ${n}`, newest: "Newest messages", atReceiver: "The receiver's last answer",
  },
  subscriptions: {
    title: "Subscriptions", lede: "A subscription says which messages go to which receiver. A message without a matching subscription goes to the default destination, or cannot be sent.", create: "New subscription", none: "No subscription yet.", noneHelp: "A subscription says which topics go where. Without any, every message goes to RELAY_DEFAULT_DESTINATION.", builtIn: "built in",
    columns: { name: "Name", state: "State", topics: "Topics", target: "Target", rate: "Rate /s", outstanding: "Outstanding", oldest: "Oldest", dead: "Dead", spark: "1 h" },
    circuit: (intervals: string) => `a retry that is due probes it${intervals ? `; retries go after ${intervals}` : ""}`,
    states: { active: "Well", paused: "Paused", invalid: "Invalid", circuit: "Circuit open", dead: "Has dead", failing: "Failing" },
  },
  subscription: {
    tabs: { deliveries: "Deliveries", charts: "Charts", settings: "Settings", instances: "Instances" }, columns: { next: "Next attempt", duration: "Duration", code: "Code" },
    notFound: "There is no such subscription.", notFoundHelp: "It may have been deleted; the audit says by whom.", invalid: "Nothing can be sent to it:", pause: "Pause", resume: (n: string) => (n ? `Resume (${n} wait)` : "Resume"), pausedNow: "Paused. Messages wait in the table.", resumedNow: (n: string) => `Resumed; ${n} were waiting.`,
    test: "Send a test", testTitle: (name: string) => `Test message to ${name}`, testHelp: "One message goes to this subscription alone; its end shows here.", testSend: "Send", testAgain: "Send another", replay: "Replay …",
    remove: "Delete", removeTitle: (name: string) => `Delete ${name}`, removeHelp: "Messages committed from now on no longer go there. Ended deliveries stay until they are swept.", removed: (name: string) => `${name} is deleted.`, cancelOutstanding: (n: string) => `Cancel the ${n} that are outstanding`, typeName: (name: string) => `Type ${name} to go on`,
    noDeliveries: "No delivery matches.", noInstances: "No instance has had a delivery within a day.", instance: "Instance", lastSeen: "Last delivery",
  },
  form: {
    sections: { where: "Where", pace: "Pace", retries: "Retries", order: "Order and death", ack: "Acknowledgement", signing: "Signing", headers: "Headers" },
    ledes: { where: "Which messages, and to where.", pace: "How much at once. Empty: as the relay's variables say.", retries: "When an attempt fails.", order: "What happens with messages of one key.", ack: "What counts as handled.", signing: "Secrets can be added and removed, never read.", headers: "Sent along with each message. Values can be set, never read." },
    fields: {
      name: "Name", topics: "Topics", target: "Target", paused: "Paused", ordered: "Messages of a key one after the other", broadcast: "Broadcast", ack: "Acknowledgement", ackTimeout: "Send again after", timeout: "Timeout of one attempt", concurrency: "Attempts at once", rateLimit: "Attempts per second",
      maxAttempts: "Attempts at most", maxHandleAttempts: "Of these, failures of the receiver's logic", backoff: "Intervals", onDead: "After a death", addSecret: "New secret", removeSecrets: "Secrets to remove", headers: "Headers",
    },
    help: {
      name: "Without colon, slash and white space.", topics: "One a line, or separated by commas. * is one word, # any number of words.", target: "https://…, amqp:<exchange>/<routing key> or amqp:/<queue>. Passwords are not shown; leave it as it is to keep it.",
      ackTimeout: "As 30s or 5m.", timeout: "As 10s.", concurrency: "", rateLimit: "", maxAttempts: "Then the message is dead and waits for a person.", maxHandleAttempts: "1 means: never again by itself.", backoff: "As 5s, 1m, 10m; the last repeats.", addSecret: "It becomes the newest; messages are signed with all.",
    },
    errors: { name: "A name is needed, without colon, slash and white space.", topics: "At least one topic or pattern is needed.", target: "A target is needed.", ackTimeout: "A duration such as 30s.", timeout: "A duration such as 10s.", concurrency: "A whole number from 1.", rateLimit: "A number above 0.", maxAttempts: "A whole number from 1.", maxHandleAttempts: "A whole number from 1.", backoff: "Durations such as 5s, 1m, 10m.", addSecret: "" },
    matches: (n: number) => `Matches ${s(n, "topic")} seen within 24 h:`, noLimit: "no limit", ruler: (n: number, time: string) => (n === 1 ? "1 attempt, then given up at once" : `${s(n, "attempt")}, then given up after ${time}`), block: "A dead message blocks its key until a person decides", broadcast: "Broadcast: each live instance gets every message", consumer: "The consumer acknowledges later, by itself",
    removeSecret: (n: number) => `Remove secret ${n + 1}${n === 0 ? " (the newest)" : ""}`, headerName: "Header name", headerValue: "Header value", kept: "kept as it is", dropHeader: "Remove header", addHeader: "Add a header",
    wrong: "Some values cannot be used; see above.", undo: "Undo", review: "Review and save", create: "Create", reviewTitle: "What will be different", createTitle: "Create this subscription", unset: "unset", created: "Created.", saved: (n: string) => `Saved; ${n} wait there.`,
  },
  keys: {
    title: "Blocked keys", lede: "Messages of one key go one after the other. When one fails, those behind it wait; other keys go on.", key: "Key", subscriber: "Subscriber", waiting: "Behind", head: "Head", since: "For", retry: "Retry heads", skip: "Skip dead heads", skipOne: "Skip",
    none: "No key waits.", noneHelp: "Every key goes on.", skipTitle: (n: number) => (n === 1 ? "Skip the dead head of this key" : `Skip the dead heads of ${number(n)} keys`), skipHelp: (n: number) => `The dead delivery is cancelled at this subscriber alone, and the key goes on without it: ${s(n, "message")} follow in order.`,
  },
  jobs: {
    title: "Jobs", one: "Job", lede: "What people had done to many messages at once.", states: { running: "Running", stopped: "Stopped", done: "Done", failed: "Failed" },
    columns: { state: "State", what: "What", progress: "Progress", failed: "Failed", rate: "Rate", by: "By", reason: "Reason", started: "Started" }, progress: "Progress", none: "No job yet.", noneHelp: "A job retries, cancels or replays every message that a filter matches. Start one from the failures, or from a list.",
    notFound: "There is no such job.", changed: "Changed", remaining: "Remaining", notCounted: "not counted yet", starts: "Begins", ends: "Ends about", finished: "Finished", stop: "Stop", resume: "Resume", resumed: "It goes on.", changeRate: "Change the rate", goOn: "Go on with it", again: "The same again", list: "Open as list",
    results: "Results", onlyFailed: "Only failures", noResults: "No results yet.", did: "done", didNot: "not done", effect: "What became of it", when: "When",
  },
  senders: {
    title: "Senders", lede: "Services that commit messages, and what becomes of these.", noName: "(no name)", shareHelp: "Of the newest 500 messages", unheardHelp: "Topics that no subscription matches", none: "No message names a source yet.", noneHelp: "Set RELAY_SOURCE, or the column source of the row.", notSeen: "No message of this sender was counted lately.", receives: "Topics and their receivers", receivers: "Receivers", noSubscriber: "no subscriber: make a subscription",
    columns: { source: "Source", rate: "Per second", today: "24 h", rejected: "Cannot be sent", share: "Handled", oldest: "Oldest not handled", last: "Last", unheard: "Unheard topics" },
  },
  audit: {
    title: "Audit", lede: "Each change with the person, the object and the result; sign-ins and refusals too.", none: "Nothing recorded.", noneHelp: "No entry matches. Widen the time range, or drop a filter.",
    columns: { at: "When", who: "Person", what: "What", object: "Object", result: "Result", reason: "Reason", address: "From" },
    /** What came of an action; the relay itself says so in English. */
    result: (result: string) => result,
    kinds: { message: "message", subscription: "subscription", key: "key", job: "job", failure: "failure", session: "session", database: "database", viewer: "viewer", operator: "operator", cli: "command line", none: "not signed in" },
    actions: {
      "session.signin": "signed in", "session.signout": "signed out", "session.refused": "was refused", "session.token": "was refused a token", "session.link": "made a sign-in link", "message.retry": "retried messages", "message.cancel": "cancelled messages", "message.copy": "copied a message", "message.send": "inserted a message",
      "delivery.retry": "retried deliveries", "delivery.cancel": "cancelled deliveries", "delivery.acknowledge": "acknowledged deliveries", "subscription.set": "changed a subscription", "subscription.delete": "deleted a subscription", "subscription.cancel": "cancelled what was outstanding", "subscription.pause": "paused a subscription", "subscription.resume": "resumed a subscription", "subscription.test": "sent a test",
      "key.retry": "retried heads of keys", "key.skip": "skipped heads of keys", "job.start": "started a job", "job.stop": "stopped a job", "job.resume": "resumed a job", "job.rate": "set the rate of a job", "database.adopt": "adopted a copy", "database.cancel": "cancelled what a copy held", "failure.note": "wrote a note",
    },
  },
  signIn: {
    title: "Sign in", again: "Your session has ended", againHelp: "Sign in to go on; the page beneath stays as it is.", token: "Token", tokenHelp: "Tokens come from RELAY_ADMIN_TOKEN and RELAY_VIEWER_TOKEN.", name: "Your name", nameHelp: "The audit records it as you say it.", send: "Sign in",
    wrong: "This token is not valid.", slow: (n: number) => `Too many attempts: try again in ${duration(n * 1000)}.`, linkUsed: "This link was used before, or it is too old. Sign in with a token.",
  },
  firstRun: {
    title: "Your first message", lede: "An application commits a row; the relay delivers it. Three steps, then this page shows what happens.", grant: "Let the application's role insert", grantHelp: "Once, with the name of the role that the application connects as.",
    route: "Say where messages go", routeHelp: "A subscription, or RELAY_DEFAULT_DESTINATION for all that no subscription matches.", hasDefault: (to: string) => `Without a subscription, messages go to ${to}. A subscription sends them elsewhere.`, form: "Use the form instead",
    insert: "Insert a row", insertHelp: "In the application's own transaction, beside its own rows.", send: "Send one from here",
  },
  problems: {
    unknown: { what: "The relay answered with an error that this page does not know.", todo: "" }, console: { what: "This page has a fault.", todo: "Reload it. The details help to mend it." },
    unreachable: { what: "The relay does not answer.", todo: "Check that it runs and that this address still leads to it." }, unauthorized: { what: "You are not signed in.", todo: "Sign in and try again." }, forbidden: { what: "Viewers may look, not change.", todo: "Sign in with RELAY_ADMIN_TOKEN." },
    conflict: { what: "It has changed meanwhile.", todo: "Look at it again, then decide." }, precondition_failed: { what: "Another person has changed this meanwhile.", todo: "Their values now stand beside yours. Save again to keep yours, or go back." }, version_changed: { what: "Another person has changed this meanwhile.", todo: "Their values now stand beside yours. Save again to keep yours, or go back." },
    too_many: { what: "Too many requests.", todo: "Wait a moment and try again." }, slow_down: { what: "Too many attempts.", todo: "Wait a moment and try again." }, unavailable: { what: "The database does not answer.", todo: "What you see is older. relay doctor says what is wrong." },
    timeout: { what: "The search took too long.", todo: "Narrow it: a status, a subscriber, a key or a shorter time range." }, cross_origin: { what: "The relay refused a change that seemed to come from another site.", todo: "Open the console under the relay's own address." }, host: { what: "The relay answers only under a local address.", todo: "Use localhost, or set RELAY_ADMIN_TOKEN." },
    hidden: { what: "Payloads are hidden for viewers.", todo: "Sign in with RELAY_ADMIN_TOKEN to see them." },
    // Without words here, the relay's own are more exact.
    malformed: { what: "", todo: "" }, invalid: { what: "", todo: "" }, unknown_parameter: { what: "", todo: "" }, not_found: { what: "", todo: "" }, method: { what: "", todo: "" },
    too_large: { what: "", todo: "" }, media_type: { what: "", todo: "" }, not_acceptable: { what: "", todo: "" }, version_needed: { what: "", todo: "" }, key_reused: { what: "", todo: "" }, internal: { what: "", todo: "" },
    no_message: { what: "There is no such message.", todo: "Messages that are done are removed after RELAY_RETENTION." }, no_subscription: { what: "There is no such subscription.", todo: "" }, no_key: { what: "This key does not wait there.", todo: "" },
    no_job: { what: "There is no such job, or it has ended.", todo: "" }, exists: { what: "", todo: "" }, outstanding: { what: "Deliveries have not ended.", todo: "Wait for them, or have them cancelled." },
    locked: { what: "Another session is changing it.", todo: "Try again." }, search_limit: { what: "The search took too long.", todo: "Narrow it: a status, a subscriber, a key or a shorter time range." },
    not_migrated: { what: "The tables are of another version than this program.", todo: "Run relay migrate." }, denied: { what: "The database refuses the relay's role.", todo: "relay doctor says what is missing." },
  },
  help: {
    title: "Keys", foot: "Single letters can be switched off in the settings. They do nothing while you type.",
    groups: [
      { title: "Go to", keys: [["g o", "Overview"], ["g m", "Messages"], ["g f", "Failures"], ["g s", "Subscriptions"], ["g e", "Senders"], ["g k", "Blocked keys"], ["g j", "Jobs"], ["g a", "Audit"], ["/", "Search"]] },
      { title: "In a list", keys: [["j k", "Down, up"], ["Enter", "Open"], ["o", "Open in a new tab"], ["Shift Enter", "Open beside the list"], ["x", "Select"], ["Shift x", "Select up to here"], ["*", "Select the page"], ["Esc", "Clear the selection"], ["[ ]", "Previous, next page"], [".", "Show new rows"]] },
      { title: "Act", keys: [["e", "Retry"], ["c", "Cancel"], ["y", "Copy the id"], ["r", "Pause or go on refreshing"], ["Shift r", "Refresh now"], ["t", "Light or dark"], ["?", "These keys"]] },
    ] as { title: string; keys: [string, string][] }[],
  },
};

export type Text = typeof en;
