/** A number that is counted up and down. What two people add at once is added up. */

import { useRoom } from '@fastcollab/react';
import type { KeyboardEvent, ReactNode } from 'react';
import { count } from '../model/edits.js';
import type { Dashboard, NumberWidget } from '../model/widgets.js';
import { TEST_IDS } from '../testids.js';
import { Icon } from './Icon.js';

const format = new Intl.NumberFormat('en');

export function Counter({ widget: { id, title, value, unit } }: { widget: NumberWidget }): ReactNode {
  const { document } = useRoom<Dashboard>();
  const change = (amount: number): void => document.edit(count(document.content, id, amount));
  const pressed = (event: KeyboardEvent): void => {
    const amount = STEPS[event.key];
    if (!amount) return;
    event.preventDefault();
    change(amount);
  };
  return (
    <div className="counter">
      <button
        type="button"
        className="round-button"
        aria-label={`One less of ${title}`}
        data-testid={TEST_IDS.numberLess}
        onClick={() => change(-1)}
      >
        <Icon name="minus" />
      </button>
      <div
        className="counter-value"
        role="spinbutton"
        tabIndex={0}
        aria-label={title}
        aria-valuenow={value}
        aria-valuetext={`${format.format(value)} ${unit}`}
        data-testid={TEST_IDS.numberValue}
        onKeyDown={pressed}
      >
        <strong>{format.format(value)}</strong>
        <span>{unit}</span>
      </div>
      <button
        type="button"
        className="round-button"
        aria-label={`One more of ${title}`}
        data-testid={TEST_IDS.numberMore}
        onClick={() => change(1)}
      >
        <Icon name="plus" />
      </button>
    </div>
  );
}

const STEPS: Record<string, number> = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 };
