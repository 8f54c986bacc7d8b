/** Opens the session, and then the page; what keeps it from opening is said where the page would be. */

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { openSession } from './collab/session.js';
import './styles/tokens.css';
import './styles/base.css';
import './styles/header.css';
import './styles/board.css';
import './styles/widgets.css';
import './styles/lab.css';
import { App } from './ui/App.js';
import { Failure, Loading } from './ui/Failure.js';
import { applyTheme, storedTheme } from './ui/theme.js';

applyTheme(storedTheme());
const root = createRoot(document.getElementById('root')!);
root.render(<Loading />);
openSession().then(
  session =>
    root.render(
      <StrictMode>
        <App session={session} />
      </StrictMode>,
    ),
  (error: Error) => root.render(<Failure error={error} />),
);
