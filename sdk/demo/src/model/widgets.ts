/**
 * The dashboard's document, a `json1`: a list of widgets, the topmost last. What it begins with, and what each field
 * means, is told in `fastcollab/demo/content.py`.
 *
 * Places and sizes are in cells of the board: `COLUMNS` across, and as many down as are needed.
 */

export const TONES = ['leaf', 'sun', 'berry', 'sky'] as const;
export type Tone = (typeof TONES)[number];

export interface Cells {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

interface Common extends Cells {
  readonly id: string;
  readonly title: string;
  readonly tone: Tone;
}

export interface NumberWidget extends Common {
  readonly type: 'number';
  readonly value: number;
  readonly unit: string;
}

export interface LineWidget extends Common {
  readonly type: 'line';
  /** The newest last, at most `READINGS`. */
  readonly points: readonly number[];
  readonly unit: string;
}

export interface Bar {
  readonly label: string;
  readonly value: number;
}

export interface BarWidget extends Common {
  readonly type: 'bar';
  readonly bars: readonly Bar[];
  readonly unit: string;
}

/** A note is written in a room of its own. */
export interface NoteWidget extends Common {
  readonly type: 'text' | 'rich-text';
  readonly room: string;
}

export type Widget = NumberWidget | LineWidget | BarWidget | NoteWidget;
export type WidgetType = Widget['type'];

export interface Dashboard {
  readonly widgets: readonly Widget[];
}

export const ROOM = 'dashboard';
export const READINGS = 40;
/** One user may be in ten rooms (R3), and the dashboard is one. */
export const MOST_NOTES = 9;

export const KINDS: Record<WidgetType, string> = {
  number: 'Counter',
  line: 'Line chart',
  bar: 'Bar chart',
  text: 'Text note',
  'rich-text': 'Rich-text note',
};

export function isNote(widget: Widget): widget is NoteWidget {
  return widget.type === 'text' || widget.type === 'rich-text';
}

export function findWidget(dashboard: Dashboard, id: string): Widget | undefined {
  return dashboard.widgets.find(widget => widget.id === id);
}

export function noteCount(dashboard: Dashboard): number {
  return dashboard.widgets.filter(isNote).length;
}

/** A widget as it is added: with something to see, and in its usual size. */
export function newWidget(type: WidgetType, id: string, place: Pick<Cells, 'x' | 'y'>, tone: Tone): Widget {
  const common = { id, tone, ...place };
  switch (type) {
    case 'number':
      return { ...common, type, title: 'Watering cans', w: 6, h: 7, value: 12, unit: 'cans' };
    case 'line':
      return { ...common, type, title: 'Soil moisture', w: 10, h: 12, points: [38, 41, 40, 44, 47, 45, 49], unit: '%' };
    case 'bar':
      return { ...common, type, title: 'Seeds in stock', w: 10, h: 12, bars: SEEDS, unit: 'bags' };
    case 'text':
    case 'rich-text':
      return { ...common, type, title: 'New note', w: 10, h: 12, room: `${ROOM}/${id}` };
  }
}

const SEEDS: readonly Bar[] = [
  { label: 'Beans', value: 14 },
  { label: 'Kale', value: 9 },
  { label: 'Chard', value: 6 },
  { label: 'Dill', value: 11 },
];
