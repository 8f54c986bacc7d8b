/** What a document tells the program, and what it needs of the room that it is in. */

import type { Pacer } from '../pacing.js';
import type { ClientMessages } from '../wire/messages.js';
import type { Journal } from './journal.js';

/** How the content was changed. */
export interface Change<Operation> {
  /** What led from the content before to the content now. */
  readonly operation: Operation;
  /** `local` by `edit`, `refused`: an own operation was taken back since the gateway would not have it. */
  readonly origin: 'local' | 'undo' | 'redo' | 'remote' | 'refused';
  /** Whose operation it is; undefined if it was refused. */
  readonly userId: string | undefined;
  /** What was given to `edit` along with the operation. */
  readonly source: unknown;
  /** Where an operation of somebody else is in a trace: a W3C `traceparent`; undefined if it is in none. */
  readonly traceparent: string | undefined;
}

/** Own operations that did not become part of the document, in order, and why. */
export interface Rejection<Operation = unknown> {
  readonly operations: readonly Operation[];
  readonly error: Error;
}

export interface DocumentEvents<Content, Operation> {
  /** The content was changed, by whomever. */
  change: Change<Operation>;
  /** The content was replaced as a whole. */
  reset: Content;
  /** Own operations were given up. */
  rejected: Rejection<Operation>;
  /** `version` is a newer one: an operation was committed, somebody's or one's own. */
  version: number;
  /** `canUndo` or `canRedo` may say something else. */
  history: { readonly canUndo: boolean; readonly canRedo: boolean };
}

/** What a document needs of the room that it is in. @internal */
export interface Host<Operation> {
  readonly userId: string;
  readonly pacer: Pacer;
  readonly checksumEvery: number;
  /** What an operation may take as JSON. */
  readonly maxBytes: number;
  readonly journal: Journal | undefined;
  /** Where something that is edited now is in a trace. */
  readonly trace: (() => string | undefined) | undefined;
  /** Sends an operation; false if that is not possible now. */
  send(messageId: string, payload: ClientMessages['operation']): boolean;
  /** Asks for the room's state, with what `joinRequest` says. */
  rejoin(): void;
  /** The content was changed, `userId` undefined: an operation was undone. */
  contentChanged(operation: Operation, userId: string | undefined): void;
  /** An operation led `confirmed` to its present version. */
  committed(operation: Operation, userId: string): void;
  contentReplaced(): void;
  updateStatus(): void;
  /** Has the document send what can be sent now. */
  advance(): void;
}
