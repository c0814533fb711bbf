/** TCP ports on loopback that nothing listens on now. */
import { freePort } from '@etcd/testing/free-port';

/** `count` different ones. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}
