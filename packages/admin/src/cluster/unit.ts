/** The unit with which systemd runs a member, whichever program it is. */
import { join } from 'node:path';
import { PLACES, type Settings } from './settings.ts';

export function unitText({ installDir, diskPriorities }: Settings): string {
  return `[Unit]
Description=etcd, a distributed key-value store
Documentation=https://etcd.io/docs
Wants=network-online.target
After=network-online.target
Conflicts=etcd-member.service
Conflicts=etcd2.service

[Service]
# Ready is who has joined its cluster, which takes as long as the other members take.
Type=notify
TimeoutStartSec=0
EnvironmentFile=${PLACES.environment}
ExecStart=${programPath(installDir)}
Restart=on-failure
RestartSec=5s
LimitNOFILE=65536
MemoryLow=200M
${diskPriorities.map((line) => `${line}\n`).join('')}
[Install]
WantedBy=multi-user.target
`;
}

function programPath(installDir: string): string {
  const path = join(installDir, 'etcd');
  return path.includes(' ') ? `"${path}"` : path;
}
