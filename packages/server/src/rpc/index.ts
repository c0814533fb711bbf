/**
 * What clients call: the gRPC services of a member. {@link registerServices} gives every method its place in the gRPC server;
 * from then on a call is decoded, admitted and answered there.
 */
export { registerKvService } from './kv-service.ts';
export { RpcContext } from './rpc-context.ts';
export { registerServices, type Services } from './services.ts';
