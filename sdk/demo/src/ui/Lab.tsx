/** The laboratory beside the board: the network and its cutting, simulated people, and the traffic. */

import { type ReactNode, useEffect, useRef, useState } from 'react';
import { peopleCount, setPeople } from '../collab/api.js';
import { useSession } from '../collab/session.js';
import { clamp } from '../model/layout.js';
import { sizeInWords } from '../model/traffic.js';
import { TEST_IDS } from '../testids.js';
import { useAnnouncer } from './announcements.js';
import { Icon } from './Icon.js';
import { Inspector } from './Inspector.js';
import { useNetworkCut } from './StatusPill.js';

export function Lab({ onClose }: { onClose: () => void }): ReactNode {
  return (
    <aside className="lab" aria-label="Lab" data-testid={TEST_IDS.lab}>
      <div className="lab-head">
        <h2>Lab</h2>
        <button type="button" className="icon-button" aria-label="Close the lab" onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <NetworkSection />
      <PeopleSection />
      <Inspector />
    </aside>
  );
}

function NetworkSection(): ReactNode {
  const { network } = useSession();
  const isCut = useNetworkCut();
  return (
    <section className="lab-section" aria-labelledby="lab-network">
      <div className="lab-row">
        <div>
          <h3 id="lab-network">Network</h3>
          <p className="muted">{isCut ? 'Cut. Go on editing: it is kept.' : 'Cut it, edit, and mend it again.'}</p>
        </div>
        <button
          type="button"
          role="switch"
          aria-checked={!isCut}
          aria-labelledby="lab-network"
          className="switch"
          data-testid={TEST_IDS.network}
          onClick={() => (isCut ? network.mend() : network.cut())}
        >
          <span aria-hidden />
        </button>
      </div>
      <Metrics />
    </section>
  );
}

function Metrics(): ReactNode {
  const { client } = useSession();
  const [metrics, setMetrics] = useState(client.metrics);
  useEffect(() => {
    const timer = setInterval(() => setMetrics(client.metrics), 1000);
    return () => clearInterval(timer);
  }, [client]);
  const { latency, messageRate, bandwidth, reconnections } = metrics;
  return (
    <dl className="metrics">
      <Metric name="Ping" value={Number.isNaN(latency) ? '–' : `${latency.toFixed(latency < 10 ? 1 : 0)} ms`} />
      <Metric name="Messages" value={`${messageRate.toFixed(0)}/s`} />
      <Metric name="In" value={`${sizeInWords(bandwidth.inbound)}/s`} />
      <Metric name="Out" value={`${sizeInWords(bandwidth.outbound)}/s`} />
      <Metric name="Reconnected" value={`${reconnections}×`} />
    </dl>
  );
}

function Metric({ name, value }: { name: string; value: string }): ReactNode {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

const MOST_PEOPLE = 200;
const PRESETS = [0, 4, 25, 100];

function PeopleSection(): ReactNode {
  const [count, change] = usePeople();
  const isKnown = count !== undefined;
  return (
    <section className="lab-section" aria-labelledby="lab-people">
      <div className="lab-row">
        <div>
          <h3 id="lab-people">Simulated people</h3>
          <p className="muted">Each has a connection of its own.</p>
        </div>
        <div className="stepper">
          <button
            type="button"
            className="icon-button"
            aria-label="One fewer"
            disabled={!count}
            data-testid={TEST_IDS.peopleLess}
            onClick={() => change((count ?? 0) - 1)}
          >
            <Icon name="minus" />
          </button>
          <output aria-live="polite" aria-labelledby="lab-people" data-testid={TEST_IDS.people}>
            {count ?? '–'}
          </output>
          <button
            type="button"
            className="icon-button"
            aria-label="One more"
            disabled={!isKnown || count >= MOST_PEOPLE}
            data-testid={TEST_IDS.peopleMore}
            onClick={() => change((count ?? 0) + 1)}
          >
            <Icon name="plus" />
          </button>
        </div>
      </div>
      <fieldset className="presets" aria-label="Simulated people">
        {PRESETS.map(preset => (
          <button
            key={preset}
            type="button"
            className="chip"
            aria-pressed={count === preset}
            onClick={() => change(preset)}
          >
            {preset || 'none'}
          </button>
        ))}
      </fieldset>
    </section>
  );
}

/** How many simulated people are wanted, and a function that wants another number. */
function usePeople(): [number | undefined, (count: number) => void] {
  const { toast } = useAnnouncer();
  const [count, setCount] = useState<number | undefined>(undefined);
  const wanted = useRef<number | undefined>(undefined);
  useEffect(() => {
    peopleCount().then(setCount, (error: Error) => toast(error.message));
  }, [toast]);
  const settle = async (): Promise<void> => {
    // One request at a time, and what was wanted last has the last word.
    for (let asked: number | undefined; asked !== wanted.current; ) {
      asked = wanted.current!;
      await setPeople(asked);
    }
    wanted.current = undefined;
  };
  const change = (next: number): void => {
    const isSettling = wanted.current !== undefined;
    wanted.current = clamp(next, 0, MOST_PEOPLE);
    setCount(wanted.current);
    if (isSettling) return;
    settle().catch((error: Error) => {
      wanted.current = undefined;
      toast(error.message);
    });
  };
  return [count, change];
}
