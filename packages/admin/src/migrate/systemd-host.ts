/** A member under systemd. Another program comes by a drop-in, with the arguments that the unit gives; the unit stays as it is. */
import { existsSync } from 'node:fs';
import { ClusterError } from '../cluster/cluster-error.ts';
import { readIfThere, writeWhole } from '../cluster/files.ts';
import { removeFile, runCommand } from '../cluster/service.ts';
import type { Exchange, MemberHost, Program } from './member-host.ts';

const UNITS = '/etc/systemd/system';
const DROP_IN = '50-etcdadm-migrate.conf';

export class SystemdHost implements MemberHost {
  readonly title: string;
  readonly #unit: string;

  constructor(unit: string) {
    this.#unit = unit;
    this.title = `unit ${unit}`;
  }

  get #dropIn(): string {
    return `${UNITS}/${this.#unit}.d/${DROP_IN}`;
  }

  async original(): Promise<string> {
    return (await this.#command()).program;
  }

  exchange(): Exchange | null {
    const text = readIfThere(this.#dropIn);
    return text === null ? null : parseDropIn(text);
  }

  async setExchange(exchange: Exchange | null): Promise<void> {
    if (exchange === null) removeFile(this.#dropIn);
    else {
      const { words } = await this.#command();
      writeWhole(this.#dropIn, dropInText(exchange, words), 0o644);
    }
    await this.#systemctl('daemon-reload');
  }

  async describe(program: string): Promise<Program> {
    if (!program.startsWith('/'))
      throw new ClusterError(`a unit wants the path of a program, not ${JSON.stringify(program)}`);
    if (!existsSync(program)) throw new ClusterError(`there is no ${program}`);
    const { code, output } = await runCommand(program, ['--version']);
    const version = /etcd Version: (\d+\.\d+\.\d+)/.exec(output)?.[1] ?? null;
    if (code !== 0 || version === null)
      throw new ClusterError(`${program} --version says nothing of an etcd`);
    return { name: program, version, isOurs: !/Go Version: go/.test(output) };
  }

  async isActive(): Promise<boolean> {
    return (await runCommand('systemctl', ['is-active', '--quiet', this.#unit])).code === 0;
  }

  stop(): Promise<void> {
    return this.#systemctl('stop');
  }

  start(): Promise<void> {
    return this.#systemctl('start');
  }

  /** Of the unit without our drop-in. */
  async #command(): Promise<{ program: string; words: string }> {
    const { code, output } = await runCommand('systemctl', ['cat', this.#unit]);
    if (code !== 0) throw new ClusterError(`there is no unit ${this.#unit}`);
    const command = execStart(output, this.#dropIn);
    if (command === null) throw new ClusterError(`${this.#unit} starts no program`);
    return command;
  }

  async #systemctl(verb: string): Promise<void> {
    const args = verb === 'daemon-reload' ? [verb] : [verb, this.#unit];
    const { code, output } = await runCommand('systemctl', args);
    if (code === 0) return;
    throw new ClusterError(
      `systemctl ${args.join(' ')} failed: ${output.trim().split('\n').at(-1)}; see journalctl -u ${this.#unit}`,
    );
  }
}

/** Of what `systemctl cat` prints: the last ExecStart=, outside of the file `without`. */
export function execStart(text: string, without: string): { program: string; words: string } | null {
  let isOurs = false;
  let value = '';
  for (const line of text.replace(/\s*\\\n\s*/g, ' ').split('\n')) {
    const file = /^# (\/.*)$/.exec(line)?.[1];
    if (file !== undefined) isOurs = file === without;
    const found = /^ExecStart=(.*)$/.exec(line)?.[1];
    if (found !== undefined && !isOurs) value = found.trim();
  }
  const match = /^[-@:+!]*("[^"]+"|\S+)\s*(.*)$/.exec(value);
  if (match === null) return null;
  return { program: match[1]!.replace(/^"|"$/g, ''), words: match[2]! };
}

export function dropInText({ program, memberId, others }: Exchange, words: string): string {
  const path = /[\s"]/.test(program) ? JSON.stringify(program) : program;
  return `# Written by etcdadm migrate for member ${memberId.toString(16)}; without this file the unit's own program runs.
# Others: ${others.join(' ')}
[Service]
ExecStart=
ExecStart=${path}${words === '' ? '' : ` ${words}`}
`;
}

export function parseDropIn(text: string): Exchange | null {
  const id = /for member ([0-9a-f]+);/.exec(text)?.[1];
  const command = execStart(text, '');
  if (id === undefined || command === null) return null;
  const others = /^# Others: (.+)$/m.exec(text)?.[1]?.split(' ') ?? [];
  return { program: command.program, memberId: BigInt(`0x${id}`), others };
}
