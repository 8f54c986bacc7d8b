/** The network that can be cut, and the rooms as one workspace. */

import { Emitter, type Status } from '@fastcollab/client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Network } from '../src/collab/network.js';
import { Workspace } from '../src/collab/workspace.js';

class FakeSocket {
  static made: FakeSocket[] = [];
  onopen: any = null;
  onmessage: any = null;
  onclose: any = null;
  onerror: any = null;
  bufferedAmount = 0;
  protocol = 'fastcollab.v1';
  sent: unknown[] = [];
  closed: unknown[] | undefined;

  constructor() {
    FakeSocket.made.push(this);
  }

  send(data: unknown): void {
    this.sent.push(data);
  }

  close(...reason: unknown[]): void {
    this.closed = reason;
  }
}

describe('the network', () => {
  let onlines = 0;

  beforeEach(() => {
    FakeSocket.made = [];
    onlines = 0;
    vi.stubGlobal('WebSocket', FakeSocket);
    const dispatchEvent = ({ type }: Event): void => {
      if (type === 'online') onlines++;
    };
    vi.stubGlobal('window', { dispatchEvent });
  });

  afterEach(() => {
    vi.unstubAllGlobals();
  });

  function connect(network: Network) {
    const heard: unknown[] = [];
    const socket = new network.WebSocket('ws://gateway', []);
    socket.onopen = () => heard.push('open');
    socket.onmessage = ({ data }) => heard.push(data);
    socket.onclose = ({ code }) => heard.push(code);
    return { socket, heard };
  }

  test('lets everything through', () => {
    const { socket, heard } = connect(new Network());
    const [real] = FakeSocket.made;
    real!.onopen({});
    real!.onmessage({ data: 'hello' });
    socket.send('good day');
    socket.close(1000, 'bye');
    real!.onclose({ code: 1000, reason: 'bye' });
    expect(heard).toEqual(['open', 'hello', 1000]);
    expect(real!.sent).toEqual(['good day']);
    expect(real!.closed).toEqual([1000, 'bye']);
  });

  test('that is cut ends connections without a good-bye, and makes no others until it is mended', async () => {
    const network = new Network();
    const changes: boolean[] = [];
    network.subscribe(() => changes.push(network.isCut));
    const before = connect(network);
    const [real] = FakeSocket.made;
    real!.onopen({});
    network.cut();
    before.socket.send('lost');
    expect(before.heard).toEqual(['open', 1006]);
    expect(real!.sent).toEqual([]);
    expect(real!.closed).toEqual([]); // no code: no farewell
    expect(real!.onmessage).toBeNull();

    const meanwhile = connect(network);
    await new Promise(resolve => setTimeout(resolve, 5));
    expect(meanwhile.heard).toEqual([1006]);
    expect(FakeSocket.made).toHaveLength(1);

    network.mend();
    expect(onlines).toBe(1);
    expect(changes).toEqual([true, false]);
    connect(network);
    expect(FakeSocket.made).toHaveLength(2);
  });
});

class FakeDocument extends Emitter<any> {
  pending: number[] = [];
  canUndo = false;
  canRedo = false;
  undo = vi.fn();
  redo = vi.fn();

  edited(origin: string): void {
    this.canUndo = true;
    this.emit('change', { origin });
    this.emit('history', {});
  }
}

class FakeRoom extends Emitter<{ status: Status }> {
  readonly document = new FakeDocument();
  status: Status = 'connected';

  constructor(readonly id: string) {
    super();
  }

  becomes(status: Status): void {
    this.status = status;
    this.emit('status', status);
  }
}

describe('the workspace', () => {
  function rooms() {
    const workspace = new Workspace();
    const [board, note] = [new FakeRoom('board'), new FakeRoom('note')];
    const leave = workspace.add(board as any);
    workspace.add(note as any);
    return { workspace, board, note, leave };
  }

  test('is as little saved as the least saved room', () => {
    const { workspace, board, note, leave } = rooms();
    expect(new Workspace().state.status).toBe('connecting');
    expect(workspace.state.status).toBe('connected');
    note.becomes('saved');
    expect(workspace.state.status).toBe('saved');
    board.document.pending = [1, 2];
    board.becomes('saving');
    expect(workspace.state).toMatchObject({ status: 'saving', pending: 2 });
    note.becomes('connecting');
    expect(workspace.state.status).toBe('connecting');
    note.becomes('saved');
    leave();
    expect(workspace.state).toMatchObject({ status: 'saved', pending: 0 });
  });

  test('undoes what was done last, in whichever room', () => {
    const { workspace, board, note } = rooms();
    board.document.edited('local');
    note.document.edited('local');
    board.document.edited('remote');
    expect(workspace.state.canUndo).toBe(true);
    workspace.undo();
    expect([note.document.undo.mock.calls.length, board.document.undo.mock.calls.length]).toEqual([1, 0]);
    note.document.canUndo = false;
    workspace.undo();
    expect(board.document.undo).toHaveBeenCalledTimes(1);
    note.document.canRedo = true;
    workspace.redo();
    expect(note.document.redo).toHaveBeenCalledTimes(1);
    expect(board.document.redo).not.toHaveBeenCalled();
  });

  test('tells of a change once, and of no other', () => {
    const { workspace, board } = rooms();
    const changed = vi.fn();
    const stop = workspace.subscribe(changed);
    board.becomes('connected');
    expect(changed).not.toHaveBeenCalled();
    board.document.edited('local');
    expect(changed).toHaveBeenCalledTimes(1);
    stop();
    board.becomes('closed');
    expect(changed).toHaveBeenCalledTimes(1);
  });
});
