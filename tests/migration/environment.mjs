// What browsers have, and what the pages take for granted, for code from the guides that Node runs.
import { WebSocket } from 'ws';

globalThis.WebSocket ??= WebSocket;
globalThis.fetchToken = () => process.env.TOKEN;
