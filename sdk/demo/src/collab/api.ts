/** What the page asks the program that serves it. */

import type { Guest } from './identity.js';

export interface Admission {
  /** The gateway's address. */
  readonly url: string;
  readonly token: string;
  readonly user: Guest;
}

/** A token for this guest, or for somebody new; the page's address may name the gateway (`?gateway=1`). */
export function enter(guest: Guest | undefined): Promise<Admission> {
  const gateway = new URLSearchParams(location.search).get('gateway');
  return ask('/demo/token', { ...guest, ...(gateway !== null && { gateway: Number(gateway) }) });
}

/** How many simulated participants there are. */
export async function peopleCount(): Promise<number> {
  return (await ask<{ count: number }>('/demo/people')).count;
}

/** Has so many simulated participants; resolves with how many there are. */
export async function setPeople(count: number): Promise<number> {
  return (await ask<{ count: number }>('/demo/people', { count })).count;
}

async function ask<Answer>(path: string, body?: object): Promise<Answer> {
  const response = await fetch(path, {
    ...(body && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path} is answered with ${response.status}: ${await response.text()}`);
  return response.json();
}
