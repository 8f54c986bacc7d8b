/** Dialogs of the browser's own: it keeps the focus within them, and closes them when Escape is pressed. */

import { button, element } from './dom.js';

let last = 0;

/** Opens a dialog with that title, whose element is gone when it has been closed. */
export function open(title: string, ...content: readonly Node[]): HTMLDialogElement {
  last += 1;
  const id = `dialog-${last}`;
  const dialog = element('dialog', { 'aria-labelledby': id }, element('h2', { id }, title), ...content);
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks whether something is to be done; what it is, is on the button that does it. */
export function confirmed(title: string, consequence: string, deed: string): Promise<boolean> {
  return new Promise(resolve => {
    let isWanted = false;
    const cancel = button('Cancel', { class: 'button', autofocus: '' }, () => dialog.close());
    const agree = button(deed, { class: 'button danger' }, () => {
      isWanted = true;
      dialog.close();
    });
    const dialog = open(title, element('p', {}, consequence), element('div', { class: 'choices' }, cancel, agree));
    dialog.setAttribute('role', 'alertdialog');
    dialog.addEventListener('close', () => resolve(isWanted));
  });
}
