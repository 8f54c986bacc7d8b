/** A second one of a widget. A note's is written in a room of its own, which begins with what the first one has. */

import { useClient, useRoom } from '@fastcollab/react';
import { useCallback } from 'react';
import { useSession } from '../collab/session.js';
import { add } from '../model/edits.js';
import { freePlace } from '../model/layout.js';
import { type Dashboard, isNote, MOST_NOTES, noteCount, ROOM, type Widget } from '../model/widgets.js';
import { useAnnouncer } from './announcements.js';

export function useDuplicate(): (widget: Widget) => void {
  const client = useClient();
  const { beginnings } = useSession();
  const { document } = useRoom<Dashboard>();
  const { announce, toast } = useAnnouncer();
  return useCallback(
    widget => {
      const dashboard = document.content;
      const id = crypto.randomUUID().slice(0, 8);
      const copy: Widget = { ...widget, ...freePlace(dashboard.widgets, widget), id };
      if (isNote(widget)) {
        if (noteCount(dashboard) >= MOST_NOTES) {
          toast(`A board has at most ${MOST_NOTES} notes, since each is a room of its own.`);
          return;
        }
        const room = `${ROOM}/${id}`;
        beginnings.set(room, client.rooms.get(widget.room)?.document.content);
        Object.assign(copy, { room });
      }
      document.separateUndo();
      document.edit(add(dashboard, copy));
      announce(`${widget.title} duplicated`);
    },
    [client, beginnings, document, announce, toast],
  );
}
