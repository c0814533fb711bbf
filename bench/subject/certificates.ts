/** The certificates of servers and clients in benchmarks: one authority for a run, in a directory that goes with it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestAuthority } from '@etcd/host/testing';
import type { ClientFiles } from '../load/connect.ts';

let made: Promise<ClientFiles> | null = null;

/** One certificate (EC, as kubeadm and cfssl make them) for servers, members and clients. */
export function benchCertificates(): Promise<ClientFiles> {
  made ??= make();
  return made;
}

async function make(): Promise<ClientFiles> {
  const directory = mkdtempSync(join(tmpdir(), 'etcd-bench-tls-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const authority = await TestAuthority.create(directory);
  const pair = await authority.issue('bench', { hosts: ['127.0.0.1', 'localhost'] });
  return { certFile: pair.certFile, keyFile: pair.keyFile, caFile: authority.caFile };
}
