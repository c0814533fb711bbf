/** The static pod with which a kubelet runs a member. */
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { InitialCluster } from './environment.ts';
import { memberVariables } from './environment.ts';
import type { Settings } from './settings.ts';

const POD_FILE = 'etcd.manifest';

export function podPath({ podDir }: Pick<Settings, 'podDir'>): string {
  return join(podDir, POD_FILE);
}

export function podText(settings: Settings, initial: InitialCluster): string {
  const variables = Object.assign({}, ...Object.values(memberVariables(settings, initial))) as Record<
    string,
    string
  >;
  const env = Object.entries(variables)
    .map(([name, value]) => ({ name, value }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { labels: { 'k8s-app': 'etcd' }, name: 'etcd', namespace: 'kube-system' },
    spec: {
      containers: [
        {
          command: ['etcd'],
          env,
          image: settings.image,
          imagePullPolicy: 'IfNotPresent',
          name: 'etcd',
          resources: { requests: { cpu: '100m', memory: '100Mi' } },
          volumeMounts: [
            { mountPath: settings.certsDir, name: 'pki', readOnly: true },
            { mountPath: settings.dataDir, name: 'data' },
          ],
        },
      ],
      hostNetwork: true,
      priorityClassName: 'system-cluster-critical',
      volumes: [
        { hostPath: { path: settings.certsDir, type: 'Directory' }, name: 'pki' },
        { hostPath: { path: settings.dataDir, type: 'Directory' }, name: 'data' },
      ],
    },
  };
  return stringify(pod, { lineWidth: 0, indentSeq: false });
}
