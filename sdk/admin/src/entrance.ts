/** Asks for the key, until one is right. It is kept for this tab only, and goes when the tab is closed. */

import { Api, Refusal } from './api.js';
import { element, say } from './dom.js';

const KEPT = 'fastcollab.ops.key';

/** The API, opened with the key of this tab or one that is typed in. `notice` is why it is asked for again. */
export async function enter(root: HTMLElement, notice = ''): Promise<Api> {
  const kept = sessionStorage.getItem(KEPT);
  const obstacle = await attempt(kept ?? '');
  if (obstacle === undefined) return new Api(kept!);
  const isOpenToAny = obstacle instanceof Refusal && obstacle.status === 404;
  return isOpenToAny ? withoutKeys(root) : askForKey(root, notice || (kept ? explain(obstacle) : ''));
}

export function forget(): void {
  sessionStorage.removeItem(KEPT);
}

/** What keeps this key from opening the API. */
async function attempt(key: string): Promise<Error | undefined> {
  try {
    await new Api(key).nodes();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

function explain(error: Error): string {
  if (!(error instanceof Refusal)) return 'The gateway does not answer.';
  if (error.status === 401) return 'This key is wrong.';
  if (error.status === 429) return 'There were too many wrong keys. Try again in a second.';
  return `The gateway refuses: ${error.message}`;
}

function askForKey(root: HTMLElement, notice: string): Promise<Api> {
  const field = element('input', {
    id: 'key',
    type: 'password',
    required: '',
    autocomplete: 'current-password',
    spellcheck: 'false',
    'aria-describedby': 'key-notice',
  });
  const said = element('p', { id: 'key-notice', class: 'notice', role: 'alert' }, notice);
  const open = element('button', { type: 'submit', class: 'button primary' }, 'Open');
  const form = element('form', {}, element('label', { for: 'key' }, 'API key'), field, said, open);
  show(
    root,
    form,
    element(
      'p',
      { class: 'muted' },
      'One of ',
      element('code', {}, 'ops.api_keys'),
      ' in the configuration of the gateway. It is kept until this tab is closed.',
    ),
  );
  field.focus();
  return new Promise(resolve => {
    form.addEventListener('submit', async event => {
      event.preventDefault();
      open.disabled = true;
      const key = field.value.trim();
      const obstacle = await attempt(key);
      open.disabled = false;
      if (obstacle === undefined) {
        sessionStorage.setItem(KEPT, key);
        resolve(new Api(key));
        return;
      }
      say(said, explain(obstacle));
      field.select();
      field.focus();
    });
  });
}

/** There is nothing to be shown, and will not be before the gateway is started anew. */
function withoutKeys(root: HTMLElement): Promise<never> {
  show(
    root,
    element('h2', {}, 'This gateway has no API key'),
    element(
      'p',
      {},
      'What it does is told to who has one. Make a key of at least 32 bytes, and start the gateway with it:',
    ),
    element('pre', {}, 'export FASTCOLLAB_OPS__API_KEYS=me:$(openssl rand -hex 32)\nfastcollab serve --ops-port 8081'),
    element('p', { class: 'muted' }, 'The name before the colon is how the log calls whoever uses the key.'),
  );
  return new Promise(() => {});
}

function show(root: HTMLElement, ...content: readonly Node[]): void {
  const brand = element('div', { class: 'brand' }, element('h1', {}, 'fastcollab'), element('span', {}, 'Operations'));
  root.replaceChildren(element('main', { class: 'entrance' }, element('div', { class: 'card' }, brand, ...content)));
}
