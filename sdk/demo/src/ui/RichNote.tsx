/** A note of rich text, in Quill, with a toolbar of our own. */

import { bindQuill } from '@fastcollab/client/quill';
import type { RichText } from '@fastcollab/client/rich-text';
import { richText } from '@fastcollab/client/rich-text';
import { useRoom } from '@fastcollab/react';
import Quill from 'quill';
import 'quill/dist/quill.core.css';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import type { NoteWidget } from '../model/widgets.js';
import { TEST_IDS } from '../testids.js';
import { NoteRoom } from './NoteRoom.js';

/** What notes may have; what others put in beyond that is not shown. */
const FORMATS = ['bold', 'italic', 'underline', 'strike', 'header', 'list', 'link'];

interface Tool {
  readonly label: string;
  readonly sign: string;
  readonly format: string;
  readonly value: unknown;
}

const TOOLS: readonly Tool[] = [
  { label: 'Bold', sign: 'B', format: 'bold', value: true },
  { label: 'Italic', sign: 'I', format: 'italic', value: true },
  { label: 'Underlined', sign: 'U', format: 'underline', value: true },
  { label: 'Heading', sign: 'H', format: 'header', value: 2 },
  { label: 'List', sign: '•', format: 'list', value: 'bullet' },
  { label: 'Numbered list', sign: '1.', format: 'list', value: 'ordered' },
];

const begin = (content: RichText) => content;

export default function RichNote({ widget }: { widget: NoteWidget }): ReactNode {
  return (
    <NoteRoom widget={widget} type={richText} begin={begin}>
      <Editor title={widget.title} />
    </NoteRoom>
  );
}

function Editor({ title }: { title: string }): ReactNode {
  const room = useRoom();
  const box = useRef<HTMLDivElement>(null);
  const [quill, setQuill] = useState<Quill | undefined>(undefined);
  useEffect(() => {
    const element = document.createElement('div');
    box.current!.append(element);
    const editor = new Quill(element, { formats: FORMATS, placeholder: 'Write something…' });
    const unbind = bindQuill(editor, room);
    setQuill(editor);
    return () => {
      unbind();
      element.remove();
    };
  }, [room]);
  useEffect(() => {
    quill?.root.setAttribute('aria-label', title);
    quill?.root.setAttribute('role', 'textbox');
    quill?.root.setAttribute('aria-multiline', 'true');
  }, [quill, title]);
  return (
    <div className="rich-note" data-testid={TEST_IDS.richNote}>
      {quill && <Toolbar quill={quill} title={title} />}
      <div ref={box} className="rich-note-box" />
    </div>
  );
}

function Toolbar({ quill, title }: { quill: Quill; title: string }): ReactNode {
  const formats = useFormats(quill);
  return (
    <div className="tools" role="toolbar" aria-label={`Format ${title}`}>
      {TOOLS.map(({ label, sign, format, value }) => {
        const isOn = formats[format] === value;
        return (
          <button
            key={label}
            type="button"
            className="tool"
            aria-label={label}
            aria-pressed={isOn}
            title={label}
            data-format={format}
            onPointerDown={event => event.preventDefault()} // the text keeps its selection
            onClick={() => quill.format(format, isOn ? false : value, 'user')}
          >
            <span aria-hidden>{sign}</span>
          </button>
        );
      })}
    </div>
  );
}

/** How the text is formatted where the caret is. */
function useFormats(quill: Quill): Record<string, unknown> {
  const [formats, setFormats] = useState<Record<string, unknown>>({});
  useEffect(() => {
    const changed = (): void => setFormats(quill.hasFocus() ? quill.getFormat() : {});
    quill.on('editor-change', changed);
    return () => {
      quill.off('editor-change', changed);
    };
  }, [quill]);
  return formats;
}
