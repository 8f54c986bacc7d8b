/** The figures of the gateway that answers, each with what it was in the last minutes. */

import type { Activity, Latency, Load } from '../api.js';
import { element, mark, say, svg } from '../dom.js';
import { amount, bytes, count, latency, percent, UNKNOWN } from '../format.js';
import { Series } from '../series.js';

/** What the lines show, in ms. */
const SPAN = 5 * 60_000;
const WIDTH = 200;
const HEIGHT = 24;

interface Meaning {
  readonly label: string;
  /** None: it is not known. */
  read(activity: Activity): number | null;
  show(value: number): string;
  /** What is to be said beside it. */
  beside(activity: Activity): string;
  /** What is shown as half of the line's height at least. */
  readonly ample: number;
  /** More than this is not well. It is what the alerts for Prometheus have (deploy/prometheus/alerts.yaml). */
  readonly alarming?: number;
}

/** Something of the gateway's load, with something else of it beside. */
function load(label: string, ample: number, read: (load: Load) => number, beside: (load: Load) => string): Meaning {
  return {
    label,
    ample,
    read: ({ node }) => (node.load ? read(node.load) : null),
    show: amount,
    beside: ({ node }) => (node.load ? beside(node.load) : ''),
  };
}

/**
 * What all but a hundredth took at most: the longest of the latencies whose names begin so, or, where there is none, of
 * those that begin as the next one says.
 */
function slowest(label: string, alarming: number, ...beginnings: readonly string[]): Meaning {
  function find({ latencies }: Activity): readonly [string, Latency] | undefined {
    const found = beginnings.map(beginning => Object.entries(latencies).filter(([name]) => name.startsWith(beginning)));
    return found.find(each => each.length > 0)?.sort(([, a], [, b]) => b.p99 - a.p99)[0];
  }
  return {
    label,
    alarming,
    ample: Math.min(alarming, 100) / 2,
    read: activity => find(activity)?.[1].p99 ?? null,
    show: latency,
    beside: activity => {
      const found = find(activity);
      if (!found) return '';
      const half = `p50 ${latency(found[1].p50)}`;
      return beginnings.length > 1 ? `${found[0].replace('.', ' ')}, ${half}` : half;
    },
  };
}

const MEANINGS: readonly Meaning[] = [
  {
    label: 'Connections',
    ample: 4,
    read: ({ node }) => node.connections,
    show: amount,
    beside: ({ node }) => count(node.users, 'user'),
  },
  load(
    'Cursors delivered /s',
    100,
    each => each.deliveries,
    each => `${amount(each.cursorsIn)} in`,
  ),
  load(
    'Operations /s',
    4,
    each => each.operations,
    () => '',
  ),
  load(
    'Messages sent /s',
    100,
    each => each.messagesOut,
    each => `${amount(each.messagesIn)} in`,
  ),
  {
    ...load(
      'Bytes sent /s',
      10_000,
      each => each.bytesOut,
      each => `${bytes(each.bytesIn)} in`,
    ),
    show: bytes,
  },
  load(
    'Refused /s',
    10,
    each => each.refusals,
    each => `${amount(each.errors)} errors`,
  ),
  slowest('Cursor fan-out, p99', 67, 'fanout'),
  slowest('Commit, p99', 500, 'commit'),
  slowest('Redis or store, p99', 250, 'redis.', 'store.'),
  slowest('Event loop lag, p99', 100, 'eventLoop'),
  slowest('Ping round trip, p99', Number.POSITIVE_INFINITY, 'ping'),
  {
    ...load(
      'Processor',
      0.5,
      each => each.cpu,
      each => (each.memory === null ? '' : bytes(each.memory)),
    ),
    show: percent,
  },
];

class Figure {
  readonly element: HTMLElement;
  private readonly series = new Series(SPAN);
  private readonly value = element('strong');
  private readonly beside = element('span', { class: 'muted' });
  private readonly line = svg('path', {});

  constructor(
    private readonly meaning: Meaning,
    private readonly gap: number,
  ) {
    const chart = svg(
      'svg',
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      this.line,
    );
    this.element = element(
      'div',
      { class: 'figure' },
      element('dt', {}, meaning.label),
      element('dd', {}, this.value),
      element('dd', {}, this.beside),
      chart,
    );
  }

  show(activity: Activity, now: number): void {
    const { read, show, beside, ample, alarming = Number.POSITIVE_INFINITY } = this.meaning;
    const value = read(activity);
    this.series.add(now, value);
    say(this.value, value === null ? UNKNOWN : show(value));
    say(this.beside, beside(activity));
    mark(this.element, 'data-tone', value !== null && value > alarming ? 'danger' : null);
    mark(this.line, 'd', this.series.path(now, WIDTH, HEIGHT, ample, this.gap));
  }
}

export class Figures {
  readonly element: HTMLElement;
  private readonly figures: readonly Figure[];

  /** They are shown every `interval` ms; where they were not for longer, their lines have gaps. */
  constructor(interval: number) {
    this.figures = MEANINGS.map(meaning => new Figure(meaning, 5 * interval));
    this.element = element('dl', { class: 'figures' }, ...this.figures.map(figure => figure.element));
  }

  show(activity: Activity): void {
    const now = performance.now();
    for (const figure of this.figures) figure.show(activity, now);
  }
}
