/** The document that all in a room write, and the history of one's own steps in it. */

import { type CollaborativeClient, FastcollabError, type Room, type SharedDocument } from '@fastcollab/client';
import { useCallback, useMemo, useSyncExternalStore } from 'react';
import { useRoom, useRoomOf } from './context.js';
import { type IsEqual, identity, type Subscribe, useSelected } from './selected.js';

export interface DocumentHandle<Content = any, Operation = any> {
  /** What the user sees; undefined while no room is joined, which is never so in a `RoomProvider`. */
  readonly content: Content;
  /**
   * Applies an operation at once, and sends it when its turn has come. Throws if the operation does not fit the content,
   * or no room is joined. The same function as long as the room is the same.
   */
  readonly update: (operation: Operation, source?: unknown) => void;
}

/**
 * The document of the room around, or of the active room of `client`, with its newest version; rendered again with
 * every change, and with every operation that the gateway takes. Who shows a part uses `useContent`.
 */
export function useDocument<Content = any, Operation = any>(
  client?: CollaborativeClient,
): { document: DocumentHandle<Content, Operation>; version: number } {
  const room: Room<Content, Operation> | undefined = useRoomOf(client);
  const shared = room?.document;
  const subscribe = useCallback(
    (changed: () => void) => {
      const stop = shared && onContent(shared, changed);
      const stopVersion = shared?.on('version', changed);
      return () => {
        stop?.();
        stopVersion?.();
      };
    },
    [shared],
  );
  const contentNow = (): Content => shared?.content as Content;
  const versionNow = (): number => shared?.version ?? 0;
  const content = useSyncExternalStore(subscribe, contentNow, contentNow);
  const version = useSyncExternalStore(subscribe, versionNow, versionNow);
  const update = useCallback(
    (operation: Operation, source?: unknown) => {
      if (!shared) throw new FastcollabError('no room is joined');
      shared.edit(operation, source);
    },
    [shared],
  );
  const document = useMemo(() => ({ content, update }), [content, update]);
  return { document, version };
}

/**
 * The document's content, or what `selector` makes of it: rendered again when that is another value by `isEqual`. What an
 * operation on a `json1` document does not touch stays the same object, so that selecting a part of it needs no more.
 */
export function useContent<Content = any>(): Content;
export function useContent<Content = any, Selected = unknown>(
  selector: (content: Content) => Selected,
  isEqual?: IsEqual<Selected>,
): Selected;
export function useContent(selector: (content: any) => unknown = identity, isEqual?: IsEqual<unknown>): unknown {
  const { document } = useRoom();
  const subscribe = useCallback((changed: () => void) => onContent(document, changed), [document]);
  const content = useCallback(() => document.content, [document]);
  return useSelected(subscribe, content, selector, isEqual);
}

/** A function that edits the document of the room around: renders nothing again. */
export function useEdit<Operation = any>(): (operation: Operation, source?: unknown) => void {
  const { document } = useRoom();
  return useCallback((operation, source) => document.edit(operation, source), [document]);
}

export interface History {
  /** Takes back the newest of one's own steps, and nobody else's; does nothing if there is none. */
  readonly undo: () => void;
  /** Takes back the newest `undo`. */
  readonly redo: () => void;
  /** The next edit begins a step of its own, however soon it comes. */
  readonly separate: () => void;
}

/** The history of one's own steps: renders nothing again. */
export function useHistory(): History {
  const { document } = useRoom();
  return useMemo(
    () => ({
      undo: () => void document.undo(),
      redo: () => void document.redo(),
      separate: () => document.separateUndo(),
    }),
    [document],
  );
}

export function useUndo(): () => void {
  return useHistory().undo;
}

export function useRedo(): () => void {
  return useHistory().redo;
}

export function useCanUndo(): boolean {
  const { document } = useRoom();
  const canUndo = (): boolean => document.canUndo;
  return useSyncExternalStore(useHistoryChanges(document), canUndo, canUndo);
}

export function useCanRedo(): boolean {
  const { document } = useRoom();
  const canRedo = (): boolean => document.canRedo;
  return useSyncExternalStore(useHistoryChanges(document), canRedo, canRedo);
}

function useHistoryChanges(document: SharedDocument): Subscribe {
  return useCallback((changed: () => void) => document.on('history', changed), [document]);
}

function onContent(document: SharedDocument, changed: () => void): () => void {
  const stops = [document.on('change', changed), document.on('reset', changed)];
  return () => {
    for (const stop of stops) stop();
  };
}
