/**
 * Asks again and again, while somebody looks: a page in the background asks nothing. The next question waits for the
 * answer to the one before, so that a gateway which is slow is not asked more than it can answer.
 */
export class Polling {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isAsking = false;
  private isEnded = false;

  /** `ask` is called every `interval` ms, from now on. */
  constructor(
    private readonly interval: number,
    private readonly ask: () => Promise<void>,
  ) {
    document.addEventListener('visibilitychange', this.resume);
    this.resume();
  }

  /** Asks at once, instead of when it would be time. */
  readonly resume = (): void => {
    clearTimeout(this.timer);
    if (!this.isAsking && !this.isEnded && document.visibilityState === 'visible') void this.turn();
  };

  end(): void {
    this.isEnded = true;
    clearTimeout(this.timer);
    document.removeEventListener('visibilitychange', this.resume);
  }

  private async turn(): Promise<void> {
    this.isAsking = true;
    const began = performance.now();
    try {
      await this.ask();
    } finally {
      this.isAsking = false;
    }
    if (!this.isEnded) this.timer = setTimeout(this.resume, this.interval - (performance.now() - began));
  }
}
