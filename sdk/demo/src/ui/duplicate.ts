/** A second one of a widget. */

import { useRoom } from '@fastcollab/react';
import { useCallback } from 'react';
import { add } from '../model/edits.js';
import { freePlace } from '../model/layout.js';
import type { Dashboard, Widget } from '../model/widgets.js';
import { useAnnouncer } from './announcements.js';

export function useDuplicate(): (widget: Widget) => void {
  const { document } = useRoom<Dashboard>();
  const { announce } = useAnnouncer();
  return useCallback(
    widget => {
      const dashboard = document.content;
      const id = crypto.randomUUID().slice(0, 8);
      const copy: Widget = { ...widget, ...freePlace(dashboard.widgets, widget), id };
      document.separateUndo();
      document.edit(add(dashboard, copy));
      announce(`${widget.title} duplicated`);
    },
    [document, announce],
  );
}
