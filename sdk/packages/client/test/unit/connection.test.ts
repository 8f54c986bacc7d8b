/** Connections that are refused, lost, silent and made again, against a scripted gateway and with a clock of the test's. */

import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CLIENT_VERSION } from '../../src/connection/link.js';
import { mayPass, Reconnection } from '../../src/connection/reconnection.js';
import { CloseCode, ConnectionClosed, ErrorCode, type Retry } from '../../src/index.js';
import { ProtocolError } from '../../src/wire/errors.js';
import { Script, settle } from './script.js';

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(1); // the longest delay that jitter may make
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

test('the handshake offers the protocols, the token, and the connection to resume (H3, H4, S7)', async () => {
  const script = new Script();
  const client = script.client();
  const connecting = client.connect();
  await settle();
  expect(client.status).toBe('connecting');
  expect(script.socket.protocols).toEqual(['fastcollab.v1.batch', 'fastcollab.v1', 'fastcollab.token.a.b.c']);
  script.socket.accept();
  await connecting;
  expect(client.status).toBe('connected');
  expect(client.session).toMatchObject({ connectionId: 'c1', userId: 'ada', numericId: 7 });
  script.socket.end(CloseCode.ABNORMAL);
  expect(client.status).toBe('connecting');
  await vi.advanceTimersByTimeAsync(250);
  expect(script.socket.protocols.at(-1)).toBe('fastcollab.resume.c1');
  client.disconnect();
  expect(script.socket.closedWith).toBe(CloseCode.NORMAL);
});

test('delays double up to the cap, and start small again after a connection that held', async () => {
  const script = new Script();
  const client = script.client({ reconnect: { base: 100, cap: 1000 } });
  const delays: number[] = [];
  client.on('reconnecting', ({ delay }) => delays.push(delay));
  void client.connect();
  await settle();
  for (let attempt = 0; attempt < 6; attempt++) {
    script.socket.end(CloseCode.ABNORMAL);
    await vi.advanceTimersByTimeAsync(1000);
  }
  expect(delays).toEqual([100, 200, 400, 800, 1000, 1000]);
  script.socket.accept();
  await vi.advanceTimersByTimeAsync(4000);
  script.socket.end(CloseCode.GOING_AWAY); // it did not hold
  await vi.advanceTimersByTimeAsync(1000);
  script.socket.accept();
  await vi.advanceTimersByTimeAsync(6000);
  script.socket.end(CloseCode.GOING_AWAY);
  expect(delays.slice(6)).toEqual([1000, 100]);
  expect(client.metrics.reconnections).toBe(1);
  client.disconnect();
});

test('attempts are bounded by number and by time', () => {
  const forever = Number.POSITIVE_INFINITY;
  const lost = new ConnectionClosed(CloseCode.ABNORMAL);
  const few = new Reconnection({ base: 1, cap: 1, maxAttempts: 2, giveUpAfter: forever }, false);
  expect([1, 2, 3].map(now => few.failed(lost, now))).toEqual([1, 1, undefined]);
  const short = new Reconnection({ base: 1, cap: 1, maxAttempts: forever, giveUpAfter: 100 }, false);
  expect([0, 99, 100].map(now => short.failed(lost, now))).toEqual([1, 1, undefined]);
});

test('after a code that says so there is no other attempt, and everybody is told (X3)', async () => {
  for (const code of [
    CloseCode.DISCONNECTED,
    CloseCode.REPLACED,
    CloseCode.CONNECTION_LIMIT,
    CloseCode.INVALID_TOKEN,
  ]) {
    const script = new Script();
    const client = script.client();
    const closed = vi.fn();
    client.on('closed', closed);
    void client.connect();
    await settle();
    script.socket.accept();
    const pinged = expect(client.ping()).rejects.toMatchObject({ code });
    script.socket.end(code);
    await pinged;
    expect(client.status).toBe('closed');
    expect(closed).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code }));
    await expect(client.joinRoom('r')).rejects.toBeInstanceOf(ConnectionClosed);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(script.sockets).toHaveLength(1);
  }
});

test('a refusal that passes is followed by another attempt', () => {
  const codes = Object.values(ErrorCode).filter(code => mayPass(new ProtocolError(code, ''), false));
  expect(codes).toEqual([ErrorCode.RATE_LIMIT, ErrorCode.INTERNAL_ERROR, ErrorCode.SERVICE_UNAVAILABLE]);
  expect(mayPass(new ProtocolError(ErrorCode.INVALID_TOKEN, ''), true)).toBe(true);
  expect(mayPass(new TypeError('the token could not be fetched'), false)).toBe(true);
});

test('a stopping gateway is left alone for as long as it asks (K2)', async () => {
  const script = new Script();
  const client = script.client();
  const retries: Retry[] = [];
  client.on('reconnecting', retry => retries.push(retry));
  void client.connect();
  await settle();
  script.socket.accept();
  const code = ErrorCode.SERVICE_UNAVAILABLE;
  script.socket.say('error', { code, message: 'stopping', details: { retryAfterMs: 9000 }, recoverable: false });
  script.socket.end(CloseCode.SERVICE_UNAVAILABLE);
  expect(retries).toMatchObject([{ failure: { code: 4502, reason: 'stopping' }, delay: 9250 }]);
  await vi.advanceTimersByTimeAsync(9249);
  expect(script.sockets).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(script.sockets).toHaveLength(2);
  client.disconnect();
});

test('a token is fetched for each connection, and a refused one replaced', async () => {
  const script = new Script();
  const token = vi.fn(async () => `token-${token.mock.calls.length}`);
  const client = script.client({ token });
  const connecting = client.connect();
  await settle();
  const code = ErrorCode.INVALID_TOKEN;
  script.socket.say('error', { code, message: 'expired', recoverable: false });
  script.socket.end(CloseCode.INVALID_TOKEN);
  await vi.advanceTimersByTimeAsync(250);
  expect(script.sockets.map(({ protocols }) => protocols[2])).toEqual([
    'fastcollab.token.token-1',
    'fastcollab.token.token-2',
  ]);
  script.socket.accept();
  await connecting;
  script.socket.say('token_expiring', { expiresAt: 1 });
  await settle();
  expect(script.socket.sent('refresh_token')[0]!.payload).toEqual({ token: 'token-3' });
  client.disconnect();
});

test('a token that is a string and is refused ends the attempt, and its end is announced', async () => {
  const script = new Script();
  const client = script.client();
  const expiring = vi.fn();
  client.on('tokenExpiring', expiring);
  const connecting = client.connect();
  await settle();
  script.socket.accept();
  await connecting;
  script.socket.say('token_expiring', { expiresAt: 60_000 });
  expect(expiring).toHaveBeenCalledWith(60_000);
  const refreshed = client.refreshToken('other');
  script.socket.say('token_refreshed', { expiresAt: 120_000 });
  expect(await refreshed).toBe(120_000);
  script.socket.say('error', { code: ErrorCode.INVALID_TOKEN, message: 'expired', recoverable: false });
  script.socket.end(CloseCode.INVALID_TOKEN);
  expect(client.status).toBe('closed');
  const again = client.connect(); // the program may try again nevertheless
  await settle();
  script.socket.end(CloseCode.INVALID_TOKEN, 'still expired');
  await expect(again).rejects.toMatchObject({ code: 4101, reason: 'still expired' });
});

test('a token in a message that is refused does not leave the client waiting (S1)', async () => {
  const script = new Script();
  const client = script.client({ tokenInHandshake: false });
  const connecting = expect(client.connect()).rejects.toMatchObject({ code: 4101 });
  await settle();
  script.socket.onopen?.({});
  expect(script.socket.protocols).toEqual(['fastcollab.v1.batch', 'fastcollab.v1']);
  expect(script.socket.sent('connect')[0]!.payload).toMatchObject({ token: 'a.b.c', clientVersion: CLIENT_VERSION });
  script.socket.say('error', { code: ErrorCode.INVALID_TOKEN, message: 'malformed', recoverable: true });
  await connecting;
});

test('disconnect ends an attempt, and whoever waits for it', async () => {
  const script = new Script();
  const client = script.client();
  const connecting = expect(client.connect()).rejects.toMatchObject({ code: 1000 });
  const joining = expect(client.joinRoom('r')).rejects.toMatchObject({ code: 1000 });
  await settle();
  client.disconnect();
  await connecting;
  await joining;
  script.socket.accept(); // it comes too late
  expect(client.status).toBe('closed');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(script.sockets).toHaveLength(1);
});

test('a gateway that does not answer, or falls silent, is given up', async () => {
  const script = new Script();
  const client = script.client({ connectTimeout: 1000, heartbeat: 5000 });
  void client.connect();
  await vi.advanceTimersByTimeAsync(1250);
  expect(script.sockets).toHaveLength(2);
  script.socket.accept();
  expect(script.socket.sent('ping')).toHaveLength(1);
  script.socket.say('pong', { timestamp: 0, serverTime: 0 });
  await vi.advanceTimersByTimeAsync(5000);
  expect(client.metrics.latency).toBe(0);
  expect(script.socket.sent('ping')).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(4999);
  expect(client.status).toBe('connected');
  await vi.advanceTimersByTimeAsync(1);
  expect(client.status).toBe('connecting');
  client.disconnect();
});

test('when the network is back or the page is seen again, the client does not go on waiting', async () => {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  vi.stubGlobal('window', window);
  vi.stubGlobal('document', document);
  const script = new Script();
  const client = script.client({ reconnect: { base: 60_000, cap: 60_000 } });
  void client.connect();
  await settle();
  script.socket.accept();
  script.socket.end(CloseCode.ABNORMAL);
  await vi.advanceTimersByTimeAsync(10);
  window.dispatchEvent(new Event('online'));
  await settle();
  expect(script.sockets).toHaveLength(2);
  script.socket.accept();
  const pings = script.socket.sent('ping').length;
  document.dispatchEvent(new Event('visibilitychange'));
  expect(script.socket.sent('ping')).toHaveLength(pings + 1);
  await vi.advanceTimersByTimeAsync(5000); // nobody answers: the connection has not survived
  expect(client.status).toBe('connecting');
  client.disconnect();
  window.dispatchEvent(new Event('online'));
  await settle();
  expect(script.sockets).toHaveLength(2);
});

test('a message that cannot be understood ends the connection for good', async () => {
  const script = new Script();
  const client = script.client();
  void client.connect();
  await settle();
  script.socket.accept();
  script.socket.sayBinary(new ArrayBuffer(7));
  expect(client.status).toBe('closed');
  expect(script.socket.closedWith).toBe(3000);
});

test('requests keep to the rate of messages, and one that is refused for it is repeated (L1)', async () => {
  const script = new Script();
  const client = script.client();
  void client.connect();
  await settle();
  script.socket.accept();
  const joining = client.joinRoom('r');
  await settle();
  script.socket.joined('r', {});
  const room = await joining;
  const sent = Array.from({ length: 241 }, () => room.broadcast('tick'));
  await settle();
  const events = (): number => script.socket.sent('event').length;
  expect(events()).toBe(240); // two seconds' worth at once
  await vi.advanceTimersByTimeAsync(9);
  expect(events()).toBe(241);
  const refused = script.socket.sent('event')[0]!;
  const details = { messageId: refused.id, retryAfterMs: 500 };
  script.socket.say('error', { code: ErrorCode.RATE_LIMIT, message: 'too fast', details, recoverable: true });
  await vi.advanceTimersByTimeAsync(520);
  expect(events()).toBe(242);
  for (const { id } of script.socket.sent('event')) script.socket.say('ack', { messageId: id });
  await Promise.all(sent);
  client.disconnect();
});

test('metrics count what goes over the wire', async () => {
  const script = new Script();
  const client = script.client();
  const traffic: string[] = [];
  client.on('traffic', ({ direction, data }) => traffic.push(`${direction} ${JSON.parse(data as string).type}`));
  void client.connect();
  await settle();
  script.socket.accept();
  script.socket.say('error', { code: 5001, message: 'a fault', recoverable: true });
  expect(traffic).toEqual(['in connected', 'out ping', 'in error']);
  const { messageRate, errorRate, bandwidth } = client.metrics;
  expect(messageRate).toBeCloseTo(0.3);
  expect(errorRate).toBe(1);
  expect(bandwidth.inbound).toBeGreaterThan(bandwidth.outbound);
  await vi.advanceTimersByTimeAsync(11_000);
  expect(client.metrics).toMatchObject({ messageRate: 0, errorRate: 1, bandwidth: { inbound: 0, outbound: 0 } });
  client.disconnect();
});

test('the version is that of the package', () => {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  expect(CLIENT_VERSION).toBe(manifest.version);
});
