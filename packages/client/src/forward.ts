/**
 * For programs that stand between clients and a cluster: the balancer and the rule by which calls are tried again, under calls that are passed
 * on as the bytes that they are, and what takes a namespace's prefix from keys.
 */
export { namespaceRange } from './keys.ts';
export { stripDelete, stripPut, stripRange, stripTxn } from './kv/namespace.ts';
export { Balancer, type ChannelWaiter } from './rpc/balancer.ts';
export { RETRY_PAUSE_MS, Verdict, verdictOf } from './rpc/retry.ts';
