/**
 * How things stand, in one word: of a client, and of a room with its document.
 *
 * - `connecting`: of a client: there is no connection, and one is being made, for the first time or again. Of a room:
 *   its copy is not in step with the gateway: the connection is away, or what was missed is still arriving.
 * - `connected`: of a client: the connection is up. Of a room: in step, and nothing that was written here was saved yet.
 * - `saving`: of a room: in step, and the gateway has not acknowledged all that was edited here.
 * - `saved`: of a room: in step, and the gateway has acknowledged all that was edited here.
 * - `closed`: of a client: not connected, and not going to be until `connect` is called. Of a room: it was left, it
 *   could not be joined again, or its client is closed.
 */
export type Status = 'connecting' | 'connected' | 'saving' | 'saved' | 'closed';

/** The statuses that a client knows. */
export type ClientStatus = Extract<Status, 'connecting' | 'connected' | 'closed'>;
