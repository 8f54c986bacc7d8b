// ShareDB as its documentation puts it together: one process, everything in memory, plain text by ot-text-unicode.
//
// It prints one line when it accepts connections, "listening on 127.0.0.1:PORT", and ends on SIGTERM.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';

import WebSocketJSONStream from '@teamwork/websocket-json-stream';
import ShareDB from 'sharedb';
import { WebSocketServer } from 'ws';

ShareDB.types.register(createRequire(import.meta.url)('ot-text-unicode').type);

const backend = new ShareDB();
const server = createServer();
new WebSocketServer({ server }).on('connection', socket => backend.listen(new WebSocketJSONStream(socket)));
server.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
process.on('SIGTERM', () => process.exit(0));
