/** The page itself: everything that the gateway tells of itself, asked once a second. */

import { type Activity, type Api, type Node, Refusal } from './api.js';
import { Deeds } from './deeds.js';
import { button, element, mark, say } from './dom.js';
import { short } from './format.js';
import { Connections } from './panels/connections.js';
import { Figures } from './panels/figures.js';
import { Nodes } from './panels/nodes.js';
import { Refusals } from './panels/refusals.js';
import { Rooms } from './panels/rooms.js';
import { Polling } from './polling.js';

/** How often (ms) the gateway is asked. */
const INTERVAL = 1_000;

/** Shows it until there is no right key any more; resolves with what is to be said of that. */
export function watch(root: HTMLElement, api: Api): Promise<string> {
  return new Promise(resolve => {
    const deeds = new Deeds(api);
    const bar = new Bar(() => leave(''));
    const alarm = element('p', { class: 'alarm', role: 'alert' });
    const figures = new Figures(INTERVAL);
    const connections = new Connections(deeds);
    const rooms = new Rooms(api, deeds, INTERVAL);
    const refusals = new Refusals();
    const nodes = new Nodes();
    const parts = [alarm, figures, connections, rooms, refusals, nodes].map(part =>
      'element' in part ? part.element : part,
    );
    root.replaceChildren(bar.element, element('main', { class: 'content' }, ...parts), deeds.element);

    function show(activity: Activity, known: readonly Node[]): void {
      const faults = known.flatMap(({ node, faults }) => faults.map(fault => `${short(node)}: ${fault}`));
      say(alarm, faults.join('; '));
      alarm.hidden = faults.length === 0;
      figures.show(activity);
      connections.show(activity.connections);
      rooms.show(activity.rooms);
      refusals.show(activity);
      nodes.show(known);
      bar.answered(activity.node);
    }

    const polling = new Polling(INTERVAL, async () => {
      const answers = await Promise.all([api.activity(), api.nodes()]).catch((error: Error) => error);
      if (!(answers instanceof Error)) show(...answers);
      else if (answers instanceof Refusal && answers.status === 401)
        leave('The gateway does not accept this key any more.');
      else bar.failed(answers);
    });

    function leave(notice: string): void {
      polling.end();
      for (const dialog of document.querySelectorAll('dialog')) dialog.close();
      resolve(notice);
    }
  });
}

/** What is said at the top: which gateway this is, and whether it answers. */
class Bar {
  readonly element: HTMLElement;
  private readonly node = element('span', { class: 'muted' });
  private readonly status = element('span', { class: 'status', role: 'status' }, 'Asking …');
  /** Since when it has not answered. */
  private silentSince: Date | undefined;

  constructor(lock: () => void) {
    this.element = element(
      'header',
      { class: 'bar' },
      element('div', { class: 'brand' }, element('h1', {}, 'fastcollab'), element('span', {}, 'Operations')),
      this.node,
      element('span', { class: 'spacer' }),
      this.status,
      button('Forget the key', { class: 'small-button' }, lock),
    );
  }

  answered({ node, version, faults }: Node): void {
    this.silentSince = undefined;
    say(this.node, `node ${short(node)} · version ${version}`);
    this.tell(faults.length ? 'Not ready' : 'Ready', faults.length > 0);
  }

  failed(error: Error): void {
    this.silentSince ??= new Date();
    const what = error instanceof Refusal ? `It refuses: ${error.message}` : 'No answer';
    this.tell(`${what}, since ${this.silentSince.toLocaleTimeString()}`, true);
  }

  private tell(text: string, isWrong: boolean): void {
    say(this.status, text);
    mark(this.status, 'data-tone', isWrong ? 'danger' : null);
  }
}
