/**
 * The traffic: every WebSocket message of this page, both ways, the newest at the bottom. Only the rows that can be seen
 * are in the page; the list is looked at again a few times a second, however much comes.
 */

import { type ReactNode, type UIEvent, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { useSession } from '../collab/session.js';
import { type Filter, GROUPS, type Group, type Message, matches, sizeInWords } from '../model/traffic.js';
import { TEST_IDS } from '../testids.js';
import { Icon } from './Icon.js';
import { useSize } from './measures.js';

const INTERVAL = 250; // milliseconds
const ROW_HEIGHT = 26; // pixels, as in lab.css

const DIRECTIONS = ['in', 'out'] as const;
const DIRECTION_WORDS = { in: '↓ in', out: '↑ out' };
const clock = new Intl.DateTimeFormat('en-GB', {
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
});

export function Inspector(): ReactNode {
  const { recorder } = useSession();
  const [isPaused, setPaused] = useState(recorder.isPaused);
  const [filter, setFilter] = useState<Filter>({
    groups: new Set(GROUPS),
    directions: new Set(DIRECTIONS),
    search: '',
  });
  const [chosen, choose] = useState<Message | undefined>(undefined);
  const [messages, refresh] = useMessages();
  const shown = useMemo(() => messages.filter(message => matches(message, filter)), [messages, filter]);
  const pause = (paused: boolean): void => {
    recorder.isPaused = paused;
    setPaused(paused);
  };
  return (
    <section className="lab-section inspector" aria-labelledby="lab-traffic" data-testid={TEST_IDS.inspector}>
      <div className="lab-row">
        <h3 id="lab-traffic">Traffic</h3>
        <div className="inspector-actions">
          <button
            type="button"
            className="icon-button"
            aria-label={isPaused ? 'Go on recording' : 'Pause recording'}
            aria-pressed={isPaused}
            data-testid={TEST_IDS.inspectorPause}
            onClick={() => pause(!isPaused)}
          >
            <Icon name={isPaused ? 'play' : 'pause'} />
          </button>
          <button
            type="button"
            className="icon-button"
            aria-label="Clear the list"
            data-testid={TEST_IDS.inspectorClear}
            onClick={() => {
              recorder.clear();
              choose(undefined);
              refresh();
            }}
          >
            <Icon name="trash" />
          </button>
        </div>
      </div>
      <Filters filter={filter} onChange={setFilter} />
      <Rows messages={shown} chosen={chosen} onChoose={choose} />
      {chosen && <Detail message={chosen} onClose={() => choose(undefined)} />}
    </section>
  );
}

/** What is recorded, and a function that looks at once. */
function useMessages(): [readonly Message[], () => void] {
  const { recorder } = useSession();
  const [messages, setMessages] = useState<readonly Message[]>(() => recorder.messages());
  useEffect(() => {
    let seen = recorder.count;
    const timer = setInterval(() => {
      if (recorder.count === seen) return;
      seen = recorder.count;
      setMessages(recorder.messages());
    }, INTERVAL);
    return () => clearInterval(timer);
  }, [recorder]);
  return [messages, () => setMessages(recorder.messages())];
}

function Filters({ filter, onChange }: { filter: Filter; onChange: (filter: Filter) => void }): ReactNode {
  const chip = (label: string, isOn: boolean, toggle: () => void): ReactNode => (
    <button key={label} type="button" className="chip" aria-pressed={isOn} onClick={toggle}>
      {label}
    </button>
  );
  return (
    <div className="filters">
      {DIRECTIONS.map(direction =>
        chip(DIRECTION_WORDS[direction], filter.directions.has(direction), () =>
          onChange({ ...filter, directions: toggled(filter.directions, direction) }),
        ),
      )}
      {GROUPS.map((group: Group) =>
        chip(group, filter.groups.has(group), () => onChange({ ...filter, groups: toggled(filter.groups, group) })),
      )}
      <input
        type="search"
        placeholder="Type or room"
        aria-label="Show only messages with this in their type or room"
        value={filter.search}
        data-testid={TEST_IDS.inspectorSearch}
        onChange={event => onChange({ ...filter, search: event.target.value })}
      />
    </div>
  );
}

interface RowsProps {
  readonly messages: readonly Message[];
  readonly chosen: Message | undefined;
  readonly onChoose: (message: Message) => void;
}

function Rows({ messages, chosen, onChoose }: RowsProps): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const { height } = useSize(box);
  const [top, setTop] = useState(0);
  const follows = useRef(true);
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is new messages that are to be followed
  useLayoutEffect(() => {
    const element = box.current!;
    if (!follows.current) return;
    element.scrollTop = element.scrollHeight;
    setTop(element.scrollTop); // the event comes when what was there before has been painted
  }, [messages, height]);
  const scrolled = ({ currentTarget }: UIEvent<HTMLElement>): void => {
    const { scrollTop, scrollHeight, clientHeight } = currentTarget;
    follows.current = scrollHeight - scrollTop - clientHeight < ROW_HEIGHT;
    setTop(scrollTop);
  };
  const first = Math.max(Math.floor(top / ROW_HEIGHT) - 2, 0);
  const visible = messages.slice(first, first + Math.ceil(height / ROW_HEIGHT) + 4);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached with the keyboard
    <section ref={box} className="rows" aria-label="Messages" tabIndex={0} onScroll={scrolled}>
      <div style={{ height: messages.length * ROW_HEIGHT }}>
        {visible.map((message, at) => (
          <button
            key={message.number}
            type="button"
            className="row"
            style={{ top: (first + at) * ROW_HEIGHT }}
            aria-pressed={message === chosen}
            data-testid={TEST_IDS.message}
            data-direction={message.direction}
            data-type={message.meaning.type}
            data-group={message.meaning.group}
            onClick={() => onChoose(message)}
          >
            <span className="row-time">{clock.format(message.at)}</span>
            <span className="row-direction">{message.direction === 'in' ? '↓' : '↑'}</span>
            <span className="row-type">{message.meaning.type}</span>
            <span className="row-room">{message.meaning.roomId}</span>
            <span className="row-size">{sizeInWords(message.size)}</span>
          </button>
        ))}
      </div>
      {messages.length === 0 && <p className="muted rows-empty">No message yet that is to be shown.</p>}
    </section>
  );
}

function Detail({ message, onClose }: { message: Message; onClose: () => void }): ReactNode {
  const { type, roomId } = message.meaning;
  return (
    <div className="detail" data-testid={TEST_IDS.messageDetail}>
      <div className="lab-row">
        <strong>
          {message.direction === 'in' ? 'Received' : 'Sent'}: {type} {roomId && `in ${roomId}`}
        </strong>
        <button type="button" className="icon-button" aria-label="Close the message" onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached with the keyboard */}
      <pre tabIndex={0}>{message.text}</pre>
    </div>
  );
}

function toggled<Value>(set: ReadonlySet<Value>, value: Value): Set<Value> {
  const next = new Set(set);
  if (!next.delete(value)) next.add(value);
  return next;
}
