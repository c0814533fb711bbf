/** What is in the place of a member's data. Nothing here removes anything unless the operator has asked for it. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { type DataIdentity, dataIdentity } from '@etcd/etcdutl/inspect';
import { ClusterError } from './cluster-error.ts';

export type DataState =
  | { readonly kind: 'empty' }
  /** Null: something else than a member's data, or what no log says whose it is. */
  | { readonly kind: 'used'; readonly identity: DataIdentity | null };

/** Throws {@link ClusterError} for a log that can not be read. */
export function dataStateOf(path: string): DataState {
  if (!existsSync(path) || readdirSync(path).length === 0) return { kind: 'empty' };
  try {
    return { kind: 'used', identity: dataIdentity(path) };
  } catch (error) {
    throw new ClusterError(`[data] the log in ${path} can not be read: ${(error as Error).message}`);
  }
}

/** A directory that is a mount of its own stays; what is in it goes. */
export function removeData(path: string): void {
  if (!existsSync(path)) return;
  for (const name of readdirSync(path)) rmSync(`${path}/${name}`, { recursive: true });
}
