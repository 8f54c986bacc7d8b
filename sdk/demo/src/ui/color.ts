/** Somebody's colour, as the style sheets know it: `--own`, and `--on-own` for the text that stands on it. */

import { textColorOn } from '@fastcollab/client';
import type { CSSProperties } from 'react';

export function ownColor(color: string): CSSProperties {
  return { '--own': color, '--on-own': textColorOn(color) } as CSSProperties;
}
