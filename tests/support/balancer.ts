/** Plain TCP balancers of other makers in front of a cluster: they know nothing of what they pass on, and cut what is idle. */
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { tool } from './programs.ts';
import { eventually, Running } from './run.ts';
import { freePort, temporaryDirectory } from './temporary.ts';

export type BalancerKind = 'haproxy' | 'nginx';

export interface BalancerOptions {
  /** `host:port` of each member. */
  readonly targets: readonly string[];
  /** What has been silent for so long is cut off, in both directions. */
  readonly idleMs: number;
}

const LIFE_MS = 240_000;

export class Balancer {
  /** Where clients connect. */
  readonly address: string;
  readonly #program: Running;

  private constructor(address: string, program: Running) {
    this.address = address;
    this.#program = program;
  }

  static async start(kind: BalancerKind, options: BalancerOptions): Promise<Balancer> {
    const port = await freePort();
    const directory = temporaryDirectory();
    const file = join(directory, 'balancer.conf');
    const text = kind === 'haproxy' ? haproxyConfig(port, options) : nginxConfig(port, directory, options);
    writeFileSync(file, text);
    const args = kind === 'haproxy' ? ['-db', '-f', file] : ['-p', directory, '-c', file];
    const program = new Running(tool(kind), args, { timeoutMs: LIFE_MS });
    await eventually(`${kind} listens`, () => accepts(port));
    return new Balancer(`127.0.0.1:${port}`, program);
  }

  async stop(): Promise<void> {
    this.#program.kill();
    await this.#program.ended;
  }
}

function haproxyConfig(port: number, { targets, idleMs }: BalancerOptions): string {
  return `
defaults
  mode tcp
  timeout connect 5s
  timeout client ${idleMs}ms
  timeout server ${idleMs}ms
  timeout check 5s
listen etcd
  bind 127.0.0.1:${port}
  balance roundrobin
  option redispatch
  default-server inter 500ms fall 2 rise 1
${targets.map((target, i) => `  server m${i} ${target} check`).join('\n')}
`;
}

function nginxConfig(port: number, directory: string, { targets, idleMs }: BalancerOptions): string {
  return `
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
events {}
stream {
  upstream etcd {
${targets.map((target) => `    server ${target} max_fails=1 fail_timeout=1s;`).join('\n')}
  }
  server {
    listen 127.0.0.1:${port};
    proxy_pass etcd;
    proxy_connect_timeout 5s;
    proxy_timeout ${idleMs}ms;
  }
}
`;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const answer = (isThere: boolean): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once('connect', () => answer(true));
    socket.once('error', () => answer(false));
  });
}
