/** The board: widgets in their places, the others' cursors over them, and one's own pointer shown to the others. */

import { useContent, usePresence, useRoom, useSelf, useStatus } from '@fastcollab/react';
import { type PointerEvent, type ReactNode, useCallback, useEffect, useRef, useState } from 'react';
import { inReadingOrder, keptOrder, ROW, rows } from '../model/layout.js';
import type { Dashboard } from '../model/widgets.js';
import { TEST_IDS } from '../testids.js';
import { CursorLayer } from './CursorLayer.js';
import { NARROW, useMediaQuery, useSize } from './measures.js';
import { useProjection } from './projection.js';
import { HELP, WidgetFrame } from './WidgetFrame.js';

export function Board({ isArranging }: { isArranging: boolean }): ReactNode {
  const widgets = useContent((dashboard: Dashboard) => dashboard.widgets);
  const surface = useRef<HTMLDivElement>(null);
  const { width } = useSize(surface);
  const isStacked = useMediaQuery(NARROW) && !isArranging;
  const isOnline = useStatus() === 'connected';
  const projection = useProjection(surface, widgets, width, isStacked);
  const { cursor } = usePresence();
  const [selected, select] = useSelectedWidget();
  const [isDragging, setDragging] = useState(false);

  const reading = inReadingOrder(widgets).map(widget => widget.id);
  const order = useRef<string[]>([]);
  order.current = keptOrder(order.current, reading);
  const places = new Map(widgets.map((widget, at) => [widget.id, at]));

  const pointed = (event: PointerEvent): void => {
    const { left, top } = surface.current!.getBoundingClientRect();
    const place = projection.toUnits({ x: event.clientX - left, y: event.clientY - top });
    if (place) cursor.update(place);
  };
  const pressed = (event: PointerEvent): void => {
    if (event.target === surface.current) select(undefined);
  };
  return (
    <div
      ref={surface}
      className="board"
      data-testid={TEST_IDS.board}
      data-stacked={isStacked || undefined}
      data-arranging={isArranging || undefined}
      data-dragging={isDragging || undefined}
      data-offline={!isOnline || undefined}
      style={isStacked ? undefined : { height: rows(widgets) * ROW }}
      onPointerMove={pointed}
      onPointerDown={pressed}
    >
      {width > 0 &&
        order.current.map(id => {
          const at = places.get(id)!;
          return (
            <WidgetFrame
              key={id}
              widget={widgets[at]!}
              at={at}
              rank={reading.indexOf(id)}
              boardWidth={width}
              isStacked={isStacked}
              isArranging={isArranging}
              isSelected={selected === id}
              onSelect={select}
              onDragging={setDragging}
            />
          );
        })}
      {widgets.length === 0 && <p className="board-empty">Nothing is here. Add a widget, or undo.</p>}
      <CursorLayer projection={projection} />
      <p id={HELP} hidden>
        Arrow keys move it, with Shift they resize it. Enter goes into it, Escape out of it, Delete removes it.
      </p>
    </div>
  );
}

/** Which widget one has selected, which the others are shown. */
function useSelectedWidget(): [string | undefined, (id: string | undefined) => void] {
  const room = useRoom<Dashboard>();
  const { selection } = usePresence();
  const color = useSelf(self => self.color);
  const [selected, setSelected] = useState<string | undefined>(undefined);
  useEffect(() => {
    const at = room.document.content.widgets.findIndex(widget => widget.id === selected);
    const path = ['widgets', at];
    selection.update(at < 0 ? [] : [{ anchor: path, head: path }], color);
  }, [room, selection, color, selected]);
  return [selected, useCallback(id => setSelected(id), [])];
}
