/** Bars that are pulled up and down, with the pointer or the arrow keys. */

import { useRoom } from '@fastcollab/react';
import { type KeyboardEvent, type ReactNode, useRef } from 'react';
import { part, type Scale, scaleFromZero } from '../model/chart.js';
import { countBar } from '../model/edits.js';
import type { Bar, BarWidget, Dashboard } from '../model/widgets.js';
import { TEST_IDS } from '../testids.js';
import { useDrag } from './drag.js';

export function BarChart({ widget }: { widget: BarWidget }): ReactNode {
  const { bars, id, unit } = widget;
  const scale = scaleFromZero(bars.map(bar => bar.value));
  return (
    <div className="bars">
      <div className="bars-grid" aria-hidden>
        {scale.ticks.map(tick => (
          <span key={tick} style={{ bottom: `${part(tick, scale) * 100}%` }}>
            {tick}
          </span>
        ))}
      </div>
      {bars.map((bar, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a bar is its place in the list
        <Column key={at} widgetId={id} at={at} bar={bar} unit={unit} scale={scale} />
      ))}
    </div>
  );
}

interface ColumnProps {
  readonly widgetId: string;
  readonly at: number;
  readonly bar: Bar;
  readonly unit: string;
  readonly scale: Scale;
}

function Column({ widgetId, at, bar: { label, value }, unit, scale }: ColumnProps): ReactNode {
  const { document } = useRoom<Dashboard>();
  const track = useRef<HTMLDivElement>(null);
  const taken = useRef({ sum: 0, perPixel: 0 });
  const change = (amount: number): void => document.edit(countBar(document.content, widgetId, at, amount));
  const startDrag = useDrag({
    start: () => {
      document.separateUndo();
      taken.current = { sum: 0, perPixel: (scale.max - scale.min) / (track.current?.clientHeight || 1) };
    },
    move: by => {
      const sum = Math.round(-by.y * taken.current.perPixel);
      change(sum - taken.current.sum);
      taken.current.sum = sum;
    },
    end: isCancelled => {
      if (isCancelled) change(-taken.current.sum);
      document.separateUndo();
    },
  });
  const pressed = (event: KeyboardEvent): void => {
    const amount = STEPS[event.key];
    if (!amount) return;
    event.preventDefault();
    change(amount);
  };
  return (
    <div className="bars-column">
      <div ref={track} className="bars-track">
        <div
          className="bar"
          role="slider"
          tabIndex={0}
          aria-orientation="vertical"
          aria-label={label}
          aria-valuemin={scale.min}
          aria-valuemax={scale.max}
          aria-valuenow={value}
          aria-valuetext={`${value} ${unit}`}
          data-testid={TEST_IDS.bar}
          style={{ height: `${Math.max(part(value, scale) * 100, 1)}%` }}
          onPointerDown={startDrag}
          onKeyDown={pressed}
        >
          <span className="bar-value">{value}</span>
        </div>
      </div>
      <span className="bar-label">{label}</span>
    </div>
  );
}

const STEPS: Record<string, number> = {
  ArrowUp: 1,
  ArrowRight: 1,
  ArrowDown: -1,
  ArrowLeft: -1,
  PageUp: 10,
  PageDown: -10,
};
