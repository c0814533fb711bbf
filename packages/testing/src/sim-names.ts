/** Names of a simulated disk: changes of them that are not durable yet, which may become so in another order than they were made in. */
import { DiskError } from '@etcd/base';

type Names<E> = Pick<Map<string, E>, 'set' | 'delete' | 'has' | typeof Symbol.iterator>;

export interface NameChange<E> {
  /** In the order in which they were made. */
  readonly sequence: number;
  readonly directory: string;
  readonly apply: (names: Names<E>) => void;
}

/** A change below a directory that is given another name: it may become durable before that or afterwards. */
export function moved<E>(change: NameChange<E>, from: string, to: string): NameChange<E> {
  const { sequence, directory, apply } = change;
  if (directory !== from && !directory.startsWith(`${from}/`)) return change;
  return {
    sequence,
    directory: to + directory.slice(from.length),
    apply: (names) => apply(names.has(to) ? new MovedNames(names, from, to) : names),
  };
}

/** Names below `to`, for one that knows them below `from`. */
class MovedNames<E> implements Names<E> {
  readonly #names: Names<E>;
  readonly #from: string;
  readonly #to: string;

  constructor(names: Names<E>, from: string, to: string) {
    this.#names = names;
    this.#from = from;
    this.#to = to;
  }

  has(path: string): boolean {
    return this.#names.has(renamed(path, this.#from, this.#to));
  }

  set(path: string, entry: E): Map<string, E> {
    return this.#names.set(renamed(path, this.#from, this.#to), entry);
  }

  delete(path: string): boolean {
    return this.#names.delete(renamed(path, this.#from, this.#to));
  }

  *[Symbol.iterator](): MapIterator<[string, E]> {
    for (const [path, entry] of this.#names) yield [renamed(path, this.#to, this.#from), entry];
  }
}

function renamed(path: string, from: string, to: string): string {
  return path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : path;
}

/** What stands in a directory that is not there is not there either. */
export function dropOrphans<E>(names: Map<string, E | 'directory'>): void {
  for (const path of [...names.keys()].sort()) {
    if (path !== '/' && names.get(parentOf(path)) !== 'directory') names.delete(path);
  }
}

export function normal(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}

export function parentOf(path: string): string {
  const cut = path.lastIndexOf('/');
  return cut <= 0 ? '/' : path.slice(0, cut);
}

export function missing(call: string, path: string): DiskError {
  return new DiskError('ENOENT', path, `ENOENT: no such file or directory, ${call} '${path}'`);
}
