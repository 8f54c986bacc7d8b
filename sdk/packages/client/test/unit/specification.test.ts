/** The signatures of the protocol's specification, which the compiler holds the package to (`npm run lint`). */

import { expect, expectTypeOf, test } from 'vitest';
import type NodeWebSocket from 'ws';
import {
  type ClientConfig,
  type ClientMessages,
  CollaborativeClient,
  type ConnectionMetrics,
  type Envelope,
  ErrorCode,
  type Participant,
  type Room,
  type SelectionRange,
  type ServerMessages,
  type WebSocketConstructor,
} from '../../src/index.js';
import { insert, type TextOperation, text } from '../../src/ot/text.js';

type Operation = unknown; // that of the document's type

interface Position {
  x: number;
  y: number;
}

/** `CollaborativeClient`, as the specification has it. */
interface SpecifiedClient {
  connect(): Promise<void>;
  disconnect(): void;
  joinRoom(roomId: string): Promise<Room>;
  leaveRoom(roomId: string): void;
  // biome-ignore lint/complexity/noBannedTypes: as specified
  on(event: string, handler: Function): void;
  // biome-ignore lint/complexity/noBannedTypes: as specified
  off(event: string, handler: Function): void;
  sendOperation(operation: Operation): Promise<void>;
  updateCursor(position: Position): void;
  updateSelection(ranges: SelectionRange[]): void;
}

test('the client', () => {
  expectTypeOf(CollaborativeClient).toBeConstructibleWith({} as ClientConfig);
  expectTypeOf<CollaborativeClient>().toExtend<SpecifiedClient>();
  expectTypeOf<CollaborativeClient['connect']>().toEqualTypeOf<() => Promise<void>>();
  expectTypeOf<CollaborativeClient['disconnect']>().toEqualTypeOf<() => void>();
  expectTypeOf<CollaborativeClient['leaveRoom']>().toEqualTypeOf<(roomId: string) => void>();
  expectTypeOf<CollaborativeClient['sendOperation']>().toEqualTypeOf<(operation: unknown) => Promise<void>>();
  expectTypeOf<CollaborativeClient['joinRoom']>().toBeCallableWith('dashboard');
  expectTypeOf<CollaborativeClient['updateCursor']>().toBeCallableWith({ x: 1, y: 2 });
  expectTypeOf<CollaborativeClient['updateSelection']>().toBeCallableWith([{ anchor: 0, head: 3 }]);
});

test('the WebSockets of browsers and of the package ws will do', () => {
  expectTypeOf<typeof globalThis.WebSocket>().toExtend<WebSocketConstructor>();
  expectTypeOf<typeof NodeWebSocket>().toExtend<WebSocketConstructor>();
});

test('the metrics', () => {
  expectTypeOf<ConnectionMetrics>().toExtend<{
    readonly latency: number;
    readonly messageRate: number;
    readonly errorRate: number;
    readonly reconnections: number;
    readonly bandwidth: { readonly inbound: number; readonly outbound: number };
  }>();
  expectTypeOf<CollaborativeClient['metrics']>().toEqualTypeOf<ConnectionMetrics>();
});

test('the envelope, and the payloads to the gateway', () => {
  expectTypeOf<Envelope>().toExtend<{
    id: string;
    type: string;
    version: number;
    timestamp: number;
    sessionId?: string;
    payload: unknown;
    roomId?: string;
    targetUserId?: string;
    acknowledgment?: boolean;
  }>();
  expectTypeOf<ClientMessages['connect']>().toExtend<{ token: string; deviceId: string; clientVersion: string }>();
  expectTypeOf<ClientMessages['join_room']>().toExtend<{ roomId: string; lastSyncVersion?: number }>();
  expectTypeOf<ClientMessages['cursor_move']>().toEqualTypeOf<{
    x: number;
    y: number;
    viewportX: number;
    viewportY: number;
    timestamp: number;
  }>();
  expectTypeOf<ClientMessages['selection_change']>().toExtend<{ ranges: SelectionRange[]; color: string }>();
  expectTypeOf<ClientMessages['operation']>().toExtend<{ operation: unknown; version: number; checksum?: string }>();
  expectTypeOf<ClientMessages['ping']>().toEqualTypeOf<{ timestamp: number }>();
});

test('the payloads from the gateway', () => {
  expectTypeOf<ServerMessages['connected']>().toExtend<{
    connectionId: string;
    userId: string;
    serverTime: number;
    protocol: number;
  }>();
  expectTypeOf<ServerMessages['room_joined']>().toExtend<{
    roomId: string;
    participants: { userId: string }[];
    documentState: object;
    version: number;
  }>();
  expectTypeOf<ServerMessages['presence_update']>().toExtend<{ userId: string; presence: object; timestamp: number }>();
  expectTypeOf<ServerMessages['operation_broadcast']>().toExtend<{
    operation: unknown;
    userId: string;
    version: number;
    transformedVersion: number;
  }>();
  expectTypeOf<ServerMessages['error']>().toExtend<{
    code: number;
    message: string;
    details?: unknown;
    recoverable: boolean;
  }>();
  expectTypeOf<ServerMessages['batch']>().toExtend<{ messages: Envelope[]; compressed: boolean }>();
  expectTypeOf<ServerMessages['pong']>().toEqualTypeOf<{ timestamp: number; serverTime: number }>();
});

test('the codes of errors', () => {
  expect(ErrorCode).toMatchObject({
    INVALID_TOKEN: 1001,
    CONNECTION_LIMIT: 1002,
    RATE_LIMIT: 1003,
    ROOM_NOT_FOUND: 2001,
    ROOM_FULL: 2002,
    NO_PERMISSION: 2003,
    INVALID_OPERATION: 3001,
    VERSION_MISMATCH: 3002,
    CHECKSUM_FAILED: 3003,
    INTERNAL_ERROR: 5001,
    SERVICE_UNAVAILABLE: 5002,
  });
});

test('a room has the types of its document, and of what the program shows of each participant', () => {
  interface Shown {
    avatar: string;
  }
  const join = (client: CollaborativeClient) => client.joinRoom('minutes', { type: text });
  type Minutes = Awaited<ReturnType<typeof join>>;
  expectTypeOf<Minutes['document']['content']>().toEqualTypeOf<string>();
  expectTypeOf<Minutes['document']['edit']>().toBeCallableWith(insert(0, 'a'));
  expectTypeOf<Minutes['participants']>().toEqualTypeOf<readonly Participant[]>();
  expectTypeOf<Participant['data']>().toBeUnknown();

  type Gallery = Room<string, TextOperation, Shown>;
  expectTypeOf<Gallery['participants'][number]['data']>().toEqualTypeOf<Shown | undefined>();
  expectTypeOf<Gallery['updatePresence']>().toBeCallableWith({ data: { avatar: 'owl' } });
  expectTypeOf<Gallery['updatePresence']>().toBeCallableWith({ data: null, status: 'away' });
  // @ts-expect-error: an avatar is a string
  expectTypeOf<Gallery['updatePresence']>().toBeCallableWith({ data: { avatar: 7 } });
  expectTypeOf<Gallery>().toExtend<Room>();
  const listen = (room: Gallery) =>
    room.on('userJoined', ({ data }) => expectTypeOf(data).toEqualTypeOf<Shown | undefined>());
  expect(listen).toBeTypeOf('function');
});
