/**
 * What this implementation does with each flag. A flag that is not named here acts as in etcd.
 *
 *  - `no-effect`: accepted, because doing nothing is harmless; setting it is answered with a warning.
 *  - `ignored`: etcd itself accepts and forgets it.
 */
import type { FlagSpec } from './flag-spec.ts';

export type FlagSupport =
  | { readonly status: 'acts' }
  | { readonly status: 'ignored' }
  | { readonly status: 'no-effect'; readonly reason: string };

const FIXED_TIMEOUTS = 'streams between members time out after 5 seconds, as in etcd unless told';

const NO_EFFECT: Readonly<Record<string, string>> = {
  'socket-reuse-address': 'listeners always set SO_REUSEADDR',
  'v2-deprecation': 'there is no v2 store',
  'client-transport-security.skip-client-san-verification': 'clients come from any address, as in etcd',
  'raft-read-timeout': FIXED_TIMEOUTS,
  'raft-write-timeout': FIXED_TIMEOUTS,
};

const ACTS: FlagSupport = { status: 'acts' };
const IGNORED: FlagSupport = { status: 'ignored' };

export function flagSupport(spec: FlagSpec): FlagSupport {
  if (spec.kind === 'ignored') return IGNORED;
  const excuse = NO_EFFECT[spec.name];
  return excuse === undefined ? ACTS : { status: 'no-effect', reason: excuse };
}

/** Names in the support table that no flag has; there are none, and a test says so. */
export function unknownSupportNames(known: ReadonlyMap<string, FlagSpec>): string[] {
  return Object.keys(NO_EFFECT).filter((name) => !known.has(name));
}
