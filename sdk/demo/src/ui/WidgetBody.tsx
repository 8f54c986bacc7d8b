/** What is in a widget, by its type. */

import type { ReactNode } from 'react';
import type { Widget } from '../model/widgets.js';
import { BarChart } from './BarChart.js';
import { Counter } from './Counter.js';
import { LineChart } from './LineChart.js';

export function WidgetBody({ widget }: { widget: Widget }): ReactNode {
  switch (widget.type) {
    case 'number':
      return <Counter widget={widget} />;
    case 'line':
      return <LineChart widget={widget} />;
    case 'bar':
      return <BarChart widget={widget} />;
  }
}
