/** Asks for the key, shows what the gateway does, and asks again when the key is no longer good or has been put away. */

import './styles/page.css';
import { element } from './dom.js';
import { enter, forget } from './entrance.js';
import { watch } from './watch.js';

const root = element('div');
document.body.append(root);
let notice = '';
for (;;) {
  const api = await enter(root, notice);
  notice = await watch(root, api);
  forget();
}
