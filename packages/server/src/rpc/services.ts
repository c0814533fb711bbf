/** All services of a member, registered with its gRPC server. */
import { RPC_ERRORS } from '@etcd/api';
import type { GrpcServer } from '@etcd/transport';
import type { EtcdServer } from '../member/index.ts';
import { registerClusterService } from './cluster-service.ts';
import { HealthService } from './health-service.ts';
import { registerKvService } from './kv-service.ts';
import { registerLeaseService } from './lease-service.ts';
import { registerMaintenanceService } from './maintenance-service.ts';
import { RpcContext } from './rpc-context.ts';
import { registerWatchService } from './watch-service.ts';

export interface Services {
  /** Ends the streams that would otherwise go on for ever. */
  stop(): void;
}

export function registerServices(server: EtcdServer, grpc: GrpcServer): Services {
  const context = new RpcContext(server, grpc);
  const health = new HealthService(context);
  registerKvService(context);
  const watches = registerWatchService(context);
  const leases = registerLeaseService(context);
  registerClusterService(context);
  registerMaintenanceService(context, health);
  health.register();
  server.integrity.fence.whenRaised(() => {
    watches.stop(RPC_ERRORS.ErrGRPCCorrupt);
    leases.stop(RPC_ERRORS.ErrGRPCCorrupt);
    health.onFenced();
  });
  return {
    stop(): void {
      watches.stop();
      leases.stop();
      health.stop();
    },
  };
}
