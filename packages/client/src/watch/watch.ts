/** Watches of a client: those that ask for a leader share one stream, the others another. */
import { ClientError } from '../errors.ts';
import { type Bytes, type KeyRange, keyRange, namespaceRange } from '../keys.ts';
import type { Caller } from '../rpc/caller.ts';
import { WatchStream } from './watch-stream.ts';
import { Watcher, type WatchOptions } from './watcher.ts';

export class Watches {
  readonly #caller: Caller;
  #plain: WatchStream | null = null;
  #withLeader: WatchStream | null = null;
  #isClosed = false;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Watches `range` of the whole store; keys are handed over without their first `prefixLength` bytes. */
  start(range: KeyRange, prefixLength: number, options: WatchOptions): Watcher {
    const stream = this.#stream(options.requireLeader ?? false);
    const watcher = new Watcher(stream, range, prefixLength, options);
    if (this.#isClosed) watcher.end(new ClientError('closed', 'the client is closed'));
    else if (!watcher.isOver) stream.enqueue(watcher);
    return watcher;
  }

  close(): void {
    this.#isClosed = true;
    const error = new ClientError('closed', 'the client is closed');
    this.#plain?.close(error);
    this.#withLeader?.close(error);
  }

  #stream(requireLeader: boolean): WatchStream {
    if (requireLeader) return (this.#withLeader ??= new WatchStream(this.#caller, true));
    return (this.#plain ??= new WatchStream(this.#caller, false));
  }
}

/** The range that a namespace's watch covers in the whole store. */
export function watchedRange(namespace: Uint8Array, key: Bytes, options: WatchOptions): KeyRange {
  return namespaceRange(namespace, keyRange(key, options));
}
