/** Rendering components with a client of the gateway that the tests share. */

import type { CollaborativeClient, DocumentType, Room } from '@fastcollab/client';
import { json1 } from '@fastcollab/client/json1';
import { cleanup, type RenderResult, render } from '@testing-library/react';
import { Component, Profiler, type ReactNode, StrictMode } from 'react';
import { onTestFinished } from 'vitest';
import { clientOf, connected, freshRoom } from '../../client/test/gateway/clients.js';
import { FastcollabProvider, RoomProvider } from '../src/index.js';

export interface Scene {
  /** Whose components are rendered. */
  readonly client: CollaborativeClient;
  readonly view: RenderResult;
  /** Another user, in the same room. */
  readonly other: Room;
}

/** Renders components in a room of ada's, under StrictMode, where ben is already. */
export async function scene(children: ReactNode, type: DocumentType = json1, content?: unknown): Promise<Scene> {
  const id = freshRoom();
  const ben = await connected('ben');
  const other = await ben.joinRoom(id, { type });
  if (content !== undefined) await other.document.submit(content);
  const client = clientOf('ada');
  const view = show(
    <FastcollabProvider client={client}>
      <RoomProvider id={id} type={type} fallback="joining">
        {children}
      </RoomProvider>
    </FastcollabProvider>,
  );
  return { client, view, other };
}

export function show(children: ReactNode): RenderResult {
  onTestFinished(cleanup);
  return render(<StrictMode>{children}</StrictMode>);
}

/** Shows what its children throw. */
export class Boundary extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override render(): ReactNode {
    return this.state.error ? `refused: ${this.state.error.message}` : this.props.children;
  }
}

/** How often React has rendered something within `Counted` of that name. */
export class Renderings {
  readonly #counts = new Map<string, number>();

  readonly of = (name: string): number => this.#counts.get(name) ?? 0;

  readonly Counted = ({ name, children }: { name: string; children: ReactNode }): ReactNode => (
    <Profiler id={name} onRender={() => this.#counts.set(name, this.of(name) + 1)}>
      {children}
    </Profiler>
  );
}
