/**
 * The client on Node: sockets, TLS, clocks.
 *
 *     import { connect } from '@etcd/client/node';
 *
 *     await using client = connect({ endpoints: ['127.0.0.1:2379'] });
 *     await client.kv.put('greeting', 'hello');
 */
export { type ConnectOptions, connect } from './connect.ts';
export { NodeConnector, type TlsOptions } from './node-connector.ts';
