/** The colours in which participants are shown. */

/**
 * The CSS colour of a text that stands on `background`, any CSS colour: white on a dark one, black on a light one, with
 * a contrast of at least 4.5 (WCAG AA). For names beside cursors, say.
 */
export function textColorOn(background: string): string {
  // `y` is the luminance of WCAG. At 0.18 both are read equally well, with a contrast of 4.6.
  const whiteOnDark = (part: number): string => `clamp(0, (0.18 - y) * infinity, ${part})`;
  return `color(from ${background} xyz-d65 ${whiteOnDark(0.9505)} ${whiteOnDark(1)} ${whiteOnDark(1.089)})`;
}
