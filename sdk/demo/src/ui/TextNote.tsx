/** A note of plain text, in CodeMirror. */

import { defaultKeymap } from '@codemirror/commands';
import { drawSelection, EditorView, keymap, placeholder } from '@codemirror/view';
import { collaboration } from '@fastcollab/client/codemirror';
import { insert, text } from '@fastcollab/client/text';
import { useRoom } from '@fastcollab/react';
import { type ReactNode, useEffect, useRef } from 'react';
import type { NoteWidget } from '../model/widgets.js';
import { TEST_IDS } from '../testids.js';
import { NoteRoom } from './NoteRoom.js';

const begin = (content: string) => insert(0, content);

export default function TextNote({ widget }: { widget: NoteWidget }): ReactNode {
  return (
    <NoteRoom widget={widget} type={text} begin={begin}>
      <Editor title={widget.title} />
    </NoteRoom>
  );
}

function Editor({ title }: { title: string }): ReactNode {
  const room = useRoom();
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const view = new EditorView({
      parent: box.current!,
      extensions: [
        collaboration(room),
        keymap.of(defaultKeymap),
        drawSelection(),
        EditorView.lineWrapping,
        placeholder('Write something…'),
      ],
    });
    return () => view.destroy();
  }, [room]);
  useEffect(() => {
    box.current!.querySelector('.cm-content')!.setAttribute('aria-label', title);
  }, [title]);
  return <div ref={box} className="text-note" data-testid={TEST_IDS.textNote} />;
}
