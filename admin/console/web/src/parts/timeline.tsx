// One timeline from the commit to the end, with a lane for each subscriber and instance, and the gaps named.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Schemas } from "../api";
import { duration, exactly, now, plain } from "../format";
import { t } from "../text";
import { Button } from "./controls";
import { Glyph, GlyphShape, known, toneOf, type State } from "./glyph";
import { placeOf, segments, type Segment } from "./scale";
import { deliveryState, deliverySentence } from "./status";
import { Foreign } from "./words";

type Lane = Schemas["Lane"];
type Step = Schemas["Step"];

const laneHeight = 46;
const middle = 24;
const mostLanes = 6;

export function Timeline({ message, lanes }: { message: Schemas["Message"]; lanes: Lane[] }): JSX.Element {
  const [table, setTable] = useState(false);
  const [all, setAll] = useState(false);
  const words = t().timeline;
  const calm = (lane: Lane): boolean => lane.status === "handled" || lane.status === "delivered";
  const shown = all || lanes.length <= mostLanes ? lanes : [...lanes.filter((lane) => !calm(lane)), ...lanes.filter(calm)].slice(0, Math.max(mostLanes, lanes.filter((lane) => !calm(lane)).length));
  return (
    <section class="card" aria-labelledby="timeline-head">
      <div class="card-head">
        <h2 id="timeline-head">{words.title}</h2>
        <Button kind="quiet" small onPress={() => setTable(!table)} expanded={table}>{table ? words.asPicture : words.asTable}</Button>
      </div>
      {table ? <StepTable message={message} lanes={lanes} /> : <Picture message={message} lanes={shown} />}
      {!table && shown.length < lanes.length && <Button kind="quiet" small onPress={() => setAll(true)}>{words.moreLanes(lanes.length - shown.length)}</Button>}
    </section>
  );
}

const at = (time: string): number => new Date(time).getTime();
const endOf = (step: Step, last: number): number => (step.to ? at(step.to) : step.kind === "ended" || step.kind === "acknowledged" ? at(step.from) : last);

function Picture({ message, lanes }: { message: Schemas["Message"]; lanes: Lane[] }): JSX.Element {
  const root = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(720);
  useEffect(() => {
    const observer = new ResizeObserver(() => setWidth(Math.max(root.current?.clientWidth ?? 0, 240)));
    observer.observe(root.current!);
    return () => observer.disconnect();
  }, []);
  const open = lanes.some((lane) => lane.steps.some((step) => !step.to && step.kind !== "ended" && step.kind !== "acknowledged")) || lanes.length === 0;
  const commit = at(message.created_at);
  const last = open && !message.finished_at ? Math.max(now.value, commit + 1) : Math.max(commit + 1, ...lanes.flatMap((lane) => lane.steps.map((step) => endOf(step, at(step.from)))));
  const moments = [commit, last, ...lanes.flatMap((lane) => lane.steps.flatMap((step) => [at(step.from), endOf(step, last)]))];
  const scale = segments(moments.filter((one) => one >= commit && one <= last), width - 28);
  return (
    <div class="timeline">
      <div class="timeline-axis"><span class="lane-name muted">{t().timeline.commit}</span><div ref={root}><Axis scale={scale} width={width} commit={commit} open={open} /></div></div>
      {lanes.map((lane) => <LaneRow key={`${lane.subscription} ${lane.instance}`} {...{ message, lane, scale, width, last, open }} />)}
      {lanes.length === 0 && <p class="muted lane-none">{t().timeline.notTaken}</p>}
    </div>
  );
}

function Axis({ scale, width, commit, open }: { scale: Segment[]; width: number; commit: number; open: boolean }): JSX.Element {
  let free = 0;
  const labels: JSX.Element[] = [];
  const end = scale.at(-1);
  const last = end ? `${open ? t().timeline.now + " · " : ""}+${duration(end.to - commit)}` : "";
  const lastFrom = width - 14 - last.length * 6.4;
  for (const one of scale) {
    const words = one.from === commit ? "0" : `+${duration(one.from - commit)}`;
    const x = one.x + 6;
    if (x < free || x + words.length * 6.4 > lastFrom - 8) continue;
    labels.push(<text key={one.from} x={x} y="12">{words}</text>);
    free = x + words.length * 6.6 + 16;
  }
  return (
    <svg width={width} height="24" class="axis" aria-hidden="true">
      {labels}
      {end && <text x={width - 14} y="12" text-anchor="end">{last}</text>}
      <line x1="6" x2={width - 22} y1="19.5" y2="19.5" class="axis-line" />
      {scale.filter((one) => one.broken).map((one) => <path key={one.from} d={`M${one.x + one.width / 2 + 2} 23l4-7m2 7 4-7`} class="axis-break" />)}
    </svg>
  );
}

function LaneRow({ message, lane, scale, width, last, open }: { message: Schemas["Message"]; lane: Lane; scale: Segment[]; width: number; last: number; open: boolean }): JSX.Element {
  const delivery = message.deliveries.find((one) => one.subscription === lane.subscription && (one.instance ?? "") === (lane.instance ?? ""));
  const state: State = delivery ? deliveryState(delivery) : known(lane.status);
  return (
    <div class="lane">
      <div class="lane-name">
        <Glyph state={state} />
        <span class="cut"><Foreign text={lane.subscription} cut />{lane.instance && <span class="muted"> <Foreign text={lane.instance} cut /></span>}</span>
      </div>
      <svg width={width} height={laneHeight} class="lane-picture" role="img" aria-label={`${plain(lane.subscription)}: ${delivery ? deliverySentence(delivery) : t().state[state]}`}>
        {open && <line x1={width - 22} x2={width - 22} y1="0" y2={laneHeight} class="now-line" />}
        {lane.steps.map((step, n) => <StepMark key={`${step.kind} ${step.from} ${n}`} {...{ step, scale, last, lane }} />)}
      </svg>
      {delivery && <p class="lane-words">{deliverySentence(delivery)}</p>}
    </div>
  );
}

function StepMark({ step, scale, last, lane }: { step: Step; scale: Segment[]; last: number; lane: Lane }): JSX.Element {
  const from = placeOf(scale, at(step.from)) + 6;
  const to = placeOf(scale, endOf(step, last)) + 6;
  const title = <title>{`${stepWords(step)}\n${exactly(step.from)}`}</title>;
  if (step.kind === "ended" || step.kind === "acknowledged") return <EndMark x={from} state={known(step.outcome ?? lane.status)} title={title} />;
  if (step.kind === "attempt") {
    const state = known(step.outcome ?? "open");
    return (
      <g class={`tone-${toneOf(state)}`}>{title}
        <rect x={from} y={middle - 5} width={Math.max(to - from, 3)} height="10" rx="2" class="attempt" />
        {step.outcome && state !== "handled" && state !== "delivered" && <g transform={`translate(${to - 6} ${middle - 20}) scale(.75)`}><GlyphShape state={state} /></g>}
      </g>
    );
  }
  const words = duration(endOf(step, last) - at(step.from));
  const reason = step.kind === "waiting" ? t().reason[step.reason as "paused"] ?? t().step.waiting : t().step[step.kind];
  return (
    <g>{title}
      <line x1={from} x2={Math.max(to, from + 1)} y1={middle} y2={middle} class={`gap gap-${step.kind}`} />
      {to - from > words.length * 6.4 && <text x={(from + to) / 2} y={middle - 6} text-anchor="middle">{words}</text>}
      {to - from > reason.length * 6.6 && <text x={(from + to) / 2} y={middle + 15} text-anchor="middle" class="muted">{reason}</text>}
    </g>
  );
}

function EndMark({ x, state, title }: { x: number; state: State; title: JSX.Element }): JSX.Element {
  return <g class={`tone-${toneOf(state)}`} transform={`translate(${x - 1} ${middle - 8})`}>{title}<circle cx="8" cy="8" r="9.5" class="end-back" /><GlyphShape state={state} /></g>;
}

function stepWords(step: Step): string {
  const words = step.kind === "attempt" ? t().step.attemptNo(step.attempt ?? 0) : step.kind === "waiting" ? t().reason[step.reason as "paused"] ?? t().step.waiting : t().step[step.kind];
  const code = step.response_code ? `${step.response_code}` : "";
  const outcome = step.outcome ? t().state[known(step.outcome)] : "";
  return [words, outcome, code, step.error && plain(step.error)].filter(Boolean).join(" · ");
}

function StepTable({ message, lanes }: { message: Schemas["Message"]; lanes: Lane[] }): JSX.Element {
  const words = t().timeline;
  const commit = at(message.created_at);
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label={words.title}>
      <table>
        <caption class="only-read">{words.title}</caption>
        <thead><tr><th scope="col">{words.subscriber}</th><th scope="col">{words.what}</th><th scope="col" class="num">{words.after}</th><th scope="col" class="num">{words.lasted}</th></tr></thead>
        <tbody>
          {lanes.flatMap((lane) => lane.steps.map((step, n) => (
            <tr key={`${lane.subscription} ${lane.instance} ${n}`}>
              <th scope="row"><Foreign text={lane.instance ? `${lane.subscription} ${lane.instance}` : lane.subscription} /></th>
              <td class="break">{stepWords(step)}</td>
              <td class="num" title={exactly(step.from)}>+{duration(at(step.from) - commit)}</td>
              <td class="num">{step.to ? duration(at(step.to) - at(step.from)) : "–"}</td>
            </tr>
          )))}
        </tbody>
      </table>
    </div>
  );
}
