/**
 * WebSocket messages, as the inspector shows them. They come by the thousand while few are looked at, so what a message
 * is about is found out when somebody asks, and then remembered.
 */

import { CURSOR, decodeFrames, type Traffic } from '@fastcollab/client';

export type Group = 'cursors' | 'operations' | 'presence' | 'control';
export const GROUPS: readonly Group[] = ['cursors', 'operations', 'presence', 'control'];

const BY_TYPE: Record<string, Group> = {
  operation: 'operations',
  operation_broadcast: 'operations',
  ack: 'operations',
  document: 'operations',
  history: 'operations',
  restore: 'operations',
  cursor_move: 'cursors',
  selection_change: 'presence',
  presence_update: 'presence',
  user_joined: 'presence',
  user_left: 'presence',
  event: 'presence',
};

interface Meaning {
  readonly type: string;
  readonly group: Group;
  readonly roomId: string;
}

export class Message {
  readonly number: number;
  /** In milliseconds, by the page's clock. */
  readonly at: number;
  readonly direction: Traffic['direction'];
  readonly data: string | ArrayBuffer;
  #meaning: Meaning | undefined;

  constructor(number: number, at: number, { direction, data }: Traffic) {
    this.number = number;
    this.at = at;
    this.direction = direction;
    this.data = data;
  }

  get isBinary(): boolean {
    return typeof this.data !== 'string';
  }

  /** In bytes; a text counts its UTF-16 units. */
  get size(): number {
    return typeof this.data === 'string' ? this.data.length : this.data.byteLength;
  }

  get meaning(): Meaning {
    this.#meaning ??= typeof this.data === 'string' ? textMeaning(this.data) : binaryMeaning(this.data);
    return this.#meaning;
  }

  /** What is in it, for people to read. */
  get text(): string {
    if (typeof this.data !== 'string')
      return `${JSON.stringify(records(this.data), null, 2)}\n\n${hexadecimal(this.data)}`;
    try {
      return JSON.stringify(JSON.parse(this.data), null, 2);
    } catch {
      return this.data;
    }
  }
}

export interface Filter {
  readonly groups: ReadonlySet<Group>;
  readonly directions: ReadonlySet<Traffic['direction']>;
  /** What the type or the room has in its name; empty: anything. */
  readonly search: string;
}

export function matches(message: Message, { groups, directions, search }: Filter): boolean {
  if (!directions.has(message.direction) || !groups.has(message.meaning.group)) return false;
  const wanted = search.trim().toLowerCase();
  return !wanted || `${message.meaning.type} ${message.meaning.roomId}`.toLowerCase().includes(wanted);
}

const NOT_UNDERSTOOD: Meaning = { type: 'not understood', roomId: '', group: 'control' };

function textMeaning(data: string): Meaning {
  try {
    const { type, roomId = '', payload } = JSON.parse(data);
    if (type !== 'batch') return { type, roomId, group: BY_TYPE[type] ?? 'control' };
    const inner = payload.messages[0] ?? {};
    const group = BY_TYPE[inner.type] ?? 'control';
    return { type: `batch of ${payload.messages.length}`, roomId: inner.roomId ?? '', group };
  } catch {
    return NOT_UNDERSTOOD;
  }
}

/** By the head alone: a record is decoded when somebody looks at it. */
function binaryMeaning(data: ArrayBuffer): Meaning {
  if (data.byteLength < 4) return NOT_UNDERSTOOD;
  const view = new DataView(data);
  const kind = view.getUint16(0) & 0xff;
  const isBatched = view.getUint16(0) > 0xff;
  const name = kind === CURSOR ? 'cursor' : 'selection';
  const count = isBatched ? view.getUint16(2) : 1;
  const type = count === 1 ? name : `${count} ${name}s`;
  return { type, roomId: '', group: kind === CURSOR ? 'cursors' : 'presence' };
}

function records(data: ArrayBuffer): unknown[] {
  const found: unknown[] = [];
  try {
    decodeFrames(data, (_kind, room, record) => found.push({ ...(room !== undefined && { room }), ...record }));
  } catch {
    // What is no frame is shown as bytes.
  }
  return found;
}

/** Bytes as hexadecimal numbers, sixteen in a line, at most `limit` bytes. */
export function hexadecimal(data: ArrayBuffer, limit = 512): string {
  const bytes = new Uint8Array(data, 0, Math.min(data.byteLength, limit));
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const line = Array.from(bytes.subarray(at, at + 16), byte => byte.toString(16).padStart(2, '0'));
    lines.push(`${at.toString(16).padStart(4, '0')}  ${line.join(' ')}`);
  }
  if (data.byteLength > limit) lines.push(`… ${data.byteLength - limit} bytes more`);
  return lines.join('\n');
}

export function sizeInWords(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  const kilobytes = bytes / 1000;
  return kilobytes < 1000 ? `${kilobytes.toFixed(kilobytes < 10 ? 1 : 0)} kB` : `${(kilobytes / 1000).toFixed(1)} MB`;
}
