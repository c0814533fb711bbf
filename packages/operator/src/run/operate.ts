/** The operator as a process: waits for its turn, works, and leaves when it is told to, or when another has taken over. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@etcd/base';
import { KubeConfig } from '@kubernetes/client-node';
import { KubernetesApi } from '../kubernetes/api.ts';
import { UNSURE_MS } from './attendant.ts';
import { Controller } from './controller.ts';
import { Leadership } from './leadership.ts';
import { serveMetrics } from './metrics-server.ts';
import { OperatorMetrics } from './operator-metrics.ts';

export interface OperateOptions {
  /** null: all. */
  readonly namespace: string | null;
  readonly gateImage: string;
  /** null: from the environment, or that of the pod. */
  readonly kubeconfig: string | null;
  /** Where the lease is; null: there is only this operator. */
  readonly leaseNamespace: string | null;
  /** Where metrics are served; null: nowhere. */
  readonly metricsAddress: string | null;
  readonly logger: Logger;
}

/** Resolves when `signal` is aborted and everything has been left in order. Rejects when the leadership is lost. */
export async function operate(options: OperateOptions, signal: AbortSignal): Promise<void> {
  const { logger, namespace, gateImage, leaseNamespace } = options;
  const config = new KubeConfig();
  if (options.kubeconfig === null) config.loadFromDefault();
  else config.loadFromFile(options.kubeconfig);
  const metrics = new OperatorMetrics();
  const api = new KubernetesApi(config, (method) => metrics.handles.apiCalls.labels(method).inc());
  const { metricsAddress } = options;
  const served = metricsAddress === null ? null : await serveMetrics(metricsAddress, metrics);
  const leadership =
    leaseNamespace === null ? null : new Leadership({ api, namespace: leaseNamespace, logger });
  if (leadership !== null) {
    logger.info('waiting for leadership', { identity: leadership.identity });
    await leadership.acquire(signal);
  }
  metrics.handles.isLeader.set(1);
  const lost = leadership?.hold(signal);
  // What an operator before this one has asked for may still come about.
  await sleep(UNSURE_MS, undefined, { signal });
  const controller = new Controller({ api, namespace, gateImage, logger, metrics });
  await controller.start();
  logger.info('operator started', { namespace: namespace ?? 'all' });
  await Promise.race([aborted(signal), ...(lost === undefined ? [] : [lost])]);
  await controller.stop();
  await served?.stop();
  await lost;
  if (!signal.aborted) throw new Error('the leadership was lost');
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
