/** What an operator can do here. Each asks first, and what became of it is said at the lower edge of the page. */

import type { Api } from './api.js';
import { confirmed } from './dialogs.js';
import { element } from './dom.js';

/** How long (ms) it is to be read what became of something. */
const READING = 6_000;

export class Deeds {
  /** Where it is said, by screen readers too; above dialogs that are open. */
  readonly element = element('div', { class: 'toasts', role: 'status', popover: 'manual' });

  constructor(private readonly api: Api) {}

  /** Ends a connection, which is somebody's. */
  async disconnect(connectionId: string, user: string): Promise<void> {
    const consequence =
      'Its client is told that it was disconnected, and does not come back by itself. Its other connections stay.';
    if (!(await confirmed(`Disconnect ${user}?`, consequence, 'Disconnect'))) return;
    await this.carryOut(`A connection of ${user} was ended.`, () => this.api.disconnect(connectionId));
  }

  /** Ends all connections of a user. */
  async disconnectUser(userId: string): Promise<void> {
    const consequence =
      'All connections of this user end, at all gateways. To keep somebody out, revoke the tokens as well.';
    if (!(await confirmed(`Disconnect ${userId} everywhere?`, consequence, 'Disconnect everywhere'))) return;
    await this.carryOut(`All connections of ${userId} were ended.`, () => this.api.disconnectUser(userId));
  }

  private async carryOut(done: string, deed: () => Promise<void>): Promise<void> {
    try {
      await deed();
      this.tell(done);
    } catch (error) {
      this.tell(`That failed: ${(error as Error).message}`, 'failure');
    }
  }

  private tell(text: string, kind = 'success'): void {
    const toast = element('p', { class: 'toast', 'data-kind': kind }, text);
    this.element.append(toast);
    this.element.hidePopover();
    this.element.showPopover();
    setTimeout(() => toast.remove(), READING);
  }
}
