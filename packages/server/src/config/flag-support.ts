/**
 * What this implementation does with each flag. A flag that is not named here acts as in etcd.
 *
 *  - `no-effect`: accepted, because doing nothing is harmless; setting it is answered with a warning.
 *  - `refused`: not supported yet, and ignoring it would be dangerous or misleading. Any value but the default
 *    ends the start with one line that names the flag.
 *  - `ignored`: etcd itself accepts and forgets it.
 *
 * Supporting a flag means deleting its entry here.
 */
import type { FlagSpec } from './flag-spec.ts';

export type FlagSupport =
  | { readonly status: 'acts' }
  | { readonly status: 'ignored' }
  | { readonly status: 'no-effect' | 'refused'; readonly reason: string };

const FIXED_TIMEOUTS = 'streams between members time out after 5 seconds, as in etcd unless told';

const REFUSED: Readonly<Record<string, string>> = {
  'memory-mlock':
    'the runtime can not run with locked memory; MemorySwapMax=0 in its unit keeps it from being swapped out',
};

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
  const refusal = REFUSED[spec.name];
  if (refusal !== undefined) return { status: 'refused', reason: refusal };
  const excuse = NO_EFFECT[spec.name];
  return excuse === undefined ? ACTS : { status: 'no-effect', reason: excuse };
}

/** Names in the support tables that no flag has; there are none, and a test says so. */
export function unknownSupportNames(known: ReadonlyMap<string, FlagSpec>): string[] {
  return [...Object.keys(REFUSED), ...Object.keys(NO_EFFECT)].filter((name) => !known.has(name));
}
