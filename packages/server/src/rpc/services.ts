/** All services of a member, registered with its gRPC server as the table of RPCs says. */
import { RPC_ERRORS } from '@etcd/api';
import { SILENT_LOGGER } from '@etcd/base';
import type { GrpcServer } from '@etcd/transport';
import type { Authentication } from '../auth/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import { AuthService } from './auth-service.ts';
import { ANYBODY, type Callers, TokenCallers } from './callers.ts';
import { ClusterService } from './cluster-service.ts';
import { ElectionService } from './concurrency/election-service.ts';
import { LockService } from './concurrency/lock-service.ts';
import { registerRpcs } from './dispatcher.ts';
import { HealthService } from './health-service.ts';
import { KvService } from './kv-service.ts';
import { LeaseService } from './lease-service.ts';
import { MaintenanceService } from './maintenance-service.ts';
import type { MemberFacts, Requests } from './member.ts';
import { RpcContext } from './rpc-context.ts';
import { RPC_TABLE } from './table.ts';
import { WatchService } from './watch-service.ts';

/** What the rows of the table run. */
export interface Services {
  readonly kv: KvService;
  readonly watch: WatchService;
  readonly lease: LeaseService;
  readonly cluster: ClusterService;
  readonly maintenance: MaintenanceService;
  readonly auth: AuthService;
  readonly lock: LockService;
  readonly election: ElectionService;
  readonly health: HealthService;
}

/** The member behind the services. */
export interface ServedMember extends MemberFacts, Requests {
  readonly authentication: Pick<Authentication, 'passwords' | 'tokens' | 'whenChanged'>;
  readonly integrity: { readonly fence: { whenRaised(then: () => void): void } };
}

export interface RunningServices {
  /** Streams that are open and have no end of their own. */
  readonly streamCount: number;
  /** Ends the streams that would otherwise go on for ever. */
  stop(): void;
}

/** @param callers who calls; by their tokens and certificates unless told. */
export function registerServices(
  member: ServedMember,
  grpc: GrpcServer,
  callers: Callers = callersOf(member),
): RunningServices {
  const { authentication } = member;
  const context = new RpcContext(member, member, callers);
  const services = newServices(context, authentication);
  registerRpcs(RPC_TABLE, grpc, context, services);
  const { watch, lease, lock, election, health } = services;
  authentication.whenChanged(() => watch.judgeAgain());
  member.integrity.fence.whenRaised(() => {
    watch.stop(RPC_ERRORS.ErrGRPCCorrupt);
    lease.stop(RPC_ERRORS.ErrGRPCCorrupt);
    lock.stop(RPC_ERRORS.ErrGRPCCorrupt);
    election.stop(RPC_ERRORS.ErrGRPCCorrupt);
    health.onFenced();
  });
  return {
    get streamCount(): number {
      return watch.streamCount + lease.streamCount + health.streamCount;
    },
    stop(): void {
      watch.stop();
      lease.stop();
      lock.stop(RPC_ERRORS.ErrGRPCStopped);
      election.stop(RPC_ERRORS.ErrGRPCStopped);
      health.stop();
    },
  };
}

function callersOf({ authentication, auth, config }: ServedMember): Callers {
  return new TokenCallers(authentication.tokens, auth, config.tls.client.clientCertAuth);
}

/** The same for a server that nobody but this program calls: its calls are counted in `metrics`, and slow ones told to nobody. */
export function registerUncounted(member: ServedMember, grpc: GrpcServer, metrics: MetricHandles): void {
  const context = new RpcContext(member, member, ANYBODY, metrics, SILENT_LOGGER);
  registerRpcs(RPC_TABLE, grpc, context, newServices(context, member.authentication));
}

function newServices(context: RpcContext, authentication: ServedMember['authentication']): Services {
  const health = new HealthService(context);
  return {
    kv: new KvService(context),
    watch: new WatchService(context),
    lease: new LeaseService(context),
    cluster: new ClusterService(context),
    maintenance: new MaintenanceService(context, health),
    auth: new AuthService(context, authentication),
    lock: new LockService(context),
    election: new ElectionService(context),
    health,
  };
}
