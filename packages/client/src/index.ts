/**
 * A client of etcd, for applications.
 *
 *     import { compare, op } from '@etcd/client';
 *     import { connect } from '@etcd/client/node';
 *
 *     await using client = connect({ endpoints: ['10.0.0.1:2379', '10.0.0.2:2379'] });
 *     await client.kv.put('greeting', 'hello');
 *     for await (const event of client.watch('app/', { prefix: true }).events()) console.log(event.kv?.key);
 *
 * **Endpoints.** Calls go around the members that are connected and call themselves serving; a member that is lost is
 * connected again in the background. A call for which there is none waits, until its deadline.
 *
 * **At most once.** A read is tried again while no member is available. A write is tried again only when it is certain
 * that no member has seen it; otherwise it fails with `Unavailable`, and whether it happened is for the caller to find out.
 *
 * **Watches** survive lost connections: every event comes once, in order. One that asks for what is compacted ends with
 * {@link CompactedError}, which says where to start again.
 *
 * **Giving up.** Every call takes `signal` and `timeoutMs`. Unary calls have a deadline of 30 seconds unless told
 * otherwise; streams and watches have none. `client.close()`, or `await using`, ends everything.
 *
 * **Bounds.** What a slow reader leaves lying is bounded for each stream and watch; so are the calls that wait.
 *
 * This module is free of Node's sockets and clocks: `@etcd/client/node` has `connect`; elsewhere an {@link EtcdClient} is made
 * with a {@link Connector} that gives it byte streams.
 */
export { EtcdError, prefixEnd, RPC_ERRORS } from '@etcd/api';
export { GrpcCode } from '@etcd/base';
export { Auth, type PermissionKind } from './admin/auth.ts';
export { Cluster } from './admin/cluster.ts';
export { type DowngradeStep, Maintenance } from './admin/maintenance.ts';
export { EtcdClient, Namespace } from './client.ts';
export { Election, type ElectionOptions, Leadership, type ObservedLeader } from './concurrency/election.ts';
export { Lock, type LockOptions } from './concurrency/lock.ts';
export type { LeaseLike } from './concurrency/queue.ts';
export { DEFAULT_CLIENT_PORT, type Endpoint, parseEndpoint } from './endpoint.ts';
export { ClientError, type ClientErrorCode, CompactedError, isError } from './errors.ts';
export type { Bytes, RangeOptions } from './keys.ts';
export { type CompareOperator, compare } from './kv/compare.ts';
export { KV, type PageOptions } from './kv/kv.ts';
export { type DeleteOptions, type GetOptions, op, type PutOptions, type SortKey } from './kv/operations.ts';
export { TxnBuilder } from './kv/txn.ts';
export { HeldLease } from './lease/held-lease.ts';
export { Leases } from './lease/leases.ts';
export type { CallOptions, ClientEvent, ClientOptions, Connector, Credentials } from './options.ts';
export type { ServerStream } from './rpc/server-stream.ts';
export type { WatchBatch, Watcher, WatchOptions } from './watch/watcher.ts';
