/** What is in a widget, by its type. */

import { lazy, type ReactNode, Suspense } from 'react';
import type { Widget } from '../model/widgets.js';
import { BarChart } from './BarChart.js';
import { Counter } from './Counter.js';
import { LineChart } from './LineChart.js';
import { Opening } from './NoteRoom.js';

// The editors are most of the page's code, and the board need not wait for them.
const TextNote = lazy(() => import('./TextNote.js'));
const RichNote = lazy(() => import('./RichNote.js'));

export function WidgetBody({ widget }: { widget: Widget }): ReactNode {
  switch (widget.type) {
    case 'number':
      return <Counter widget={widget} />;
    case 'line':
      return <LineChart widget={widget} />;
    case 'bar':
      return <BarChart widget={widget} />;
    case 'text':
      return (
        <Suspense fallback={<Opening />}>
          <TextNote widget={widget} />
        </Suspense>
      );
    case 'rich-text':
      return (
        <Suspense fallback={<Opening />}>
          <RichNote widget={widget} />
        </Suspense>
      );
  }
}
