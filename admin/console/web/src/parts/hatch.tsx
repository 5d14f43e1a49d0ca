// Fills that differ by their pattern as well as by their colour, for charts and for the legends beside them.
import type { JSX } from "preact";
import { useId } from "preact/hooks";

/** tiles are lines in a square of 8, which repeats; the first fill has none and is solid. */
const tiles = ["", "M-2 2 2-2M0 8 8 0M6 10 10 6", "M0 4H8", "M-2 6 2 10M0 0 8 8M6-2 10 2", "M4 0V8", "M0 4H8M4 0V8"];

/** hatches is how many fills there are. */
export const hatches = tiles.length;

/** hatchFill is the nth fill for a canvas: the lines in the colour, on the ground. */
export function hatchFill(context: CanvasRenderingContext2D, n: number, colour: string, ground: string): string | CanvasPattern {
  const lines = tiles[n % hatches]!;
  if (!lines) return colour;
  const scale = devicePixelRatio;
  const tile = document.createElement("canvas");
  tile.width = tile.height = Math.round(8 * scale);
  const drawn = tile.getContext("2d")!;
  drawn.fillStyle = ground;
  drawn.fillRect(0, 0, tile.width, tile.height);
  drawn.scale(tile.width / 8, tile.height / 8);
  drawn.strokeStyle = colour;
  drawn.lineWidth = 2;
  drawn.stroke(new Path2D(lines));
  return context.createPattern(tile, "repeat") ?? colour;
}

/** HatchSwatch shows the nth fill in a legend. */
export function HatchSwatch({ n, colour }: { n: number; colour: string }): JSX.Element {
  const id = useId();
  const lines = tiles[n % hatches]!;
  const stroke = `var(--${colour})`;
  return (
    <svg width="16" height="12" aria-hidden="true">
      {lines && <pattern id={id} width="8" height="8" patternUnits="userSpaceOnUse"><path d={lines} stroke={stroke} stroke-width="2" /></pattern>}
      <rect x="0.75" y="0.75" width="14.5" height="10.5" fill={lines ? `url(#${id})` : stroke} stroke={stroke} stroke-width="1.5" />
    </svg>
  );
}
