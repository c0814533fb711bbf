/**
 * The fence around a member whose data differ from the majority's: it serves no client and does not lead, until an operator has
 * replaced its data. A file in the member's directory says so to the next start of the process, before anything is compared.
 */
import type { Revision } from '@etcd/api';
import { type Disk, DiskError, type Logger } from '@etcd/base';
import { parseObject } from './state-hash-protocol.ts';

/** `changes`: found in what was applied, at exactly this revision; `store`: in the whole store as it was at this revision. */
export type FoundIn = 'changes' | 'store';

export interface FenceFacts {
  /** The first revision that differs, or by which something does. */
  readonly revision: Revision;
  readonly foundIn: FoundIn;
}

export interface FenceOptions {
  readonly disk: Disk;
  /** The member's: `<data-dir>/member`. */
  readonly directory: string;
  readonly logger: Logger;
}

const FILE_NAME = 'fenced';
const FILE_MODE = 0o600;

export class Fence {
  readonly #options: FenceOptions;
  readonly #path: string;
  #facts: FenceFacts | null;
  #onRaised: (() => void)[] = [];

  /** Reads what an earlier run has found. */
  constructor(options: FenceOptions) {
    const { disk, directory, logger } = options;
    this.#options = options;
    this.#path = disk.join(directory, FILE_NAME);
    this.#facts = disk.stat(this.#path) === null ? null : readFacts(disk.readFile(this.#path));
    if (this.#facts !== null) {
      logger.error(
        'the data of this member were found to differ from those of the majority; it serves no clients until they are replaced',
        { revision: this.#facts.revision, 'found-in': this.#facts.foundIn, path: this.#path },
      );
    }
  }

  get isRaised(): boolean {
    return this.#facts !== null;
  }

  /** Why it is raised; null when it is not. */
  get facts(): FenceFacts | null {
    return this.#facts;
  }

  /** Calls `callback` when the fence is raised: at once if it is. */
  whenRaised(callback: () => void): void {
    if (this.isRaised) callback();
    else this.#onRaised.push(callback);
  }

  raise(facts: FenceFacts): void {
    if (this.isRaised) return;
    this.#facts = facts;
    this.#options.logger.error(
      'the data of this member differ from those of the majority; it serves no clients any more',
      { revision: facts.revision, 'found-in': facts.foundIn, path: this.#path },
    );
    this.#save(facts);
    for (const callback of this.#onRaised.splice(0)) callback();
  }

  /** Without the file the fence stands as long as the process; the next one has to find out again. */
  #save(facts: FenceFacts): void {
    const { disk, directory, logger } = this.#options;
    const bytes = Buffer.from(`${JSON.stringify(facts)}\n`);
    try {
      const file = disk.openFile(this.#path, { access: 'readwrite', create: true, mode: FILE_MODE });
      file.write(bytes, 0, bytes.length, 0);
      file.sync();
      file.close();
      disk.syncDirectory(directory);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      logger.error('failed to save that the member is fenced', { path: this.#path, error });
    }
  }
}

/** A file that was torn by a crash says that there was something to say. */
function readFacts(bytes: Uint8Array): FenceFacts {
  const value = parseObject(bytes);
  return {
    revision: typeof value?.revision === 'number' ? value.revision : 0,
    foundIn: value?.foundIn === 'changes' ? 'changes' : 'store',
  };
}
