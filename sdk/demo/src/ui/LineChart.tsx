/** Readings as a line, the newest at the right; anybody may add one. */

import { useRoom } from '@fastcollab/react';
import { type FormEvent, type PointerEvent, type ReactNode, useRef, useState } from 'react';
import { linePath, part, scaleFor } from '../model/chart.js';
import { addReading } from '../model/edits.js';
import { clamp } from '../model/layout.js';
import type { Dashboard, LineWidget } from '../model/widgets.js';
import { TEST_IDS } from '../testids.js';
import { useSize } from './measures.js';

const AXIS = 34; // pixels for the numbers at the left
const EDGE = 6; // pixels around the line

export function LineChart({ widget }: { widget: LineWidget }): ReactNode {
  const { points, unit } = widget;
  return (
    <div className="line">
      <div className="line-head">
        <strong data-testid={TEST_IDS.lineValue}>{points.at(-1) ?? '–'}</strong>
        <span>{unit}</span>
        <ReadingForm widget={widget} />
      </div>
      <Plot widget={widget} />
    </div>
  );
}

function Plot({ widget: { points, unit, title } }: { widget: LineWidget }): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const size = useSize(box);
  const [pointed, setPointed] = useState<number | undefined>(undefined);
  const width = Math.max(size.width - AXIS - EDGE, 1);
  const height = Math.max(size.height - 2 * EDGE, 1);
  const scale = scaleFor(points);
  const path = linePath(points, scale, width, height);
  const moved = (event: PointerEvent<HTMLDivElement>): void => {
    const { left } = event.currentTarget.getBoundingClientRect();
    const at = Math.round(((event.clientX - left - AXIS) / width) * (points.length - 1));
    setPointed(clamp(at, 0, points.length - 1));
  };
  const at = pointed === undefined ? points.length - 1 : Math.min(pointed, points.length - 1);
  const value = points[at];
  const x = points.length > 1 ? (at / (points.length - 1)) * width : 0;
  return (
    <div ref={box} className="plot" onPointerMove={moved} onPointerLeave={() => setPointed(undefined)}>
      <svg
        width={size.width}
        height={size.height}
        role="img"
        aria-label={`${title}: ${points.length} readings, the last one ${points.at(-1) ?? 'missing'} ${unit}`}
      >
        <g transform={`translate(${AXIS} ${EDGE})`}>
          {scale.ticks.map(tick => {
            const y = (1 - part(tick, scale)) * height;
            return (
              <g key={tick}>
                <line className="plot-grid" x1={0} x2={width} y1={y} y2={y} />
                <text className="plot-tick" x={-8} y={y} dy="0.32em">
                  {tick}
                </text>
              </g>
            );
          })}
          {path && <path className="plot-area" d={`${path}V${height}H0Z`} />}
          <path className="plot-line" d={path} />
          {value !== undefined && <circle className="plot-dot" cx={x} cy={(1 - part(value, scale)) * height} r={4} />}
        </g>
      </svg>
      {pointed !== undefined && value !== undefined && (
        <output className="plot-value" style={{ left: clamp(x + AXIS, 40, size.width - 40) }}>
          {value} {unit}
        </output>
      )}
    </div>
  );
}

function ReadingForm({ widget: { id, title, points } }: { widget: LineWidget }): ReactNode {
  const { document } = useRoom<Dashboard>();
  const [typed, setTyped] = useState('');
  const submitted = (event: FormEvent): void => {
    event.preventDefault();
    const value = Number(typed);
    if (typed.trim() && Number.isFinite(value)) document.edit(addReading(document.content, id, value));
    setTyped('');
  };
  return (
    <form className="reading" onSubmit={submitted}>
      <input
        type="number"
        step="any"
        inputMode="decimal"
        aria-label={`New reading of ${title}`}
        placeholder={String(points.at(-1) ?? 0)}
        value={typed}
        data-testid={TEST_IDS.lineReading}
        onChange={event => setTyped(event.target.value)}
      />
      <button type="submit" className="small-button">
        Add
      </button>
    </form>
  );
}
