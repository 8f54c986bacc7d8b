/**
 * The frame of a widget: its title, where it is and how large, and who has selected it.
 *
 * It is moved by its head and resized by its corner; with the keyboard, when the frame has the focus, by the arrows, and
 * with Shift its size. Widgets stand in cells, and the others see every cell on the way; whoever drags sees theirs follow
 * the pointer, with the cells where it will stand marked. The later of two who move one widget wins. Where widgets are
 * stacked they are arranged on a board of their own, where each is no more than its frame.
 */

import type { Participant } from '@fastcollab/client';
import { useHistory, useOthers, useRoom } from '@fastcollab/react';
import {
  type CSSProperties,
  type KeyboardEvent,
  memo,
  type PointerEvent,
  type ReactNode,
  useRef,
  useState,
} from 'react';
import { bringToFront, remove, reshape } from '../model/edits.js';
import { moved, type Point, pixels, resized, SMALLEST, snapped } from '../model/layout.js';
import { type Cells, type Dashboard, isNote, KINDS, type Widget } from '../model/widgets.js';
import { TEST_IDS } from '../testids.js';
import { useAnnouncer } from './announcements.js';
import { ownColor } from './color.js';
import { type DragHandlers, useDrag } from './drag.js';
import { useDuplicate } from './duplicate.js';
import { Icon } from './Icon.js';
import { Title } from './Title.js';
import { WidgetBody } from './WidgetBody.js';

/** The element that says what the keyboard does with a widget. */
export const HELP = 'widget-help';

export interface WidgetFrameProps {
  readonly widget: Widget;
  /** Its place in the document's list. */
  readonly at: number;
  /** Its place when one reads the board. */
  readonly rank: number;
  readonly boardWidth: number;
  readonly isStacked: boolean;
  readonly isArranging: boolean;
  readonly isSelected: boolean;
  readonly onSelect: (id: string) => void;
  readonly onDragging: (isDragging: boolean) => void;
}

type Change = (from: Cells, by: Point) => Cells;

/** What the pointer has done to a widget so far. */
interface Drag {
  readonly from: Cells;
  readonly by: Point; // pixels
  readonly change: Change;
}

export const WidgetFrame = memo(function WidgetFrame(props: WidgetFrameProps): ReactNode {
  const { widget, at, rank, boardWidth, isStacked, isArranging, isSelected, onSelect } = props;
  const { id } = widget;
  const { document } = useRoom<Dashboard>();
  const { separate } = useHistory();
  const { announce } = useAnnouncer();
  const duplicate = useDuplicate();
  const frame = useRef<HTMLElement>(null);
  const [drag, setDrag] = useState<Drag | undefined>(undefined);
  const admirers = useOthers(others => selectedBy(others, at), sameNames);
  const moveHandlers = useReshaping(props, moved, setDrag);
  const resizeHandlers = useReshaping(props, resized, setDrag);
  const startMove = useDrag(moveHandlers);
  const startResize = useDrag(resizeHandlers);

  const selectHere = (): void => {
    onSelect(id);
    document.edit(bringToFront(document.content, id));
  };
  const removeThis = (): void => {
    separate();
    document.edit(remove(document.content, id));
    announce(`${widget.title} removed`);
  };
  const nudge = (change: Change, by: Point): void => {
    const cells = change(widget, by);
    document.edit(reshape(document.content, id, cells));
    announce(change === moved ? `Column ${cells.x + 1}, row ${cells.y + 1}` : `${cells.w} wide, ${cells.h} high`);
  };
  const pressed = (event: KeyboardEvent): void => {
    if (event.target !== frame.current) {
      if (event.key === 'Escape') frame.current?.focus();
      return;
    }
    const by = ARROWS[event.key];
    if (by && !isStacked && !event.ctrlKey && !event.metaKey) nudge(event.shiftKey ? resized : moved, by);
    else if (event.key === 'Delete' || event.key === 'Backspace') removeThis();
    else if (event.key.toLowerCase() === 'd' && (event.ctrlKey || event.metaKey)) duplicate(widget);
    else if (event.key === 'Enter') focusWithin(frame.current);
    else return;
    event.preventDefault();
  };
  const taken = (event: PointerEvent<HTMLElement>): void => {
    const isControl = (event.target as Element).closest('input, button');
    if (!isStacked && !isControl) startMove(event);
  };

  const style: CSSProperties = admirers[0] ? ownColor(admirers[0].color) : {};
  if (isStacked)
    Object.assign(style, { order: rank, height: isNote(widget) ? 340 : widget.type === 'number' ? 150 : 260 });
  else Object.assign(style, placed(widget, drag, boardWidth), { zIndex: drag ? 900 : at + 1 });
  return (
    <>
      {drag && <div className="ghost" style={placed(widget, undefined, boardWidth)} aria-hidden />}
      {/* biome-ignore lint/a11y/useSemanticElements: a group of controls, none of them of a form */}
      <section
        ref={frame}
        role="group"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it is moved with the keyboard
        tabIndex={0}
        className="widget"
        aria-label={`${widget.title}, ${KINDS[widget.type]}`}
        aria-describedby={isStacked ? undefined : HELP}
        data-testid={TEST_IDS.widget}
        data-widget={id}
        data-type={widget.type}
        data-tone={widget.tone}
        data-x={widget.x}
        data-y={widget.y}
        data-w={widget.w}
        data-h={widget.h}
        data-selected={isSelected || undefined}
        data-selected-by={admirers.map(({ userId }) => userId).join(' ') || undefined}
        data-dragged={drag !== undefined || undefined}
        style={style}
        onKeyDown={pressed}
        onFocus={() => onSelect(id)}
        onPointerDown={selectHere}
      >
        {admirers.length > 0 && (
          <span className="widget-admirer" aria-hidden>
            {admirers[0]!.name}
            {admirers.length > 1 && ` +${admirers.length - 1}`}
          </span>
        )}
        <div className="widget-head" data-testid={TEST_IDS.widgetHandle} onPointerDown={taken}>
          <Title widget={widget} />
          <div className="widget-actions">
            <button
              type="button"
              className="icon-button"
              aria-label={`Duplicate ${widget.title}`}
              title="Duplicate (Ctrl+D)"
              data-testid={TEST_IDS.widgetDuplicate}
              onClick={() => duplicate(widget)}
            >
              <Icon name="copy" />
            </button>
            <button
              type="button"
              className="icon-button"
              aria-label={`Remove ${widget.title}`}
              title="Remove (Delete)"
              data-testid={TEST_IDS.widgetRemove}
              onClick={removeThis}
            >
              <Icon name="trash" />
            </button>
          </div>
        </div>
        <div className="widget-body">
          <WidgetBody widget={widget} />
        </div>
        {isArranging && (
          <span className="widget-kind">
            <Icon name={widget.type} />
          </span>
        )}
        {!isStacked && (
          <div className="widget-resize" aria-hidden data-testid={TEST_IDS.widgetResize} onPointerDown={startResize} />
        )}
      </section>
    </>
  );
});

const ARROWS: Record<string, Point> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** Dragging as edits: one for each cell that is reached, all of them one step to be undone. */
function useReshaping(
  { widget, boardWidth, onDragging }: WidgetFrameProps,
  change: Change,
  setDrag: (drag: Drag | undefined) => void,
): DragHandlers {
  const { document } = useRoom<Dashboard>();
  const { separate } = useHistory();
  const { announce } = useAnnouncer();
  const origin = useRef<Cells>(widget);
  const reached = useRef<Cells>(widget);
  const reach = (cells: Cells): void => {
    if (sameCells(cells, reached.current)) return;
    reached.current = cells;
    document.edit(reshape(document.content, widget.id, cells));
  };
  return {
    start: () => {
      const { x, y, w, h } = widget;
      origin.current = reached.current = { x, y, w, h };
      separate();
      onDragging(true);
    },
    move: by => {
      setDrag({ from: origin.current, by, change });
      reach(change(origin.current, snapped(by, boardWidth)));
    },
    end: isCancelled => {
      if (isCancelled) reach(origin.current);
      else document.edit(bringToFront(document.content, widget.id)); // it was above all while it was dragged
      if (!sameCells(origin.current, reached.current)) {
        announce(`${widget.title} is at column ${reached.current.x + 1}, row ${reached.current.y + 1}`);
      }
      separate();
      setDrag(undefined);
      onDragging(false);
    },
  };
}

function sameCells(a: Cells, b: Cells): boolean {
  return a.x === b.x && a.y === b.y && a.w === b.w && a.h === b.h;
}

/** Where a widget is drawn: in its cells, or as far from there as the pointer has come. */
function placed(widget: Cells, drag: Drag | undefined, boardWidth: number): CSSProperties {
  const { x, y, width, height } = pixels(drag ? drag.from : widget, boardWidth);
  if (!drag) return { transform: `translate(${x}px, ${y}px)`, width, height };
  const { by, change } = drag;
  if (change === moved) return { transform: `translate(${x + by.x}px, ${y + by.y}px)`, width, height };
  const smallest = pixels({ ...drag.from, ...SMALLEST }, boardWidth);
  return {
    transform: `translate(${x}px, ${y}px)`,
    width: Math.max(width + by.x, smallest.width),
    height: Math.max(height + by.y, smallest.height),
  };
}

function focusWithin(frame: HTMLElement | null): void {
  frame?.querySelector<HTMLElement>('.widget-body :is(button, input, [tabindex], [contenteditable])')?.focus();
}

interface Admirer {
  readonly userId: string;
  readonly name: string;
  readonly color: string;
}

/** Who has selected the widget at that place of the list. */
function selectedBy(others: readonly Participant[], at: number): Admirer[] {
  return others
    .filter(({ selection }) => {
      const head = selection?.ranges[0]?.head;
      return Array.isArray(head) && head[0] === 'widgets' && head[1] === at;
    })
    .map(({ userId, name, color }) => ({ userId, name, color }));
}

function sameNames(a: readonly Admirer[], b: readonly Admirer[]): boolean {
  return a.length === b.length && a.every((admirer, at) => admirer.userId === b[at]!.userId);
}
