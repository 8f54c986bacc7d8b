// Socket.IO as its documentation puts several servers together: the sharded Redis adapter, which it recommends for what is
// new, over ioredis, whose subscriptions come back after a lost connection; WebSocket only, with bufferutil.
//
//   cursor     goes to all others in the sender's room, volatile, as the documentation has it for positions
//   operation  goes to all others in the sender's room, and is then acknowledged; nothing orders, transforms or stores it
//
// Usage: server.mjs REDIS_URL. It prints one line when it accepts connections, "listening on 127.0.0.1:PORT", and ends on
// SIGTERM.

import { createServer } from 'node:http';

import { createShardedAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';

const publisher = new Redis(process.argv[2]);
const subscriber = publisher.duplicate();
const server = createServer();
const io = new Server(server, {
  adapter: createShardedAdapter(publisher, subscriber),
  transports: ['websocket'],
});

io.on('connection', socket => {
  let room;
  socket.on('join', (name, joined) => {
    room = name;
    socket.join(name);
    joined();
  });
  socket.on('cursor', cursor => socket.volatile.to(room).emit('cursor', cursor));
  socket.on('operation', (operation, acknowledged) => {
    socket.to(room).emit('operation', operation);
    acknowledged();
  });
});

server.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
process.on('SIGTERM', () => process.exit(0));
