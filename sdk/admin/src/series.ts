/** What a figure was in the last minutes, and the line that shows it. */

export interface Sample {
  /** When it was looked at, in ms. */
  readonly time: number;
  readonly value: number;
}

/** What was seen of a figure in the last `span` ms. */
export class Series {
  private samples: Sample[] = [];

  constructor(private readonly span: number) {}

  /** A figure that is not known leaves a gap. */
  add(time: number, value: number | null): void {
    this.samples = this.samples.filter(sample => sample.time >= time - this.span);
    if (value !== null) this.samples.push({ time, value });
  }

  get largest(): number {
    return Math.max(0, ...this.samples.map(sample => sample.value));
  }

  /**
   * The line as an SVG path in a box of that size, whose right edge is `now`, and the left one the first sample, but a
   * fifth of the span before now at least. It begins at 0 and leaves a quarter of
   * the box free above what is `ample`, or above its largest value, if that is more. Samples further apart than `gap`
   * ms are not connected: nobody has looked in between.
   */
  path(now: number, width: number, height: number, ample: number, gap: number): string {
    const top = Math.max(this.largest, ample) / 0.75 || 1;
    const shown = Math.max(this.span / 5, now - (this.samples[0]?.time ?? now));
    let before: Sample | undefined;
    return this.samples
      .map(sample => {
        const x = width * (1 - (now - sample.time) / shown);
        const y = height * (1 - sample.value / top);
        const goesOn = before !== undefined && sample.time - before.time <= gap;
        before = sample;
        return `${goesOn ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
      })
      .join('');
  }
}
