/** Gateways as their users run them: processes, here with documents in memory. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { createInterface } from 'node:readline';

const ROOT: string = new URL('../../../../../', import.meta.url).pathname;
const PROGRAM: string = process.env.FASTCOLLAB ?? `${ROOT}.venv/bin/fastcollab`;

const SECRET = 'a secret of the tests, and of nobody else';

const environment: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FASTCOLLAB_'))),
  FASTCOLLAB_AUTH__SECRET: SECRET,
};

export class GatewayProcess {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, url: string) {
    this.#process = process;
    this.url = url;
  }

  /** Starts a gateway with settings as KEY=VALUE; resolves when it accepts connections. */
  static async start(
    settings: string[] = [],
    { port = 0, engine = 'memory://' }: { port?: number; engine?: string } = {},
  ): Promise<GatewayProcess> {
    const options = settings.flatMap(setting => ['--set', setting]);
    const child = spawn(PROGRAM, ['serve', '--port', String(port), '--engine', engine, ...options], {
      env: environment,
      stdio: ['ignore', 'pipe', process.env.GATEWAY_LOG ? 'inherit' : 'ignore'],
    });
    for await (const line of createInterface({ input: child.stdout! })) {
      const url = /accepts connections on (\S+)/.exec(line)?.[1];
      if (url) return new GatewayProcess(child, url);
    }
    throw new Error('the gateway has not started');
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Ends it by the signal, and resolves when it is gone. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = new Promise(resolve => this.#process.once('exit', resolve));
    this.#process.kill(signal);
    await gone;
  }
}

/** A token that these gateways accept, made as a back end makes it; `lifetime` is in seconds. */
export function signed(user: string, lifetime = 3600, permission = 'write'): string {
  const claims = { sub: user, exp: Math.floor(Date.now() / 1000) + lifetime, rooms: { '*': permission } };
  const parts = [{ alg: 'HS256', typ: 'JWT' }, claims].map(part =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  const signature = createHmac('sha256', SECRET).update(parts.join('.')).digest('base64url');
  return [...parts, signature].join('.');
}

/** A token as `fastcollab token` makes it. */
export function token(user: string, ...options: string[]): string {
  const made = execFileSync(PROGRAM, ['token', '--user', user, '--rooms', '*=write', ...options], { env: environment });
  return made.toString().trim();
}
