/** The admin API of the gateway that serves this page (docs/api.md), as far as the page asks it. */

/** How long (ms) the gateway has for an answer. */
const PATIENCE = 5_000;

/** The gateway has answered, and not with what was asked for. Status 401: the key is wrong; 404: there is no such thing. */
export class Refusal extends Error {
  override readonly name = 'Refusal';

  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** How much a gateway has to do: `cpu` as a share of a core, `memory` in bytes, latencies in ms, all else per second. */
export interface Load {
  readonly cpu: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly cursorsIn: number;
  readonly deliveries: number;
  readonly operations: number;
  readonly errors: number;
  readonly refusals: number;
  readonly memory: number | null;
  readonly fanoutP99: number | null;
  readonly commitP99: number | null;
}

/** What a gateway tells of itself; `startedAt` is Unix time in ms. One of an older version does not tell its load. */
export interface Node {
  readonly node: string;
  readonly version: string;
  readonly startedAt: number;
  readonly connections: number;
  readonly users: number;
  readonly rooms: number;
  readonly faults: readonly string[];
  readonly load: Load | null;
}

/** In ms; `rate` is how often it happened per second. */
export interface Latency {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
}

/** A room that is open at the gateway that answers; cursors and operations are per second. */
export interface BusyRoom {
  readonly roomId: string;
  readonly connections: number;
  readonly participants: number;
  readonly cursors: number;
  readonly operations: number;
}

export type Concern = 'slow' | 'abusive' | 'failing' | 'distant';

/** The specification's `ConnectionMetrics`: latency in ms, errors per minute, bandwidth in bytes per second. */
export interface ConnectionMetrics {
  readonly latency: number | null;
  readonly messageRate: number;
  readonly errorRate: number;
  readonly reconnections: number;
  readonly bandwidth: { readonly inbound: number; readonly outbound: number };
}

/**
 * A connection to the gateway that answers: `waiting` bytes it has not read yet, it has been `behind` for so many
 * seconds, and has `skipped` so many positions for that; `refusals` so far, by limit.
 */
export interface WatchedConnection {
  readonly connectionId: string;
  readonly address: string;
  readonly rooms: readonly string[];
  readonly metrics: ConnectionMetrics;
  readonly waiting: number;
  readonly behind: number;
  readonly skipped: number;
  readonly refusals: Readonly<Record<string, number>>;
  readonly userId?: string;
  readonly name?: string;
  readonly concern?: Concern;
}

/** `errors` by code and `refusals` by limit are per minute. */
export interface Activity {
  readonly node: Node;
  readonly slow: number;
  readonly throttled: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly refusals: Readonly<Record<string, number>>;
  readonly latencies: Readonly<Record<string, Latency>>;
  readonly rooms: readonly BusyRoom[];
  readonly connections: readonly WatchedConnection[];
}

/** A user in a room; `connections` are those at the gateway that answers. */
export interface Participant {
  readonly userId: string;
  readonly name: string;
  readonly nodes: readonly string[];
  readonly connections: readonly string[];
}

export class Api {
  private readonly root = new URL('api/v1/', document.baseURI);

  constructor(private readonly key: string) {}

  /** All gateways that live, the first of which is the one that answers. */
  async nodes(): Promise<readonly Node[]> {
    return (await this.get<{ nodes: Node[] }>('nodes')).nodes;
  }

  /** How the gateway that answers does. */
  activity(): Promise<Activity> {
    return this.get('activity');
  }

  async participants(roomId: string): Promise<readonly Participant[]> {
    const path = `rooms/${encodeURIComponent(roomId)}/participants`;
    return (await this.get<{ participants: Participant[] }>(path)).participants;
  }

  /** Ends a connection, at whichever gateway it is. */
  async disconnect(connectionId: string): Promise<void> {
    await this.ask(`connections/${encodeURIComponent(connectionId)}/disconnect`, {});
  }

  /** Ends all connections of a user. */
  async disconnectUser(userId: string): Promise<void> {
    await this.ask(`users/${encodeURIComponent(userId)}/disconnect`, {});
  }

  private async get<Answer>(path: string): Promise<Answer> {
    return (await this.ask(path)).json();
  }

  /** Rejects with a {@link Refusal}, or with another error if there is no answer. */
  private async ask(path: string, body?: object): Promise<Response> {
    const response = await fetch(new URL(path, this.root), {
      method: body ? 'POST' : 'GET',
      headers: { Authorization: `Bearer ${this.key}`, ...(body && { 'Content-Type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
      cache: 'no-store',
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (!response.ok) throw new Refusal(response.status, await explanation(response));
    return response;
  }
}

/** What a problem says (RFC 9457), or the status, if it is another kind of answer. */
async function explanation(response: Response): Promise<string> {
  const isProblem = response.headers.get('Content-Type')?.startsWith('application/problem+json');
  const problem: { title?: string; detail?: string } = isProblem ? await response.json() : {};
  return problem.detail ?? problem.title ?? `the gateway answers with status ${response.status}`;
}
