/**
 * The parts of a member, for whoever assembles one on a world of their own: the simulator. The program assembles them in
 * `member/start.ts`.
 */
export { type Config, ETCD_VERSION, loadConfig, type ResolveHost, type StartWorld } from './config/index.ts';
export { type BootstrapOptions, bootstrap, type MemberParts } from './member/bootstrap.ts';
export { EtcdServer, type EtcdServerOptions } from './member/etcd-server.ts';
export { MemberStartError } from './member/member-start-error.ts';
export { Metrics } from './metrics/index.ts';
export type {
  PeerHost,
  PeerNetwork,
  PeerRequest,
  PeerResponse,
  PeerResponseCallback,
  SnapshotBody,
} from './peer/peer-network.ts';
export { registerServices, type Services } from './rpc/services.ts';
