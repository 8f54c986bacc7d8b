import { element } from '../dom.js';

/** A part of the page under a heading. */
export function panel(title: string, hint: string, ...content: readonly Node[]): HTMLElement {
  const heading = element('header', {}, element('h2', {}, title), element('span', { class: 'muted' }, hint));
  return element('section', { class: 'panel', 'aria-label': title }, heading, ...content);
}
