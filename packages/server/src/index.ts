/**
 * The parts of a member, for whoever assembles one on a world of their own: the simulator. The program assembles them in
 * `serve/start.ts`.
 */
export { Authentication, type Bcrypt } from './auth/index.ts';
export { type BootstrapOptions, bootstrap, type MemberParts } from './boot/index.ts';
export { type Config, ETCD_VERSION, loadConfig, MemberStartError, type StartWorld } from './config/index.ts';
export { EtcdServer, type EtcdServerOptions } from './member/index.ts';
export { Metrics } from './metrics/index.ts';
export type {
  PeerHost,
  PeerNetwork,
  PeerRequest,
  PeerResponse,
  PeerResponseCallback,
  SnapshotBody,
} from './peer/index.ts';
export {
  HttpPeerNetwork,
  type HttpPeerNetworkOptions,
} from './peer/index.ts';
export { RPC_TABLE, type RunningServices, registerServices } from './rpc/index.ts';
