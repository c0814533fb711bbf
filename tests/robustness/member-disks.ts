/**
 * A file system of its own for each member, in a file that is mounted, whose power can be cut: ext4 is told to shut down without writing anything
 * more (`FS_IOC_SHUTDOWN`), and is mounted again. What a program has written and not synced is lost then, as it would be, for Go's programs as for
 * this one. Node makes no system call of that kind: a line of Python does.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Place } from '../support/cluster.ts';
import { eventually } from '../support/run.ts';
import { temporaryDirectory } from '../support/temporary.ts';

/** A log's two segments, a database and what is received, with room. */
const SIZE = '640M';
/** What is not synced may stay in memory for so long. */
const OPTIONS = 'loop,commit=60';
/** `FS_IOC_SHUTDOWN`, without writing the journal. */
const SHUT_DOWN = `import fcntl, os, struct, sys
for path in sys.argv[1:]:
    fcntl.ioctl(os.open(path, 0), 0x8004587d, struct.pack('I', 2))`;

/** Why no power can be cut here; null: it can. */
export function whyNoPowerCuts(): string | null {
  if (process.getuid?.() !== 0) return 'mounting needs root';
  try {
    const disks = new MemberDisks();
    try {
      disks.place(0);
      disks.cut([0]);
      return null;
    } finally {
      disks.remove();
    }
  } catch (error) {
    return (error as Error).message;
  }
}

const living = new Set<MemberDisks>();
process.on('exit', () => {
  for (const disks of living) disks.remove();
});

export class MemberDisks {
  readonly #root = temporaryDirectory();
  readonly #mounted = new Map<number, string>();

  /** Throws if that is not allowed. */
  constructor() {
    living.add(this);
    // What is mounted below it is seen by members in namespaces of their own, and so is that it is not any more.
    command('mount', '--bind', this.#root, this.#root);
    command('mount', '--make-shared', this.#root);
  }

  /** For {@link ClusterOptions.place}. */
  place(position: number): Place {
    const path = join(this.#root, `disk${position}`);
    mkdirSync(path);
    command('truncate', '-s', SIZE, this.#image(position));
    command('mkfs.ext4', '-q', this.#image(position));
    this.#mounted.set(position, path);
    this.#mount(position);
    return { dataDir: this.#directory(position) };
  }

  /** From now on nothing reaches these disks. */
  cut(positions: readonly number[]): void {
    command('python3', '-c', SHUT_DOWN, ...positions.map((position) => this.#mounted.get(position)!));
  }

  /** The power is there again; nobody has a file there open. */
  async restore(position: number): Promise<void> {
    const path = this.#mounted.get(position)!;
    await eventually(`${path} is unmounted`, () => spawnSync('umount', [path]).status === 0);
    this.#mount(position);
  }

  /** Copies what is there to where it stays. */
  keep(position: number, directory: string): void {
    cpSync(this.#directory(position), directory, { recursive: true });
  }

  remove(): void {
    living.delete(this);
    for (const path of this.#mounted.values()) spawnSync('umount', ['-l', path]);
    spawnSync('umount', ['-l', this.#root]);
  }

  #mount(position: number): void {
    command('mount', '-o', OPTIONS, this.#image(position), this.#mounted.get(position)!);
  }

  #image(position: number): string {
    return join(this.#root, `disk${position}.img`);
  }

  #directory(position: number): string {
    return join(this.#mounted.get(position)!, 'data');
  }
}

function command(program: string, ...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args[0]}: ${error?.message ?? stderr.trim()}`);
}
