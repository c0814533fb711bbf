/**
 * Makes authorities and certificates. Load it only where one is made: what it stands on takes a while, and some memory.
 */
export { type Authority, type Issued, issueAuthority, issueLeaf, type LeafOptions } from './issue.ts';
export { isKeyKind, KEY_ALGORITHMS, type KeyKind } from './key-algorithm.ts';
