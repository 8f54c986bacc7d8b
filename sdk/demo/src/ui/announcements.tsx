/** What the page tells without being asked: to screen readers, and to everybody in short notes at its lower edge. */

import { createContext, type ReactNode, useCallback, useContext, useMemo, useRef, useState } from 'react';
import { TEST_IDS } from '../testids.js';
import { Icon } from './Icon.js';

interface Announcer {
  /** Has screen readers say it. */
  announce(text: string): void;
  /** Shows it for a while. */
  toast(text: string): void;
}

const AnnouncerContext = createContext<Announcer>({ announce: () => {}, toast: () => {} });
const SHOWN = 6000; // milliseconds

export function useAnnouncer(): Announcer {
  return useContext(AnnouncerContext);
}

export function Announcements({ children }: { children: ReactNode }): ReactNode {
  const [said, setSaid] = useState('');
  const [toasts, setToasts] = useState<readonly { id: number; text: string }[]>([]);
  const nextId = useRef(0);
  const dismiss = useCallback((id: number) => setToasts(shown => shown.filter(toast => toast.id !== id)), []);
  const announcer = useMemo(
    () => ({
      announce: setSaid,
      toast: (text: string) => {
        const id = nextId.current++;
        setToasts(shown => [...shown.filter(toast => toast.text !== text).slice(-2), { id, text }]);
        setTimeout(() => dismiss(id), SHOWN);
      },
    }),
    [dismiss],
  );
  return (
    <AnnouncerContext value={announcer}>
      {children}
      <div className="visually-hidden" role="status" aria-live="polite" data-testid={TEST_IDS.announcement}>
        {said}
      </div>
      <div className="toasts" role="status">
        {toasts.map(({ id, text }) => (
          <div key={id} className="toast" data-testid={TEST_IDS.toast}>
            <span>{text}</span>
            <button type="button" className="icon-button" aria-label="Dismiss" onClick={() => dismiss(id)}>
              <Icon name="close" />
            </button>
          </div>
        ))}
      </div>
    </AnnouncerContext>
  );
}
