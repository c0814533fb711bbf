/** `etcd grpc-proxy start`: serves as the flags have it until the process ends. */
import { ExitError, type Invocation } from '@etcd/host/cli';
import { ListenError } from '@etcd/host/net';
import { TlsError } from '@etcd/host/tls';
import { forever, ProxyProcess } from '../proxy-process.ts';
import { GrpcProxy } from './grpc-proxy.ts';
import { flagProblem } from './grpc-proxy-flags.ts';
import { StartError } from './start-error.ts';

const FAILURE = 1;
const EXPECTED = [ListenError, TlsError, StartError];

export async function startGrpcProxy({ flags, io, words }: Invocation): Promise<void> {
  const problem = flagProblem(flags);
  if (problem !== null) {
    io.error(problem);
    throw new ExitError(FAILURE, '');
  }
  const process = new ProxyProcess(flags.bool('debug') ? 'debug' : 'info');
  process.logger.child({ caller: 'proxy/main' }).info('Running: ', { args: ['etcd', ...words] });
  try {
    const proxy = await GrpcProxy.open(flags, process);
    process.lifecycle.onShutdown(() => proxy.stop());
    process.lifecycle.onHangup(() => proxy.reloadCertificates());
    await proxy.serve();
  } catch (error) {
    if (!EXPECTED.some((expected) => error instanceof expected)) throw error;
    io.error((error as Error).message);
    throw new ExitError(FAILURE, '');
  }
  process.notifyReady();
  await forever();
}
