/**
 * Who is in the room, and what each of them shows. Cursors are apart (`cursors`): they move 60 times a second, and
 * nothing here is rendered again for that.
 */

import type { CollaborativeClient, CursorPosition, Participant, Room, SelectionRange } from '@fastcollab/client';
import { useCallback, useMemo } from 'react';
import { useRoom, useRoomOf } from './context.js';
import { type IsEqual, identity, type Subscribe, shallowEqual, useSelected } from './selected.js';

/** What one shows the others, `data` being what the program shows of each. Each `update` stays the same function as long as the room does. */
export interface Presence<Data = unknown> {
  readonly cursor: { update(position: CursorPosition): void };
  readonly selection: { update(ranges: readonly SelectionRange[], color?: string): void };
  /** One line, at most 64 characters; null: none. */
  readonly status: { update(status: string | null): void };
  /** A JSON value; null: none. */
  readonly data: { update(data: Data | null): void };
}

/**
 * Shows the others what the user does, in the room around, or in the active room of `client`; does nothing as long as
 * there is none. Renders nothing again.
 */
export function usePresence<Data = unknown>(client?: CollaborativeClient): Presence<Data> {
  const room = useRoomOf(client);
  return useMemo(
    () => ({
      cursor: { update: position => room?.updateCursor(position) },
      selection: { update: (ranges, color) => room?.updateSelection(ranges, color) },
      status: { update: status => room?.updatePresence({ status }) },
      data: { update: data => room?.updatePresence({ data }) },
    }),
    [room],
  );
}

/**
 * The other participants, or what `selector` makes of them: rendered again when that is another value by `isEqual`. A
 * selector that makes a new list or object needs `shallowEqual`, or another comparison. `Data` is what the program shows
 * of each, as the type of the selector's argument says.
 */
export function useOthers<Data = unknown>(): readonly Participant<Data>[];
export function useOthers<Selected, Data = unknown>(
  selector: (others: readonly Participant<Data>[]) => Selected,
  isEqual?: IsEqual<Selected>,
): Selected;
export function useOthers(
  selector: (others: readonly Participant<any>[]) => unknown = identity,
  isEqual?: IsEqual<unknown>,
): unknown {
  const room = useRoom();
  const others = useCallback(() => othersIn(room), [room]);
  return useSelected(useParticipants(room), others, selector, isEqual);
}

/** A participant, or what `selector` makes of them; undefined while they are not there. */
export function useOther<Data = unknown>(userId: string): Participant<Data> | undefined;
export function useOther<Selected, Data = unknown>(
  userId: string,
  selector: (other: Participant<Data>) => Selected,
  isEqual?: IsEqual<Selected | undefined>,
): Selected | undefined;
export function useOther(
  userId: string,
  selector: (other: Participant<any>) => unknown = identity,
  isEqual?: IsEqual<unknown>,
): unknown {
  const room = useRoom();
  const other = useCallback(() => room.participant(userId), [room, userId]);
  return useSelected(useParticipants(room), other, present => present && selector(present), isEqual);
}

/** Oneself, or what `selector` makes of that. */
export function useSelf<Data = unknown>(): Participant<Data> | undefined;
export function useSelf<Selected, Data = unknown>(
  selector: (self: Participant<Data>) => Selected,
  isEqual?: IsEqual<Selected | undefined>,
): Selected | undefined;
export function useSelf(selector: (self: Participant<any>) => unknown = identity, isEqual?: IsEqual<unknown>): unknown {
  const room = useRoom();
  const self = useCallback(() => room.self, [room]);
  return useSelected(useParticipants(room), self, present => present && selector(present), isEqual);
}

/** What one shows of `data`, an object, and a function that changes some of its members; `undefined` removes one. */
export function useMyPresence<Data extends object = Record<string, any>>(): [
  Partial<Data>,
  (patch: Partial<Data>) => void,
] {
  const data = useSelf(own => own.data);
  return [objectOf(data) as Partial<Data>, useUpdateMyPresence<Data>()];
}

/** The function of `useMyPresence` alone: renders nothing again. */
export function useUpdateMyPresence<Data extends object = Record<string, any>>(): (patch: Partial<Data>) => void {
  const room = useRoom();
  return useCallback(patch => room.updatePresence({ data: { ...objectOf(room.self?.data), ...patch } }), [room]);
}

const NOTHING = {};

function objectOf(data: unknown): object {
  return typeof data === 'object' && data !== null && !Array.isArray(data) ? data : NOTHING;
}

function useParticipants(room: Room): Subscribe {
  return useCallback((changed: () => void) => room.on('participants', changed), [room]);
}

const others = new WeakMap<Room, { of: readonly Participant[]; list: readonly Participant[] }>();

/** Everybody but oneself; the same list until one of them shows something else. */
function othersIn(room: Room): readonly Participant[] {
  const known = others.get(room);
  if (known?.of === room.participants) return known.list;
  const made = room.participants.filter(participant => participant !== room.self);
  const list = known && shallowEqual(known.list, made) ? known.list : made;
  others.set(room, { of: room.participants, list });
  return list;
}
