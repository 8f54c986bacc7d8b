/**
 * What tests in a browser find things by: the values of `data-testid`. With some of them come attributes that tell more.
 *
 * - `widget`: `data-widget` is its id, `data-type` its type, and `data-x`, `data-y`, `data-w`, `data-h` its cells, which are those of
 *   the document; `data-selected-by` names the other people who have selected it, with spaces between.
 * - `cursor`: one for each other person who points; `data-user` is the user's id, `data-idle` is there when it rests.
 * - `status`: `data-status` is `closed`, `offline`, `connecting`, `saving`, `saved` or `connected`; `data-pending` counts
 *   operations that wait.
 * - `participant`: `data-user` is the user's id.
 * - `message`: a row of the inspector; `data-direction` is `in` or `out`, `data-type` what the message is.
 *
 * A widget is moved by dragging `widget-handle`, and resized by `widget-resize`; with the keyboard `widget` has the focus.
 * On a narrow page that is so while `arrange` is pressed.
 */

export const TEST_IDS = {
  board: 'board',
  widget: 'widget',
  widgetHandle: 'widget-handle',
  widgetTitle: 'widget-title',
  widgetDuplicate: 'widget-duplicate',
  widgetRemove: 'widget-remove',
  widgetResize: 'widget-resize',
  numberValue: 'number-value',
  numberLess: 'number-less',
  numberMore: 'number-more',
  lineValue: 'line-value',
  lineReading: 'line-reading',
  bar: 'bar',
  textNote: 'text-note',
  richNote: 'rich-note',
  cursor: 'cursor',
  status: 'status',
  participant: 'participant',
  undo: 'undo',
  redo: 'redo',
  add: 'add',
  arrange: 'arrange',
  theme: 'theme',
  labToggle: 'lab-toggle',
  lab: 'lab',
  network: 'network',
  people: 'people',
  peopleLess: 'people-less',
  peopleMore: 'people-more',
  inspector: 'inspector',
  message: 'message',
  messageDetail: 'message-detail',
  inspectorPause: 'inspector-pause',
  inspectorClear: 'inspector-clear',
  inspectorSearch: 'inspector-search',
  toast: 'toast',
  announcement: 'announcement',
} as const;
