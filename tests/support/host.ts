/** A machine, as far as a tool that sets one up sees it: a network namespace with an `/etc` and a `/var/lib` of its own. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Ended, run } from './run.ts';
import { temporaryDirectory } from './temporary.ts';

export class Host {
  readonly address: string;
  readonly #launcher: readonly string[];
  readonly #directory: string;
  readonly #programs: string;
  readonly #ownsMore: boolean;

  /**
   * @param programs directory of programs that come before all others.
   * @param ownsMore whether its `/tmp` and `/home` are its own, too: nothing of the test's is to be seen from there.
   */
  constructor(address: string, launcher: readonly string[], programs: string, ownsMore = false) {
    this.address = address;
    this.#launcher = launcher;
    this.#ownsMore = ownsMore;
    this.#programs = ownsMore ? OWN_PROGRAMS : programs;
    this.#directory = temporaryDirectory();
    cpSync('/etc', join(this.#directory, 'etc'), {
      recursive: true,
      verbatimSymlinks: true,
      filter: isPlain,
    });
    for (const name of ['lib', 'tmp', 'home']) mkdirSync(join(this.#directory, name));
    if (ownsMore) {
      cpSync(programs, this.path(OWN_PROGRAMS), { recursive: true, verbatimSymlinks: true });
    }
  }

  /** Where a path on it is here; what is in `/var/lib` there is in `lib`. */
  path(path: string): string {
    return join(this.#directory, path);
  }

  command(program: string, ...args: readonly string[]): [string, string[]] {
    const script = [
      'mount --bind "$1/etc" /etc',
      'mount --bind "$1/lib" /var/lib',
      ...(this.#ownsMore ? ['mount --bind "$1/home" /home', 'mount --bind "$1/tmp" /tmp'] : []),
      'PATH="$2:$PATH"',
      'shift 2',
      'exec "$@"',
    ].join(' && ');
    const words = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'host'];
    const all = [...this.#launcher, ...words, this.#directory, this.#programs, program, ...args];
    return [all[0]!, all.slice(1)];
  }

  /** What a script prints that must end well. */
  async run(script: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
    const ended = await this.end(script, env);
    assert.equal(ended.code, 0, `${script}\n${ended.stdout}${ended.stderr}`);
    return ended.stdout;
  }

  /** How a script ends. */
  end(script: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return run(...this.command(SHELL, '-e', '-c', script), { env, timeoutMs: SCRIPT_MS });
  }
}

/** Documents are written for it. */
const SHELL = 'bash';
const OWN_PROGRAMS = '/etc/test-programs';
const SCRIPT_MS = 180_000;

/** Neither pipes nor devices, and nothing that somebody has mounted there. */
function isPlain(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined || !(stat.isFIFO() || stat.isSocket());
}
