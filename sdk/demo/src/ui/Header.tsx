/** The bar at the top: what one can do, how things stand, and who is there. */

import { useRoom } from '@fastcollab/react';
import type { ReactNode } from 'react';
import { useSession } from '../collab/session.js';
import { add } from '../model/edits.js';
import { freePlace } from '../model/layout.js';
import { type Dashboard, KINDS, MOST_NOTES, newWidget, noteCount, TONES, type WidgetType } from '../model/widgets.js';
import { TEST_IDS } from '../testids.js';
import { useAnnouncer } from './announcements.js';
import { Icon, type IconName } from './Icon.js';
import { Menu } from './Menu.js';
import { Participants } from './Participants.js';
import { StatusPill } from './StatusPill.js';
import { THEMES, type Theme, useTheme } from './theme.js';
import { useWorkspace } from './undo.js';

export interface HeaderProps {
  readonly isLabOpen: boolean;
  readonly onLab: (open: boolean) => void;
  readonly isArranging: boolean;
  /** Where widgets are stacked; elsewhere they are arranged at any time. */
  readonly onArranging: ((arranging: boolean) => void) | undefined;
}

export function Header({ isLabOpen, onLab, isArranging, onArranging }: HeaderProps): ReactNode {
  return (
    <header className="header">
      <div className="brand">
        <svg className="brand-mark" viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="8" fill="var(--accent-strong)" />
          <path d="M8 7.5 23.5 14l-6.6 2.3-2.6 6.6z" fill="#fff" />
          <path d="m20 20 4.5 4.5" stroke="#9be0bd" strokeWidth="3" strokeLinecap="round" />
        </svg>
        <h1>Greenhouse</h1>
      </div>
      <div className="toolbar" role="toolbar" aria-label="Edit">
        <HistoryButtons />
        <AddMenu />
        {onArranging && (
          <button
            type="button"
            className="icon-button"
            aria-label="Arrange the widgets"
            aria-pressed={isArranging}
            data-testid={TEST_IDS.arrange}
            onClick={() => onArranging(!isArranging)}
          >
            <Icon name="arrange" />
          </button>
        )}
      </div>
      <StatusPill />
      <Participants />
      <ThemeButton />
      <button
        type="button"
        className="button lab-toggle"
        aria-expanded={isLabOpen}
        aria-label="Lab"
        data-testid={TEST_IDS.labToggle}
        onClick={() => onLab(!isLabOpen)}
      >
        <Icon name="flask" />
        <span className="button-text">Lab</span>
      </button>
    </header>
  );
}

function HistoryButtons(): ReactNode {
  const { workspace } = useSession();
  const { canUndo, canRedo } = useWorkspace();
  return (
    <>
      <button
        type="button"
        className="icon-button"
        aria-label="Undo"
        title="Undo (Ctrl+Z)"
        disabled={!canUndo}
        data-testid={TEST_IDS.undo}
        onClick={() => workspace.undo()}
      >
        <Icon name="undo" />
      </button>
      <button
        type="button"
        className="icon-button"
        aria-label="Redo"
        title="Redo (Ctrl+Shift+Z)"
        disabled={!canRedo}
        data-testid={TEST_IDS.redo}
        onClick={() => workspace.redo()}
      >
        <Icon name="redo" />
      </button>
    </>
  );
}

function AddMenu(): ReactNode {
  const { document } = useRoom<Dashboard>();
  const { announce, toast } = useAnnouncer();
  const addWidget = (type: WidgetType): void => {
    const dashboard = document.content;
    if ((type === 'text' || type === 'rich-text') && noteCount(dashboard) >= MOST_NOTES) {
      toast(`A board has at most ${MOST_NOTES} notes, since each is a room of its own.`);
      return;
    }
    const id = crypto.randomUUID().slice(0, 8);
    const tone = TONES[dashboard.widgets.length % TONES.length]!;
    const draft = newWidget(type, id, { x: 0, y: 0 }, tone);
    document.separateUndo();
    document.edit(add(dashboard, { ...draft, ...freePlace(dashboard.widgets, draft) }));
    announce(`${KINDS[type]} added`);
  };
  return (
    <Menu
      label="Add a widget"
      testId={TEST_IDS.add}
      button={
        <>
          <Icon name="plus" />
          <span className="button-text">Add</span>
        </>
      }
    >
      {close =>
        (Object.keys(KINDS) as WidgetType[]).map(type => (
          <button
            key={type}
            type="button"
            className="menu-item"
            data-type={type}
            onClick={() => {
              close();
              addWidget(type);
            }}
          >
            <Icon name={type} />
            {KINDS[type]}
          </button>
        ))
      }
    </Menu>
  );
}

const THEME_ICONS: Record<Theme, IconName> = { system: 'system', light: 'sun', dark: 'moon' };

function ThemeButton(): ReactNode {
  const [theme, setTheme] = useTheme();
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
  return (
    <button
      type="button"
      className="icon-button"
      aria-label={`Theme: ${theme}`}
      title={`Theme: ${theme}`}
      data-testid={TEST_IDS.theme}
      onClick={() => setTheme(next)}
    >
      <Icon name={THEME_ICONS[theme]} />
    </button>
  );
}
