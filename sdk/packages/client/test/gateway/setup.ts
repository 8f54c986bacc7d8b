/** One gateway for all tests that need no other, as `inject('gateway')`. */

import type { TestProject } from 'vitest/node';
import { GatewayProcess, token } from './process.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The gateway's address, and a token for each user. */
    gateway: { url: string; tokens: Record<'ada' | 'ben' | 'eve', string> };
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const gateway = await GatewayProcess.start([
    'limits.operations=2000',
    'limits.messages=2000',
    'limits.connections_per_user=50',
    'limits.rooms_per_user=500',
    'limits.connection_rate=0',
  ]);
  const tokens = { ada: token('ada', '--name', 'Ada'), ben: token('ben', '--name', 'Ben'), eve: token('eve') };
  project.provide('gateway', { url: gateway.url, tokens });
  return () => gateway.end('SIGKILL');
}
