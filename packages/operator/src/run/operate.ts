/** The operator as a process: waits for its turn, works, and leaves when it is told to, or when another has taken over. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@etcd/base';
import { KubeConfig } from '@kubernetes/client-node';
import { KubernetesApi } from '../kubernetes/api.ts';
import { UNSURE_MS } from './attendant.ts';
import { Controller } from './controller.ts';
import { Leadership } from './leadership.ts';

export interface OperateOptions {
  /** null: all. */
  readonly namespace: string | null;
  readonly gateImage: string;
  /** null: from the environment, or that of the pod. */
  readonly kubeconfig: string | null;
  /** Where the lease is; null: there is only this operator. */
  readonly leaseNamespace: string | null;
  readonly logger: Logger;
}

/** Resolves when `signal` is aborted and everything has been left in order. Rejects when the leadership is lost. */
export async function operate(options: OperateOptions, signal: AbortSignal): Promise<void> {
  const { logger, namespace, gateImage, leaseNamespace } = options;
  const config = new KubeConfig();
  if (options.kubeconfig === null) config.loadFromDefault();
  else config.loadFromFile(options.kubeconfig);
  const api = new KubernetesApi(config);
  const leadership =
    leaseNamespace === null ? null : new Leadership({ api, namespace: leaseNamespace, logger });
  if (leadership !== null) {
    logger.info('waiting for leadership', { identity: leadership.identity });
    await leadership.acquire(signal);
  }
  const lost = leadership?.hold(signal);
  // What an operator before this one has asked for may still come about.
  await sleep(UNSURE_MS, undefined, { signal });
  const controller = new Controller({ api, namespace, gateImage, logger });
  await controller.start();
  logger.info('operator started', { namespace: namespace ?? 'all' });
  await Promise.race([aborted(signal), ...(lost === undefined ? [] : [lost])]);
  await controller.stop();
  await lost;
  if (!signal.aborted) throw new Error('the leadership was lost');
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
